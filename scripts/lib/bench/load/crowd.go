package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// crowdReport is what becomes of streams in sync while many others come at once.
type crowdReport struct {
	Steady int `json:"steady"`
	Came   int `json:"came"`
	// From the loss of all their connections until the last has everything again, and until half of them and 99 of 100 have; the wait of Envoy before it
	// dials again is in it.
	All float64 `json:"all_ms"`
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
	// Changes that were brought meanwhile, one a second at most, and how long each took to each of the steady streams.
	Changes   int     `json:"changes"`
	ChangeP50 float64 `json:"change_p50_ms"`
	ChangeP99 float64 `json:"change_p99_ms"`
	ChangeMax float64 `json:"change_max_ms"`
	// Keepalives of the steady streams, one a second each, and how long their answers took.
	Pings   int     `json:"pings"`
	PingP99 float64 `json:"ping_p99_ms"`
	PingMax float64 `json:"ping_max_ms"`
	Peak    float64 `json:"server_peak_mib"`
	CPU     float64 `json:"server_cpu_s"`
}

// Changes that follow each other without a pause would leave the server no time for the crowd.
const betweenChanges = time.Second

// crowd takes the connections of all but the first streams away. They come again by themselves; meanwhile changes go to those that stayed.
func (f *fleet) crowd(o *options, toA, toB map[string]*awaited) (*crowdReport, error) {
	steady, others := f.streams[:o.steady], f.streams[o.steady:]
	peak, cpu := peakMemory(o.pid), serverCPU(o.pid)
	begun := time.Now()
	var left atomic.Int64
	left.Store(int64(len(others)))
	back := make(chan struct{})
	for _, s := range others {
		s.mu.Lock()
		s.started, s.synced = begun, time.Time{}
		s.onSync = func() {
			if left.Add(-1) == 0 {
				close(back)
			}
		}
		s.conn.close()
		s.mu.Unlock()
	}
	stop := make(chan struct{})
	pings := pingAll(steady, o.limit, stop)
	out := &crowdReport{Steady: len(steady), Came: len(others)}
	var took []float64
	var failed error
	for isBack := false; failed == nil && (!isBack || out.Changes%2 == 1); out.Changes++ {
		to, expected := "b", toB
		if out.Changes%2 == 1 {
			to, expected = "a", toA
		}
		var one []float64
		changed := time.Now()
		_, one, failed = change(o, steady, to, expected, false)
		took = append(took, one...)
		select {
		case <-back:
			isBack = true
		case <-time.After(time.Until(changed.Add(betweenChanges))):
		}
		if !isBack && time.Since(begun) > o.limit {
			failed = fmt.Errorf("%d of %d streams are not back in sync after %v%s", left.Load(), len(others), o.limit, f.stuck())
		}
	}
	close(stop)
	answers := <-pings
	var waits []float64
	for _, s := range others {
		s.mu.Lock()
		if !s.synced.IsZero() {
			waits = append(waits, milliseconds(s.synced.Sub(begun)))
		}
		s.mu.Unlock()
	}
	came, changes, pinged := percentiles(waits), percentiles(took), percentiles(answers)
	out.All, out.P50, out.P99 = came.max, came.p50, came.p99
	out.ChangeP50, out.ChangeP99, out.ChangeMax = changes.p50, changes.p99, changes.max
	out.Pings, out.PingP99, out.PingMax = len(answers), pinged.p99, pinged.max
	out.Peak, out.CPU = peak(), serverCPU(o.pid)-cpu
	return out, failed
}

// pingAll pings each stream's connection once a second until stop is closed; then it gives how long the answers took.
func pingAll(streams []*stream, limit time.Duration, stop <-chan struct{}) <-chan []float64 {
	var mu sync.Mutex
	var took []float64
	var wait sync.WaitGroup
	for _, s := range streams {
		s.mu.Lock()
		conn := s.conn
		s.mu.Unlock()
		wait.Add(1)
		go func() {
			defer wait.Done()
			for {
				asked := time.Now()
				select {
				case <-conn.ping():
				case <-time.After(limit):
				}
				mu.Lock()
				took = append(took, milliseconds(time.Since(asked)))
				mu.Unlock()
				select {
				case <-stop:
					return
				case <-time.After(time.Second):
				}
			}
		}()
	}
	done := make(chan []float64, 1)
	go func() {
		wait.Wait()
		done <- took
	}()
	return done
}
