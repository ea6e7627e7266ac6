package main

import (
	"crypto/sha256"
	"fmt"
	"runtime/debug"

	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"weft.dev/bench/dump"
)

// groups says of each node id and type to which group the proxy belongs: those of a group get the same in both states. -1: it asks for none.
type groups map[string][dump.Types]int

func load(pathA, pathB string) (groups, state, state) {
	a := must(dump.Read(pathA))
	b := a
	if pathB != "" {
		b = must(dump.Read(pathB))
	}
	found := groups{}
	var stateA, stateB state
	messages := map[string]types.Resource{}
	type pair struct{ kind, a, b int32 }
	known := map[pair]int{}
	for node, setsA := range a.Nodes {
		setsB := b.Nodes[node]
		var of [dump.Types]int
		for kind := range setsA {
			p := pair{int32(kind), setsA[kind], setsB[kind]}
			if p.a < 0 || p.b < 0 {
				of[kind] = -1
				continue
			}
			group, ok := known[p]
			if !ok {
				group = len(stateA.sets[kind])
				known[p] = group
				before := decodeSet(kind, a, a.Sets[kind][p.a], messages)
				after := before
				// Certificates may have been renewed between the two dumps: that is no part of the change.
				if kind != dump.SDS {
					after = decodeSet(kind, b, b.Sets[kind][p.b], messages)
				}
				stateA.sets[kind] = append(stateA.sets[kind], before)
				stateB.sets[kind] = append(stateB.sets[kind], after)
			}
			of[kind] = group
		}
		found[node] = of
	}
	// What was only needed to read the dumps is not to count as the server's memory.
	a, b, messages = nil, nil, nil
	debug.FreeOSMemory()
	return found, stateA, stateB
}

func decodeSet(kind int, from *dump.File, members []int32, messages map[string]types.Resource) []types.Resource {
	decoded := make([]types.Resource, 0, len(members))
	for _, at := range members {
		key := fmt.Sprint(kind, sha256.Sum256(from.Resources[at].Body))
		if messages[key] == nil {
			messages[key] = decode(kind, from.Resources[at].Body)
		}
		decoded = append(decoded, messages[key])
	}
	return decoded
}
