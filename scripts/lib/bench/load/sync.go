package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"weft.dev/bench/dump"
)

const (
	deltaPath = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
	sotwPath  = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
)

type syncReport struct {
	Synced    int            `json:"synced"`
	All       float64        `json:"all_ms"`
	P50       float64        `json:"p50_ms"`
	P99       float64        `json:"p99_ms"`
	CPU       float64        `json:"server_cpu_s"`
	ClientCPU float64        `json:"client_cpu_s"`
	Peak      float64        `json:"server_peak_mib"`
	After     float64        `json:"server_after_mib"`
	Bytes     int64          `json:"bytes"`
	Resources map[string]int `json:"resources_of_first_stream"`
	Responses map[string]int `json:"responses"`
	// Streams that ended before all were in sync, by the reason; they came again.
	Ended map[string]int `json:"ended"`
}

// fleet is all streams of one mass connect.
type fleet struct {
	streams []*stream
	closing chan struct{}
	mu      sync.Mutex
	// Why streams ended, and how often; they come again, as Envoys do.
	ended map[string]int
	wait  sync.WaitGroup
}

func (f *fleet) close() {
	close(f.closing)
	for _, s := range f.streams {
		s.mu.Lock()
		if s.conn != nil {
			s.conn.close()
		}
		s.mu.Unlock()
	}
	f.wait.Wait()
}

// connectAll opens every stream, and waits until all have everything.
func connectAll(o *options) (*fleet, syncReport, error) {
	f := &fleet{ended: map[string]int{}, closing: make(chan struct{})}
	var left atomic.Int64
	left.Store(int64(o.streams))
	all := make(chan struct{})
	for i := range o.streams {
		id := strings.ReplaceAll(o.node, "{i}", fmt.Sprint(i))
		f.streams = append(f.streams, &stream{id: id, number: i, delta: o.delta, onSync: func() {
			if left.Add(-1) == 0 {
				close(all)
			}
		}})
	}
	before := [dump.Types]int64{}
	for kind := range before {
		before[kind] = responses[kind].Load()
	}
	cpu, own, bytes := serverCPU(o.pid), ownCPU(), received.Load()
	peak := peakMemory(o.pid)
	begun := time.Now()
	go f.open(o)
	var failed error
	select {
	case <-all:
	case <-time.After(o.limit):
		failed = fmt.Errorf("%d of %d streams are not in sync after %v%s", left.Load(), o.streams, o.limit, f.stuck())
	}
	report := syncReport{
		All: milliseconds(time.Since(begun)), CPU: serverCPU(o.pid) - cpu, ClientCPU: ownCPU() - own, Bytes: received.Load() - bytes,
		Resources: map[string]int{}, Responses: map[string]int{},
	}
	var took []float64
	for _, s := range f.streams {
		s.mu.Lock()
		if !s.synced.IsZero() {
			report.Synced++
			took = append(took, milliseconds(s.synced.Sub(s.started)))
		}
		s.mu.Unlock()
	}
	p := percentiles(took)
	report.P50, report.P99 = p.p50, p.p99
	first := f.streams[0]
	first.mu.Lock()
	for kind := range first.types {
		first.types[kind].has.each(func(name, *resource) { report.Resources[dump.Names[kind]]++ })
		if n := responses[kind].Load() - before[kind]; n > 0 {
			report.Responses[dump.Names[kind]] = int(n)
		}
	}
	first.mu.Unlock()
	time.Sleep(o.settle)
	report.Peak, report.After = peak(), memory(o.pid, "VmRSS")
	f.mu.Lock()
	report.Ended = maps.Clone(f.ended)
	f.mu.Unlock()
	return f, report, failed
}

func (f *fleet) open(o *options) {
	places := make(chan struct{}, o.dialing)
	for _, s := range f.streams {
		select {
		case <-f.closing:
			return
		case places <- struct{}{}:
		}
		f.wait.Add(1)
		go func() {
			defer f.wait.Done()
			f.keepOpen(o, s, func() { <-places })
		}()
	}
}

// Envoy's own, as weft's bootstrap leaves it: a random part of a wait that doubles.
const (
	firstWait   = 500 * time.Millisecond
	longestWait = 30 * time.Second
)

// keepOpen opens the stream, and again whenever it ends, until the fleet closes.
func (f *fleet) keepOpen(o *options, s *stream, dialed func()) {
	dialed = sync.OnceFunc(dialed)
	path := sotwPath
	if o.delta {
		path = deltaPath
	}
	s.started = time.Now()
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		connection, err := dial(o.address, path, o.credential(s.number), uint32(o.window))
		dialed()
		if err == nil {
			err = s.run(connection)
			connection.close()
		}
		select {
		case <-f.closing:
			return
		default:
		}
		f.mu.Lock()
		f.ended[err.Error()]++
		f.mu.Unlock()
		select {
		case <-f.closing:
			return
		case <-time.After(time.Duration(rand.Int64N(int64(wait)))):
		}
	}
}

// stuck says what the first stream that is not in sync waits for.
func (f *fleet) stuck() string {
	for _, s := range f.streams {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.synced.IsZero() {
			continue
		}
		said := "; " + s.id + " waits for"
		for kind := range s.types {
			if t := &s.types[kind]; t.missing > 0 || t.asked && !t.answered {
				said += fmt.Sprintf(" %s (answered: %v, missing: %d)", dump.Names[kind], t.answered, t.missing)
			}
		}
		return said
	}
	return ""
}

// credential is the authorization header of a stream, from a file of its own; none where there are no files.
func (o *options) credential(number int) string {
	if o.tokens == "" {
		return ""
	}
	token, err := os.ReadFile(filepath.Join(o.tokens, fmt.Sprint(number)))
	if err != nil {
		return ""
	}
	return "Bearer " + strings.TrimSpace(string(token))
}
