package main

import "google.golang.org/protobuf/encoding/protowire"

// each calls f for every length-delimited field of a message, and number for every varint. A message that cannot be read ends it with false.
func each(message []byte, f func(protowire.Number, []byte), number func(protowire.Number, uint64)) bool {
	for len(message) > 0 {
		field, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return false
		}
		message = message[n:]
		switch kind {
		case protowire.BytesType:
			value, n := protowire.ConsumeBytes(message)
			if n < 0 {
				return false
			}
			f(field, value)
			message = message[n:]
		case protowire.VarintType:
			value, n := protowire.ConsumeVarint(message)
			if n < 0 {
				return false
			}
			if number != nil {
				number(field, value)
			}
			message = message[n:]
		default:
			n := protowire.ConsumeFieldValue(field, kind, message)
			if n < 0 {
				return false
			}
			message = message[n:]
		}
	}
	return true
}

// under calls f for every message that is found by following the field numbers of path.
func under(message []byte, f func([]byte), path ...protowire.Number) {
	if len(path) == 0 {
		f(message)
		return
	}
	each(message, func(field protowire.Number, value []byte) {
		if field == path[0] {
			under(value, f, path[1:]...)
		}
	}, nil)
}

// text is the first string at path, "" where there is none.
func text(message []byte, path ...protowire.Number) (found string) {
	done := false
	under(message, func(value []byte) {
		if !done {
			found, done = string(value), true
		}
	}, path...)
	return found
}

// has tells whether anything is at path.
func has(message []byte, path ...protowire.Number) (found bool) {
	under(message, func([]byte) { found = true }, path...)
	return found
}

func appendText(to []byte, field protowire.Number, value string) []byte {
	if value == "" {
		return to
	}
	return protowire.AppendString(protowire.AppendTag(to, field, protowire.BytesType), value)
}

func appendMessage(to []byte, field protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(to, field, protowire.BytesType), value)
}

func appendNumber(to []byte, field protowire.Number, value uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(to, field, protowire.VarintType), value)
}
