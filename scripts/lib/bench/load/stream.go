package main

import (
	"sync"
	"sync/atomic"
	"time"

	"weft.dev/bench/dump"
)

// ofType is what a stream knows of one type.
type ofType struct {
	asked, answered bool
	version, nonce  string
	// What it subscribes to by name; nothing for wildcards.
	wanted set
	// Of the wanted, those of which nothing was heard.
	missing int
	has     held
	absent  set
}

// stream walks the types as an Envoy does: clusters, their endpoints and secrets, then listeners, and what these refer to.
type stream struct {
	id      string
	number  int
	delta   bool
	mu      sync.Mutex
	conn    *connection
	types   [dump.Types]ofType
	started time.Time
	synced  time.Time
	// Called once, when the stream has everything that it wants.
	onSync func()
	// Changed resources that a change round still waits for.
	awaited atomic.Pointer[awaited]
	// Said in the first request.
	node []byte
}

var (
	responses    [dump.Types]atomic.Int64
	lastResponse atomic.Int64
	unreadable   atomic.Int64
)

func wildcard(kind int) bool { return kind == dump.CDS || kind == dump.LDS || kind == dump.VHDS }

// run opens the stream and stays until it ends; the error says why.
func (s *stream) run(conn *connection) error {
	in := reader{delta: s.delta, left: -1, deliver: s.take}
	s.mu.Lock()
	s.conn, s.types, s.node = conn, [dump.Types]ofType{}, nodeOf(s.id)
	s.request(dump.CDS, nil, nil, "")
	s.mu.Unlock()
	return conn.read(in.take)
}

func (s *stream) take(r *response) {
	now := time.Now()
	lastResponse.Store(now.UnixNano())
	if r.kind < 0 {
		unreadable.Add(1)
		return
	}
	responses[r.kind].Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &s.types[r.kind]
	t.version, t.nonce, t.answered = r.version, r.nonce, true
	waiting := s.awaited.Load()
	if !s.delta && (r.kind == dump.CDS || r.kind == dump.LDS) {
		s.replace(r, t, waiting)
	} else {
		for _, one := range r.resources {
			s.put(r.kind, one, waiting)
		}
	}
	for _, gone := range r.removed {
		n := names[r.kind].of(gone)
		t.settle(n)
		t.absent.add(n)
		t.has.put(n, nil)
	}
	// Envoy asks for what it needs to warm up before it ACKs what it took.
	if r.kind == dump.CDS || r.kind == dump.LDS || r.kind == dump.RDS {
		s.follow()
	}
	s.request(r.kind, nil, nil, r.nonce)
	s.advance(now)
	if waiting != nil {
		waiting.settled(s, now)
	}
}

// put takes one resource of a response.
func (s *stream) put(kind int, one *resource, waiting *awaited) {
	if one.bad || one.absent || one.kind != kind {
		unreadable.Add(1)
		return
	}
	t := &s.types[kind]
	if before := t.has.get(one.name); before != one {
		if waiting != nil {
			waiting.saw(kind, one.name)
		}
		t.settle(one.name)
		t.has.put(one.name, one)
	}
}

// replace takes a whole state of the world, which forgets what it does not name.
func (s *stream) replace(r *response, t *ofType, waiting *awaited) {
	before := t.has
	t.has = held{}
	for _, one := range r.resources {
		if one.bad || one.kind != r.kind {
			unreadable.Add(1)
			continue
		}
		if waiting != nil && before.get(one.name) != one {
			waiting.saw(r.kind, one.name)
		}
		t.has.put(one.name, one)
	}
}

// settle notes that something was heard of n.
func (t *ofType) settle(n name) {
	if t.has.get(n) == nil && t.wanted.has(n) && !t.absent.has(n) {
		t.missing--
	}
}

// follow subscribes to what clusters and listeners refer to, and to nothing else.
func (s *stream) follow() {
	var wanted [dump.Types]set
	discover := false
	for _, kind := range []int{dump.CDS, dump.LDS, dump.RDS} {
		s.types[kind].has.each(func(_ name, r *resource) {
			for referred, refs := range r.refs {
				for _, n := range refs {
					wanted[referred].add(n)
				}
			}
			discover = discover || r.vhds
		})
	}
	for kind := range wanted {
		if !wildcard(kind) {
			s.subscribe(kind, wanted[kind])
		}
	}
	if discover && s.delta && !s.types[dump.VHDS].asked {
		s.request(dump.VHDS, nil, nil, "")
	}
}

func (s *stream) subscribe(kind int, wanted set) {
	t := &s.types[kind]
	more, less := wanted.without(t.wanted), t.wanted.without(wanted)
	if more.empty() && less.empty() {
		return
	}
	t.wanted = wanted
	less.each(func(n name) {
		if t.has.get(n) == nil && !t.absent.has(n) {
			t.missing--
		}
		t.has.put(n, nil)
	})
	more.each(func(n name) {
		if t.has.get(n) == nil {
			t.missing++
		}
	})
	s.request(kind, more, less, "")
}

// advance asks for listeners when the clusters are warm, and notes when the stream has everything.
func (s *stream) advance(now time.Time) {
	missing := 0
	for kind := range s.types {
		t := &s.types[kind]
		missing += t.missing
		if t.asked && !t.answered && wildcard(kind) {
			missing++
		}
	}
	if missing > 0 {
		return
	}
	if !s.types[dump.LDS].asked {
		s.request(dump.LDS, nil, nil, "")
	} else if s.synced.IsZero() {
		s.synced = now
		s.onSync()
	}
}
