package main

import (
	"fmt"
	"net"
	"strings"
	"sync"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"weft.dev/bench/dump"
)

// floor is what grpc-go does on this machine when nothing is left to do for it: it sends a response, marshalled once for all its readers, for the first
// request of each type, and one with what changed for a change. No server that looks at requests, versions and ACKs can be expected below it.
type floor struct {
	groups groups
	mu     sync.Mutex
	// By type and group.
	sets    [dump.Types][][]types.Resource
	whole   [2][dump.Types][][]byte
	streams map[*floorStream]bool
}

type floorStream struct {
	delta int
	of    [dump.Types]int
	asked [dump.Types]bool
	out   chan []byte
}

func (f *floor) set(kind, group int, resources []types.Resource, version string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var changed []types.Resource
	if group == len(f.sets[kind]) {
		f.sets[kind] = append(f.sets[kind], nil)
		for delta := range f.whole {
			f.whole[delta][kind] = append(f.whole[delta][kind], nil)
		}
	} else {
		before := map[types.Resource]bool{}
		for _, one := range f.sets[kind][group] {
			before[one] = true
		}
		for _, one := range resources {
			if !before[one] {
				changed = append(changed, one)
			}
		}
	}
	f.sets[kind][group] = resources
	var update [2][]byte
	for delta := range f.whole {
		// What is not asked for any more need not be made; what is, is made when it is first asked for.
		f.whole[delta][kind][group] = nil
	}
	for s := range f.streams {
		if !s.asked[kind] || s.of[kind] != group {
			continue
		}
		if update[s.delta] == nil {
			// Listeners and clusters come whole in the state of the world.
			if s.delta == 0 && (kind == dump.CDS || kind == dump.LDS) {
				changed = resources
			}
			update[s.delta] = marshal(kind, changed, s.delta == 1, version)
		}
		s.out <- update[s.delta]
	}
	return nil
}

func marshal(kind int, resources []types.Resource, delta bool, version string) []byte {
	if delta {
		response := &discovery.DeltaDiscoveryResponse{TypeUrl: dump.URLs[kind], SystemVersionInfo: version, Nonce: version}
		for _, one := range resources {
			response.Resources = append(response.Resources, &discovery.Resource{Name: cache.GetResourceName(one), Version: version, Resource: must(anypb.New(one))})
		}
		return must(proto.Marshal(response))
	}
	response := &discovery.DiscoveryResponse{TypeUrl: dump.URLs[kind], VersionInfo: version, Nonce: version}
	for _, one := range resources {
		response.Resources = append(response.Resources, must(anypb.New(one)))
	}
	return must(proto.Marshal(response))
}

// bytesCodec leaves messages as they are.
type bytesCodec struct{}

func (bytesCodec) Name() string { return "proto" }
func (bytesCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}
func (bytesCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*(v.(*[]byte)) = data.Materialize()
	return nil
}

func (f *floor) serve(listener net.Listener) error {
	f.streams = map[*floorStream]bool{}
	transport := grpc.NewServer(grpc.MaxConcurrentStreams(1_000_000), grpc.ForceServerCodecV2(bytesCodec{}), grpc.UnknownServiceHandler(f.stream))
	return transport.Serve(listener)
}

func (f *floor) stream(_ any, transport grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(transport)
	s := &floorStream{out: make(chan []byte, 256)}
	// Numbers of the fields node, its id 1, and type URL.
	nodeField, urlField := protowire.Number(2), protowire.Number(4)
	if strings.HasSuffix(method, "DeltaAggregatedResources") {
		s.delta, nodeField, urlField = 1, 1, 2
	}
	defer func() {
		f.mu.Lock()
		delete(f.streams, s)
		f.mu.Unlock()
	}()
	go func() {
		for {
			var request []byte
			if transport.RecvMsg(&request) != nil {
				return
			}
			if node := field(request, nodeField); node != nil {
				s.of = f.groups[string(field(node, 1))]
				f.mu.Lock()
				f.streams[s] = true
				f.mu.Unlock()
			}
			f.answer(s, dump.TypeOf(string(field(request, urlField))))
		}
	}()
	for {
		select {
		case <-transport.Context().Done():
			return nil
		case response := <-s.out:
			if err := transport.SendMsg(response); err != nil {
				return err
			}
		}
	}
}

// answer sends all of a type, once.
func (f *floor) answer(s *floorStream, kind int) {
	if kind < 0 || s.of[kind] < 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if s.asked[kind] {
		return
	}
	s.asked[kind] = true
	whole := &f.whole[s.delta][kind][s.of[kind]]
	if *whole == nil {
		*whole = marshal(kind, f.sets[kind][s.of[kind]], s.delta == 1, fmt.Sprint("all", kind))
	}
	s.out <- *whole
}

func field(message []byte, wanted protowire.Number) []byte {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return nil
		}
		message = message[n:]
		if number == wanted && kind == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(message)
			return value
		}
		if n = protowire.ConsumeFieldValue(number, kind, message); n < 0 {
			return nil
		}
		message = message[n:]
	}
	return nil
}
