package main

import (
	"errors"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
	"weft.dev/bench/dump"
)

// response is a DiscoveryResponse or a DeltaDiscoveryResponse: version 1, resources 2, type URL 4, nonce 5, removed resources 6 (delta).
type response struct {
	kind           int
	url            string
	version, nonce string
	resources      []*resource
	removed        []string
	bytes          int
}

// reader takes a gRPC stream apart as it comes, one field of a response at a time: a client that kept whole responses would need gigabytes.
type reader struct {
	delta   bool
	deliver func(*response)
	// What is read and not taken yet, never more than one field; from a pool, for most of the time there is nothing.
	pending []byte
	// Of the message that is being read; -1 between messages.
	left    int
	current response
	last    *resource
}

const keptBytes = 64 << 10

var buffers = sync.Pool{New: func() any { return make([]byte, 0, keptBytes) }}

func (r *reader) take(data []byte) error {
	if r.pending == nil {
		r.pending = buffers.Get().([]byte)[:0]
	}
	r.pending = append(r.pending, data...)
	rest := r.pending
	for {
		n, err := r.step(rest)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		rest = rest[n:]
	}
	r.pending = r.pending[:copy(r.pending, rest)]
	if len(r.pending) == 0 {
		if cap(r.pending) <= 16*keptBytes {
			buffers.Put(r.pending)
		}
		r.pending = nil
	}
	return nil
}

// step takes one prefix or one field from data; 0 where it is not there as a whole.
func (r *reader) step(data []byte) (int, error) {
	if r.left < 0 {
		if len(data) < 5 {
			return 0, nil
		}
		if data[0] != 0 {
			return 0, errors.New("a compressed message")
		}
		r.left = int(data[1])<<24 | int(data[2])<<16 | int(data[3])<<8 | int(data[4])
		r.current = response{kind: -1, bytes: r.left}
		r.end()
		return 5, nil
	}
	if len(data) == 0 {
		return 0, nil
	}
	whole := data[:min(len(data), r.left)]
	field, kind, n := protowire.ConsumeTag(whole)
	if n < 0 {
		return r.incomplete(whole)
	}
	if kind != protowire.BytesType {
		m := protowire.ConsumeFieldValue(field, kind, whole[n:])
		if m < 0 {
			return r.incomplete(whole)
		}
		return r.took(n + m), nil
	}
	size, m := protowire.ConsumeVarint(whole[n:])
	if m < 0 || n+m+int(size) > len(whole) {
		return r.incomplete(whole)
	}
	r.field(field, whole[n+m:n+m+int(size)])
	return r.took(n + m + int(size)), nil
}

func (r *reader) incomplete(whole []byte) (int, error) {
	if len(whole) == r.left {
		return 0, errors.New("a response that is no protobuf message")
	}
	return 0, nil
}

func (r *reader) took(n int) int {
	r.left -= n
	r.end()
	return n
}

// end delivers the response where its last field was taken.
func (r *reader) end() {
	if r.left > 0 {
		return
	}
	r.left = -1
	r.current.kind = dump.TypeOf(r.current.url)
	r.deliver(&r.current)
	r.current = response{}
}

func (r *reader) field(field protowire.Number, value []byte) {
	switch {
	case field == 1:
		r.current.version = string(value)
	case field == 2:
		r.last = resourceOf(value, r.delta, r.last)
		r.current.resources = append(r.current.resources, r.last)
	case field == 4:
		r.current.url = string(value)
	case field == 5:
		r.current.nonce = string(value)
	case field == 6 && r.delta:
		r.current.removed = append(r.current.removed, string(value))
	}
}
