// load is many simulated Envoys: each with a connection, a credential and a node id of its own. They walk all types that a proxy of a mesh asks
// for, ACK everything, and measure when each has everything, and when each has a change. It reads bytes, not messages, and each distinct
// resource once, so that it stays cheap beside the server that it measures. Its report is JSON, on stdout.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"runtime/debug"
	"time"

	"weft.dev/bench/dump"
)

type options struct {
	address, node, tokens                         string
	streams, dialing, window, pid, syncs, changes int
	steady                                        int
	delta                                         bool
	settle, quiet, limit                          time.Duration
	triggerUnix, triggerA, triggerB, bodyA, bodyB string
	dumpA, dumpB, writeA, writeB                  string
}

type report struct {
	Protocol string         `json:"protocol"`
	Streams  int            `json:"streams"`
	Before   float64        `json:"server_before_mib"`
	Syncs    []syncReport   `json:"syncs"`
	Changes  []changeReport `json:"changes"`
	Crowd    *crowdReport   `json:"crowd,omitempty"`
	Peak     float64        `json:"server_peak_mib"`
	After    float64        `json:"server_after_mib"`
	// Of the whole run.
	ServerCPU  float64 `json:"server_cpu_s"`
	ClientCPU  float64 `json:"client_cpu_s"`
	Unreadable int64   `json:"unreadable_resources"`
	// Streams of the last mass connect that ended, by the reason; they came again.
	Ended  map[string]int `json:"ended"`
	Errors []string       `json:"errors"`
}

func main() {
	o := &options{}
	flag.StringVar(&o.address, "address", "127.0.0.1:15010", "where ADS is served: HOST:PORT, or unix:PATH")
	flag.StringVar(&o.node, "node", "node-{i}", "node id; {i} is the number of the stream, from 0")
	flag.StringVar(&o.tokens, "tokens", "", "directory of the streams' bearer tokens, a file for each number")
	flag.IntVar(&o.streams, "streams", 100, "how many")
	flag.BoolVar(&o.delta, "delta", false, "incremental xDS, else state of the world")
	flag.IntVar(&o.dialing, "dialing", 64, "connections that are opened at once")
	flag.IntVar(&o.window, "window", 16<<20, "HTTP/2 windows, bytes; they do not change, as Envoy's do not")
	flag.IntVar(&o.pid, "pid", 0, "the server's process id: its memory and CPU are reported")
	flag.IntVar(&o.syncs, "syncs", 1, "so many times all connect; between them all connections are closed")
	flag.IntVar(&o.changes, "changes", 0, "changes, from state a to b and back")
	flag.IntVar(&o.steady, "steady", 0, "then all but so many streams lose their connections at once and come again, while changes go to these")
	flag.DurationVar(&o.settle, "settle", time.Second, "rest after each mass connect")
	flag.DurationVar(&o.quiet, "quiet", 3*time.Second, "how long nothing may have come for a state to be whole, before it is written")
	flag.DurationVar(&o.limit, "limit", 2*time.Minute, "of each mass connect, and of each change")
	flag.StringVar(&o.triggerUnix, "trigger-unix", "", "Unix socket of the trigger's HTTP server")
	flag.StringVar(&o.triggerA, "trigger-a", "", "URL that brings state a")
	flag.StringVar(&o.triggerB, "trigger-b", "", "URL that brings state b")
	flag.StringVar(&o.bodyA, "body-a", "", "file to post to trigger-a")
	flag.StringVar(&o.bodyB, "body-b", "", "file to post to trigger-b")
	flag.StringVar(&o.dumpA, "dump-a", "", "what the streams have in state a: what differs from b is what a change is to bring")
	flag.StringVar(&o.dumpB, "dump-b", "", "what they have in state b")
	flag.StringVar(&o.writeA, "write-dump-a", "", "write what the streams have after the connect")
	flag.StringVar(&o.writeB, "write-dump-b", "", "then bring state b, wait until nothing comes, and write again")
	flag.Parse()
	debug.SetGCPercent(400)
	keepBodies = o.writeA != ""
	out := &report{Streams: o.streams, Protocol: map[bool]string{true: "delta", false: "sotw"}[o.delta], Errors: []string{}, Before: memory(o.pid, "VmRSS"), Syncs: []syncReport{}, Changes: []changeReport{}}
	if err := run(o, out); err != nil {
		out.Errors = append(out.Errors, err.Error())
	}
	out.After, out.ClientCPU, out.Unreadable = memory(o.pid, "VmRSS"), ownCPU(), unreadable.Load()
	json.NewEncoder(os.Stdout).Encode(out)
	if len(out.Errors) > 0 || out.Unreadable > 0 {
		os.Exit(1)
	}
}

func run(o *options, out *report) error {
	toA, toB, err := changesOf(o)
	if err != nil {
		return err
	}
	cpu, peak := serverCPU(o.pid), peakMemory(o.pid)
	defer func() { out.ServerCPU, out.Peak = serverCPU(o.pid)-cpu, peak() }()
	var f *fleet
	for range o.syncs {
		if f != nil {
			f.close()
			time.Sleep(o.settle)
		}
		var one syncReport
		f, one, err = connectAll(o)
		out.Syncs = append(out.Syncs, one)
		if err != nil {
			return err
		}
	}
	defer func() {
		f.mu.Lock()
		out.Ended = maps.Clone(f.ended)
		f.mu.Unlock()
		f.close()
	}()
	if o.writeA != "" {
		return writeDumps(o, f)
	}
	for i := range o.changes {
		to, expected := "b", toB
		if i%2 == 1 {
			to, expected = "a", toA
		}
		one, _, err := change(o, f.streams, to, expected, true)
		out.Changes = append(out.Changes, one)
		if err != nil {
			return err
		}
	}
	if o.steady > 0 {
		out.Crowd, err = f.crowd(o, toA, toB)
	}
	return err
}

// changesOf reads what a change to a and a change to b bring to each stream.
func changesOf(o *options) (toA, toB map[string]*awaited, err error) {
	if o.changes == 0 && o.steady == 0 {
		return nil, nil, nil
	}
	a, err := dump.Read(o.dumpA)
	if err != nil {
		return nil, nil, err
	}
	b, err := dump.Read(o.dumpB)
	if err != nil {
		return nil, nil, err
	}
	toA, toB = expectations(b, a), expectations(a, b)
	debug.FreeOSMemory()
	return toA, toB, nil
}

func writeDumps(o *options, f *fleet) error {
	if err := dump.Write(o.writeA, dumpOf(f.streams)); err != nil || o.writeB == "" {
		return err
	}
	lastResponse.Store(0)
	if err := trigger(o, "b"); err != nil {
		return err
	}
	for begun := time.Now(); lastResponse.Load() == 0; time.Sleep(10 * time.Millisecond) {
		if time.Since(begun) > o.limit {
			return fmt.Errorf("nothing came after the change to state b")
		}
	}
	quiet(o.quiet, o.limit)
	return dump.Write(o.writeB, dumpOf(f.streams))
}
