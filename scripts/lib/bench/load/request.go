package main

import (
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
	"weft.dev/bench/dump"
)

// nodeOf is the core.v3.Node of an Envoy 1.40.0: id 1, cluster 2, user_agent_name 6, user_agent_build_version 8, client_features 10.
func nodeOf(id string) []byte {
	var version []byte
	version = appendNumber(version, 1, 1)
	version = appendNumber(version, 2, 40)
	node := appendText(appendText(nil, 1, id), 2, "bench")
	node = appendText(node, 6, "envoy")
	node = appendMessage(node, 8, appendMessage(nil, 1, version))
	return appendText(node, 10, "envoy.lb.does_not_support_overprovisioning")
}

var encodedNames sync.Map // type, field and set -> []byte

// appendNames appends the names of a set, in the order of their numbers; the bytes are shared by all streams with the same set.
func appendNames(to []byte, field protowire.Number, kind int, of set) []byte {
	if len(of) == 0 {
		return to
	}
	key := append(make([]byte, 0, 2+8*len(of)), byte(kind), byte(field))
	for _, word := range of {
		key = protowire.AppendFixed64(key, word)
	}
	if known, ok := encodedNames.Load(string(key)); ok {
		return append(to, known.([]byte)...)
	}
	var encoded []byte
	of.each(func(n name) { encoded = appendText(encoded, field, names[kind].text(n)) })
	encodedNames.Store(string(key), encoded)
	return append(to, encoded...)
}

// request sends a first request, a change of subscriptions, or, with a nonce, an ACK.
func (s *stream) request(kind int, more, less set, nonce string) {
	t := &s.types[kind]
	t.asked = true
	var message []byte
	if s.delta {
		// DeltaDiscoveryRequest: node 1, type URL 2, subscribe 3, unsubscribe 4, response nonce 6.
		message = s.withNode(message, 1)
		message = appendText(message, 2, dump.URLs[kind])
		message = appendNames(message, 3, kind, more)
		message = appendNames(message, 4, kind, less)
		message = appendText(message, 6, nonce)
	} else {
		// DiscoveryRequest: version 1, node 2, names 3, type URL 4, response nonce 5.
		message = appendText(message, 1, t.version)
		message = s.withNode(message, 2)
		message = appendNames(message, 3, kind, t.wanted)
		message = appendText(message, 4, dump.URLs[kind])
		message = appendText(message, 5, t.nonce)
	}
	s.conn.send(message)
}

// withNode says once a stream who asks.
func (s *stream) withNode(message []byte, field protowire.Number) []byte {
	if s.node == nil {
		return message
	}
	message = appendMessage(message, field, s.node)
	s.node = nil
	return message
}
