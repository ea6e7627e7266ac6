package main

import (
	"slices"
	"strings"

	"weft.dev/bench/dump"
)

// dumpOf is what the streams have now.
func dumpOf(streams []*stream) *dump.File {
	file := &dump.File{Nodes: map[string][dump.Types]int32{}}
	places := map[*resource]int32{}
	var sets [dump.Types]map[string]int32
	for _, s := range streams {
		s.mu.Lock()
		var of [dump.Types]int32
		for kind := range s.types {
			of[kind] = -1
			if !s.types[kind].asked {
				continue
			}
			var members []int32
			s.types[kind].has.each(func(_ name, r *resource) {
				place, ok := places[r]
				if !ok {
					place = int32(len(file.Resources))
					places[r] = place
					file.Resources = append(file.Resources, dump.Resource{Name: names[kind].text(r.name), Body: r.body})
				}
				members = append(members, place)
			})
			slices.SortFunc(members, func(a, b int32) int { return strings.Compare(file.Resources[a].Name, file.Resources[b].Name) })
			key := keyOf(members)
			if sets[kind] == nil {
				sets[kind] = map[string]int32{}
			}
			if _, ok := sets[kind][key]; !ok {
				sets[kind][key] = int32(len(file.Sets[kind]))
				file.Sets[kind] = append(file.Sets[kind], members)
			}
			of[kind] = sets[kind][key]
		}
		s.mu.Unlock()
		file.Nodes[s.id] = of
	}
	return file
}

func keyOf(members []int32) string {
	key := make([]byte, 0, 4*len(members))
	for _, m := range members {
		key = append(key, byte(m), byte(m>>8), byte(m>>16), byte(m>>24))
	}
	return string(key)
}
