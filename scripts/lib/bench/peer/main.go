// peer serves what was dumped from weft: by go-control-plane's snapshot cache, or, as the floor, by responses that are marshalled once.
// GET /to?state=a and /to?state=b at its HTTP address change what is served, as if the resources had just been made.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"sync"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tls "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"weft.dev/bench/dump"
)

// state is what is served: each group of each type has one set of resources.
type state struct {
	// By type and group; the messages are decoded, as in a control plane that makes them.
	sets [dump.Types][][]types.Resource
}

type served interface {
	// set replaces the resources of one group of a type.
	set(kind, group int, resources []types.Resource, version string) error
	serve(net.Listener) error
}

func main() {
	ads := flag.String("ads", "127.0.0.1:0", "where to serve ADS")
	admin := flag.String("http", "127.0.0.1:0", "where to serve /to?state=a and /to?state=b")
	dumpA := flag.String("dump-a", "", "what load wrote of state a")
	dumpB := flag.String("dump-b", "", "what load wrote of state b")
	raw := flag.Bool("raw", false, "no go-control-plane: the floor")
	flag.Parse()

	groups, a, b := load(*dumpA, *dumpB)
	var server served = &snapshots{groups: groups}
	if *raw {
		server = &floor{groups: groups}
	}
	for kind := range a.sets {
		for group, resources := range a.sets[kind] {
			must(0, server.set(kind, group, resources, "a"))
		}
	}
	var mu sync.Mutex
	now, changes := a, 0
	http.HandleFunc("/to", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		next := a
		if r.URL.Query().Get("state") == "b" {
			next = b
		}
		changes++
		for kind := range next.sets {
			for group, resources := range next.sets[kind] {
				if !same(now.sets[kind][group], resources) {
					if err := server.set(kind, group, resources, fmt.Sprint(changes)); err != nil {
						http.Error(w, err.Error(), http.StatusInternalServerError)
						return
					}
				}
			}
		}
		now = next
	})
	adsListener, httpListener := must(net.Listen("tcp", *ads)), must(net.Listen("tcp", *admin))
	go func() { log.Fatal(http.Serve(httpListener, nil)) }()
	fmt.Printf("{\"ads\":%q,\"http\":%q}\n", adsListener.Addr(), httpListener.Addr())
	log.Fatal(server.serve(adsListener))
}

func same(a, b []types.Resource) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func empty(kind int) types.Resource {
	switch kind {
	case dump.CDS:
		return &cluster.Cluster{}
	case dump.EDS:
		return &endpoint.ClusterLoadAssignment{}
	case dump.LDS:
		return &listener.Listener{}
	case dump.RDS:
		return &route.RouteConfiguration{}
	case dump.VHDS:
		return &route.VirtualHost{}
	case dump.SDS:
		return &tls.Secret{}
	default:
		return &core.TypedExtensionConfig{}
	}
}

func decode(kind int, body []byte) types.Resource {
	message := empty(kind)
	must(0, proto.Unmarshal(body, message))
	return message
}

// snapshots is go-control-plane's snapshot cache, used as sparingly as it lets one: a cache for each type, in which proxies that get the same share a
// snapshot. One snapshot a proxy, the usual way, would have every change set a thousand of them.
type snapshots struct {
	groups groups
	caches [dump.Types]cache.SnapshotCache
}

type groupOfNode map[string]string

func (g groupOfNode) ID(node *core.Node) string { return g[node.GetId()] }

func (s *snapshots) set(kind, group int, resources []types.Resource, version string) error {
	if s.caches[kind] == nil {
		nodes := groupOfNode{}
		for node, of := range s.groups {
			nodes[node] = fmt.Sprint(of[kind])
		}
		s.caches[kind] = cache.NewSnapshotCache(false, nodes, nil)
	}
	snapshot := &cache.Snapshot{}
	snapshot.Resources[cache.GetResponseType(dump.URLs[kind])] = cache.NewResources(version, resources)
	return s.caches[kind].SetSnapshot(context.Background(), fmt.Sprint(group), snapshot)
}

func (s *snapshots) serve(listener net.Listener) error {
	caches := map[string]cache.Cache{}
	for kind, one := range s.caches {
		if one != nil {
			caches[dump.URLs[kind]] = one
		}
	}
	mux := &cache.MuxCache{
		Classify:      func(request *cache.Request) string { return request.GetTypeUrl() },
		ClassifyDelta: func(request *cache.DeltaRequest) string { return request.GetTypeUrl() },
		Caches:        caches,
	}
	transport := grpc.NewServer(grpc.MaxConcurrentStreams(1_000_000))
	discovery.RegisterAggregatedDiscoveryServiceServer(transport, server.NewServer(context.Background(), mux, nil))
	return transport.Serve(listener)
}
