package main

import (
	"math/bits"
	"sync"
)

// A name is a number from 0, for each type by itself, so that what a stream has and wants is an array.
type name = uint32

type namesOfType struct {
	mu     sync.RWMutex
	byText map[string]name
	texts  []string
}

func (n *namesOfType) of(text string) name {
	n.mu.RLock()
	known, ok := n.byText[text]
	n.mu.RUnlock()
	if ok {
		return known
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if known, ok := n.byText[text]; ok {
		return known
	}
	if n.byText == nil {
		n.byText = map[string]name{}
	}
	made := name(len(n.texts))
	n.byText[text] = made
	n.texts = append(n.texts, text)
	return made
}

func (n *namesOfType) text(of name) string {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.texts[of]
}

// set is a set of names.
type set []uint64

func (s *set) add(n name) {
	for int(n/64) >= len(*s) {
		*s = append(*s, 0)
	}
	(*s)[n/64] |= 1 << (n % 64)
}

func (s set) has(n name) bool { return int(n/64) < len(s) && s[n/64]&(1<<(n%64)) != 0 }

func (s set) empty() bool {
	for _, word := range s {
		if word != 0 {
			return false
		}
	}
	return true
}

// without is s minus other.
func (s set) without(other set) set {
	left := append(set(nil), s...)
	for i := range left {
		if i < len(other) {
			left[i] &^= other[i]
		}
	}
	return left
}

func (s set) each(f func(name)) {
	for i, word := range s {
		for ; word != 0; word &= word - 1 {
			f(name(i*64 + bits.TrailingZeros64(word)))
		}
	}
}

// held is what a stream has of a type, by name; in pages, for the names of one type may be other proxies'.
type held struct {
	pages []*[64]*resource
}

func (h *held) get(n name) *resource {
	if page := int(n / 64); page < len(h.pages) && h.pages[page] != nil {
		return h.pages[page][n%64]
	}
	return nil
}

func (h *held) put(n name, r *resource) {
	page := int(n / 64)
	if page >= len(h.pages) {
		if r == nil {
			return
		}
		h.pages = append(h.pages, make([]*[64]*resource, page+1-len(h.pages))...)
	}
	if h.pages[page] == nil {
		h.pages[page] = new([64]*resource)
	}
	h.pages[page][n%64] = r
}

func (h *held) each(f func(name, *resource)) {
	for i, page := range h.pages {
		if page == nil {
			continue
		}
		for j, r := range page {
			if r != nil {
				f(name(i*64+j), r)
			}
		}
	}
}
