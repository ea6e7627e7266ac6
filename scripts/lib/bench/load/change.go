package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"weft.dev/bench/dump"
)

// awaited is what one stream is to see of one change: each resource whose bytes differ between the two states.
type awaited struct {
	round   *round
	wanted  [dump.Types]set
	left    int
	expects [dump.Types]set
}

type round struct {
	started time.Time
	mu      sync.Mutex
	// Milliseconds from the trigger to each stream's last changed resource.
	took []float64
	left atomic.Int64
	done chan struct{}
}

func (a *awaited) saw(kind int, n name) {
	if a.left > 0 && a.wanted[kind].has(n) {
		a.wanted[kind][n/64] &^= 1 << (n % 64)
		a.left--
	}
}

func (a *awaited) settled(s *stream, now time.Time) {
	if a.left > 0 || !s.awaited.CompareAndSwap(a, nil) {
		return
	}
	a.round.mu.Lock()
	a.round.took = append(a.round.took, milliseconds(now.Sub(a.round.started)))
	a.round.mu.Unlock()
	if a.round.left.Add(-1) == 0 {
		close(a.round.done)
	}
}

// expectations is what changes for each node between two dumps: certificates aside, which are made anew at any time.
func expectations(from, to *dump.File) map[string]*awaited {
	type pair struct{ kind, from, to int32 }
	differing := map[pair]set{}
	found := map[string]*awaited{}
	for node, after := range to.Nodes {
		before, ok := from.Nodes[node]
		if !ok {
			continue
		}
		a := &awaited{}
		for kind := range after {
			if kind == dump.SDS || after[kind] < 0 || before[kind] < 0 {
				continue
			}
			p := pair{int32(kind), before[kind], after[kind]}
			if _, known := differing[p]; !known {
				differing[p] = differ(kind, from, from.Sets[kind][p.from], to, to.Sets[kind][p.to])
			}
			a.expects[kind] = differing[p]
			differing[p].each(func(name) { a.left++ })
		}
		if a.left > 0 {
			found[node] = a
		}
	}
	return found
}

func differ(kind int, from *dump.File, before []int32, to *dump.File, after []int32) (changed set) {
	bodies := make(map[string]string, len(before))
	for _, at := range before {
		bodies[from.Resources[at].Name] = string(from.Resources[at].Body)
	}
	for _, at := range after {
		one := to.Resources[at]
		if body, ok := bodies[one.Name]; !ok || body != string(one.Body) {
			changed.add(names[kind].of(one.Name))
		}
	}
	return changed
}

type changeReport struct {
	Streams   int     `json:"streams"`
	Received  int     `json:"received"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	Max       float64 `json:"max_ms"`
	Min       float64 `json:"min_ms"`
	Trigger   float64 `json:"trigger_ms"`
	CPU       float64 `json:"server_cpu_s"`
	ClientCPU float64 `json:"client_cpu_s"`
	Bytes     int64   `json:"bytes"`
}

// change runs one round: `to` is "a" or "b", the state to go to. `rest` says to wait until all is quiet again.
func change(o *options, streams []*stream, to string, expected map[string]*awaited, rest bool) (changeReport, []float64, error) {
	r := &round{done: make(chan struct{}), started: time.Now()}
	count := 0
	for _, s := range streams {
		if e, ok := expected[s.id]; ok {
			count++
			one := &awaited{round: r, left: e.left, expects: e.expects}
			for kind := range e.expects {
				one.wanted[kind] = append(set(nil), e.expects[kind]...)
			}
			s.awaited.Store(one)
		}
	}
	if count == 0 {
		return changeReport{}, nil, fmt.Errorf("the change to %s is to be seen by no stream", to)
	}
	r.left.Store(int64(count))
	cpu, own, bytes := serverCPU(o.pid), ownCPU(), received.Load()
	r.started = time.Now()
	failed := trigger(o, to)
	returned := milliseconds(time.Since(r.started))
	if failed == nil {
		select {
		case <-r.done:
		case <-time.After(o.limit):
			failed = fmt.Errorf("the change to %s reached %d of %d streams in %v", to, count-int(r.left.Load()), count, o.limit)
		}
	}
	// What the change costs after everybody has it belongs to it too.
	if rest {
		quiet(300*time.Millisecond, o.limit)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p := percentiles(r.took)
	return changeReport{
		Streams: count, Received: len(r.took), Min: p.min, P50: p.p50, P99: p.p99, Max: p.max, Trigger: returned,
		CPU: serverCPU(o.pid) - cpu, ClientCPU: ownCPU() - own, Bytes: received.Load() - bytes,
	}, r.took, failed
}

// trigger asks the server to go to a state: a GET, or a POST of the file that the state has.
func trigger(o *options, to string) error {
	client := http.DefaultClient
	if o.triggerUnix != "" {
		client = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", o.triggerUnix)
		}, DisableKeepAlives: true}}
	}
	url, path := o.triggerA, o.bodyA
	if to == "b" {
		url, path = o.triggerB, o.bodyB
	}
	method, body := http.MethodGet, io.Reader(nil)
	if path != "" {
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		method, body = http.MethodPost, file
	}
	request, err := http.NewRequest(method, url, body)
	if err != nil {
		return err
	}
	request.Header.Set("content-type", "application/yaml")
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s: %.300s", method, url, answer.Status, said)
	}
	return err
}

// quiet waits until nothing has come for so long, but no longer than limit.
func quiet(long, limit time.Duration) {
	for begun := time.Now(); time.Since(begun) < limit; {
		last := time.Unix(0, lastResponse.Load())
		if last.Before(begun) {
			last = begun
		}
		if left := long - time.Since(last); left > 0 {
			time.Sleep(left)
		} else {
			return
		}
	}
}
