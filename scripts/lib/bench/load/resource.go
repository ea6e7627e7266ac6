package main

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/encoding/protowire"
	"weft.dev/bench/dump"
)

// resource is what the client keeps of one resource: what it must ask for because of it. Equal bytes are one resource, for all streams.
type resource struct {
	kind    int
	name    name
	version string
	// Assignments, secrets, routes and extensions that a proxy with this resource asks for.
	refs [dump.Types][]name
	// A route configuration whose virtual hosts come by themselves.
	vhds bool
	// Kept for dumps only.
	body []byte
	// Names a resource that is absent, or was not to be read.
	absent, bad bool
	hash        uint64
	// What came after it in some response: mostly the same for the next stream, which saves looking it up.
	next atomic.Pointer[resource]
}

var (
	names      [dump.Types]namesOfType
	seed       = maphash.MakeSeed()
	resources  sync.Map // hash -> *resource
	keepBodies bool
)

// resourceOf reads field 2 of a response: an Any, or in delta xDS a Resource, which wraps one.
func resourceOf(raw []byte, delta bool, before *resource) *resource {
	hash := maphash.Bytes(seed, raw)
	if before != nil {
		if next := before.next.Load(); next != nil && next.hash == hash {
			return next
		}
	}
	found, ok := resources.Load(hash)
	if !ok {
		found, _ = resources.LoadOrStore(hash, parse(raw, delta, hash))
	}
	r := found.(*resource)
	if before != nil {
		before.next.Store(r)
	}
	return r
}

func parse(raw []byte, delta bool, hash uint64) *resource {
	r := &resource{kind: -1, hash: hash}
	wrapped := raw
	title := ""
	if delta {
		wrapped = nil
		r.bad = !each(raw, func(field protowire.Number, value []byte) {
			switch field {
			case 1:
				r.version = string(value)
			case 2:
				wrapped = value
			case 3:
				title = string(value)
			}
		}, nil)
		if wrapped == nil {
			r.absent = true
			return r
		}
	}
	url, body := text(wrapped, 1), []byte(nil)
	under(wrapped, func(value []byte) { body = value }, 2)
	if r.kind = dump.TypeOf(url); r.kind < 0 {
		r.bad = true
		return r
	}
	switch r.kind {
	case dump.CDS:
		readCluster(r, body)
	case dump.LDS:
		readListener(r, body)
	case dump.RDS:
		r.vhds = has(body, 9)
	}
	if title == "" {
		title = text(body, 1)
	}
	r.name = names[r.kind].of(title)
	if keepBodies {
		r.body = append([]byte(nil), body...)
	}
	return r
}

func (r *resource) refer(kind int, title string) {
	r.refs[kind] = append(r.refs[kind], names[kind].of(title))
}

// envoy.config.cluster.v3.Cluster: name 1, type 2 (EDS is 3), eds_cluster_config 3, transport_socket 24, transport_socket_matches 43.
func readCluster(r *resource, body []byte) {
	eds := false
	each(body, func(field protowire.Number, value []byte) {
		switch field {
		case 24:
			readTLS(r, value)
		case 43:
			under(value, func(socket []byte) { readTLS(r, socket) }, 3)
		}
	}, func(field protowire.Number, value uint64) { eds = eds || field == 2 && value == 3 })
	if eds {
		assignment := text(body, 3, 2)
		if assignment == "" {
			assignment = text(body, 1)
		}
		r.refer(dump.EDS, assignment)
	}
}

// TransportSocket, whose typed_config 3 is a TLS context; CommonTlsContext is field 1 of both of them, and a secret is
// tls_certificate_sds_secret_configs 6, validation_context_sds_secret_config 7, or within combined_validation_context 8 the field 2.
func readTLS(r *resource, socket []byte) {
	if url := text(socket, 3, 1); !strings.HasSuffix(url, "TlsContext") {
		return
	}
	take := func(secret []byte) {
		if has(secret, 2) {
			r.refer(dump.SDS, text(secret, 1))
		}
	}
	under(socket, func(common []byte) {
		under(common, take, 6)
		under(common, take, 7)
		under(common, take, 8, 2)
	}, 3, 2, 1)
}

// envoy.config.listener.v3.Listener: filter_chains 3, default_filter_chain 25, each with filters 3 and transport_socket 6.
func readListener(r *resource, body []byte) {
	each(body, func(field protowire.Number, chain []byte) {
		if field != 3 && field != 25 {
			return
		}
		under(chain, func(socket []byte) { readTLS(r, socket) }, 6)
		under(chain, func(filter []byte) { readFilter(r, filter) }, 3)
	}, nil)
}

// Filter and HttpFilter: name 1, typed_config 4, config_discovery 5. HttpConnectionManager: rds 3, http_filters 5.
func readFilter(r *resource, filter []byte) {
	if has(filter, 5) {
		r.refer(dump.ECDS, text(filter, 1))
	}
	if !strings.HasSuffix(text(filter, 4, 1), ".HttpConnectionManager") {
		return
	}
	under(filter, func(manager []byte) {
		if routes := text(manager, 3, 2); routes != "" {
			r.refer(dump.RDS, routes)
		}
		under(manager, func(http []byte) { readFilter(r, http) }, 5)
	}, 4, 2)
}
