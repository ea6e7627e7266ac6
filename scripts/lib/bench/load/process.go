package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// clockTicks is USER_HZ, which is 100 on every Linux.
const clockTicks = 100

// serverCPU is the user and system time of a process, seconds; 0 where it is not known.
func serverCPU(pid int) float64 {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name, in brackets, may hold anything; utime and stime are the fields 14 and 15.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) / clockTicks
}

func ownCPU() float64 {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

// memory is a line of /proc/PID/status in MiB: VmRSS is what it has now, VmHWM the most it ever had.
func memory(pid int, line string) float64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for _, one := range strings.Split(string(status), "\n") {
		if value, ok := strings.CutPrefix(one, line+":"); ok {
			kibibytes, _ := strconv.ParseFloat(strings.Fields(value)[0], 64)
			return kibibytes / 1024
		}
	}
	return 0
}

// peakMemory follows the server's memory from now on; what it returns is the most that it had, MiB.
func peakMemory(pid int) func() float64 {
	var most atomic.Int64
	look := func() {
		if now := int64(memory(pid, "VmRSS") * 1024); now > most.Load() {
			most.Store(now)
		}
	}
	stop := make(chan struct{})
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
				look()
			}
		}
	}()
	return func() float64 {
		close(stop)
		look()
		return float64(most.Load()) / 1024
	}
}

type spread struct{ min, p50, p99, max float64 }

func percentiles(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	sorted := slices.Sorted(slices.Values(values))
	at := func(share float64) float64 { return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)] }
	return spread{sorted[0], at(0.5), at(0.99), sorted[len(sorted)-1]}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
