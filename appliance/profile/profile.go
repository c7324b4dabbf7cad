// Package profile holds the recent history of every user, and how popular
// every item is now: what the next answer reads and each event changes.
//
// It owns the histories in RAM: compact interactions in the order of their
// time, capped by signal. It is filled from the log, at start from the
// archive and the bus, then by each frame. It must not import catalog (codes
// come through an interface), recommend, or anything of als.
package profile

import (
	"math"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"vitrine/appliance/frame"
	"vitrine/appliance/signal"
	"vitrine/bridge/event"
)

// Codes gives users and items their codes, new ones at first sight.
type Codes interface {
	InternUser(id string) uint32
	InternItem(id string) uint32
}

// Store holds the histories. One goroutine at a time may add to it; any number
// may read meanwhile.
type Store struct {
	sig *signal.Signal
	// weigher is sig by the measure that the live model was trained with.
	weigher atomic.Pointer[signal.Signal]
	codes   Codes
	shards  [numShards]shard
	users   atomic.Int64
	newest  atomic.Int64
	popular popularity
	trend   trend
	windows windows
	weighed weighed
	scratch sync.Pool // of *scratch
}

// numShards is a power of two. Users are spread by the low bits of their
// code, so that new ones do not all meet in one shard.
const numShards = 64

type shard struct {
	mu        sync.RWMutex
	histories []history // by code / numShards
	// kept are the histories as they were when the store was frozen, once they
	// are captured.
	frozen, captured bool
	kept             []history
	_                [16]byte // own cache line
}

// history is what is kept of one user.
type history struct {
	// events are sorted by time, equal times in the order of arrival. They
	// may be more than signal's cap leaves: it is applied when the slice is
	// full and when the history is read.
	events []signal.Interaction
	// floor is the time of the newest event that fell to the cap: an older one
	// that arrives late must fall too, or the history would depend on when it
	// came.
	floor int64
	seq   uint64
}

// New returns an empty store.
func New(sig *signal.Signal, codes Codes) *Store {
	s := &Store{sig: sig, codes: codes}
	s.weigher.Store(sig)
	s.newest.Store(math.MinInt64)
	s.popular.halfLife = float64(sig.HalfLife().Milliseconds())
	s.trend.short.halfLife = newTrendLife(s.popular.halfLife)
	return s
}

// Apply adds the events of a frame. The position in the log does not matter,
// only that equal times of one user come in log order.
func (s *Store) Apply(_ uint64, records []event.Record) {
	for j := range records {
		switch u := &records[j].User; records[j].Kind {
		case event.KindEvent:
		case event.KindUserErase:
			s.take(u.ID)
			continue
		case event.KindUserMerge:
			s.merge(u.ID, u.Into)
			continue
		default:
			continue
		}
		e := &records[j].Event
		s.see(e.Time)
		in, ok := s.sig.Interaction(e, 0)
		if !ok {
			continue
		}
		in.Item = s.codes.InternItem(e.ItemID)
		s.add(s.codes.InternUser(e.UserID), in)
	}
}

func (s *Store) see(t int64) {
	if t > s.newest.Load() {
		s.newest.Store(t)
	}
}

func (s *Store) add(user uint32, in signal.Interaction) {
	if s.insert(user, in) {
		strength := s.sig.Strength(&in)
		s.popular.add(in.Item, in.Time, strength)
		s.trend.short.add(in.Item, in.Time, strength)
	}
}

// insert puts an interaction into a history; false means that it is there
// already: ingest forgets event ids after its window, the history does not.
func (s *Store) insert(user uint32, in signal.Interaction) bool {
	sh := &s.shards[user%numShards]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.capture()
	at := int(user / numShards)
	for len(sh.histories) <= at {
		sh.histories = append(sh.histories, history{floor: math.MinInt64})
	}
	h := &sh.histories[at]
	if h.holds(&in) {
		return false
	}
	if h.seq == 0 {
		s.users.Add(1)
	}
	h.seq++
	if len(h.events) == cap(h.events) {
		sh.own(h)
		h.makeRoom(s.sig)
	}
	// Only now: making room may have raised the floor.
	if in.Time >= h.floor {
		if n := len(h.events); n > 0 && h.events[n-1].Time > in.Time {
			sh.own(h)
		}
		h.insert(in)
	}
	return true
}

// holds looks for the same event among those of its time, from the newest: a
// new event ends the search at once.
func (h *history) holds(in *signal.Interaction) bool {
	if in.ID == 0 {
		return false
	}
	at := len(h.events)
	if at > 0 && h.events[at-1].Time > in.Time {
		at = sort.Search(at, func(j int) bool { return h.events[j].Time > in.Time })
	}
	for at--; at >= 0 && h.events[at].Time == in.Time; at-- {
		if h.events[at].Same(in) {
			return true
		}
	}
	return false
}

// makeRoom applies the cap, and grows the slice where that does not free
// enough to make the next call rare.
func (h *history) makeRoom(sig *signal.Signal) {
	n := len(h.events)
	kept := sig.Trim(h.events)
	if dropped := n - len(kept); dropped > 0 {
		h.floor = h.events[dropped-1].Time
	}
	if len(kept) <= n-n/8-1 {
		h.events = append(h.events[:0], kept...)
		return
	}
	// Growing by a quarter, not by two: most of the RAM of this package is
	// these slices.
	grown := make([]signal.Interaction, len(kept), len(kept)+len(kept)/4+2)
	copy(grown, kept)
	h.events = grown
}

// insert puts an event behind all that are not newer: mostly at the end.
func (h *history) insert(in signal.Interaction) {
	at := len(h.events)
	if at > 0 && h.events[at-1].Time > in.Time {
		at = sort.Search(at, func(j int) bool { return h.events[j].Time > in.Time })
	}
	h.events = slices.Insert(h.events, at, in)
}

// History returns the capped history of a user in dst's memory, sorted by
// time, and the number of events that it has seen of him, which changes with
// every one of them. It is empty for a user without events.
func (s *Store) History(user uint32, dst []signal.Interaction) ([]signal.Interaction, uint64) {
	dst, seq := s.read(user, dst[:0])
	return s.sig.Trim(dst), seq
}

// read appends the kept events of a user to dst.
func (s *Store) read(user uint32, dst []signal.Interaction) ([]signal.Interaction, uint64) {
	sh := &s.shards[user%numShards]
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	if at := int(user / numShards); at < len(sh.histories) {
		h := &sh.histories[at]
		return append(dst, h.events...), h.seq
	}
	return dst, 0
}

// Measure has Weights weigh by m from now on: a model can only read the measure
// that it was trained with, whatever the next one will be trained with.
func (s *Store) Measure(m signal.Measure) { s.weigher.Store(s.sig.As(m)) }

// Weights adds to dst the items of a visitor's capped history with the
// weights that signal gives them at the time reference, in the order of
// their codes. The visitor is a user, or frame.NoUser, who has just looked at
// the items of session, oldest first.
func (s *Store) Weights(user uint32, session []uint32, reference int64, dst *frame.Frame) {
	o := occasion{user: user, reference: reference, weigher: s.weigher.Load()}
	known := user != frame.NoUser && len(session) == 0
	if known {
		if o.seq = s.sequence(user); s.weighed.get(&o, dst) {
			return
		}
	}
	sc := s.getScratch()
	defer s.scratch.Put(sc)
	var h []signal.Interaction
	h, o.seq = s.visitor(user, session, reference, sc)
	sc.weights = o.weigher.Weigh(h, reference, sc.weights)
	for _, w := range sc.weights {
		dst.Add(w.Item, w.Weight)
	}
	if known {
		s.weighed.put(&o, sc.weights)
	}
}

// Places appends to dst the items of the newest places of that history, at most
// most of them, oldest first, as signal puts them in order.
func (s *Store) Places(user uint32, session []uint32, most int, dst []uint32) []uint32 {
	o := occasion{user: user}
	known := user != frame.NoUser && len(session) == 0
	if known {
		o.seq = s.sequence(user)
		if out, ok := s.weighed.placesOf(&o, most, dst); ok {
			return out
		}
	}
	sc := s.getScratch()
	defer s.scratch.Put(sc)
	var h []signal.Interaction
	h, o.seq = s.visitor(user, session, math.MinInt64, sc)
	sc.order = s.sig.Sequence(h, most, sc.order[:0])
	begin := len(dst)
	for _, in := range sc.order {
		dst = append(dst, in.Item)
	}
	if known {
		s.weighed.putPlaces(&o, most, dst[begin:])
	}
	return dst
}

// sequence changes with every change of a user's history; 0 is none.
func (s *Store) sequence(user uint32) uint64 {
	sh := &s.shards[user%numShards]
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	if at := int(user / numShards); at < len(sh.histories) {
		return sh.histories[at].seq
	}
	return 0
}

// visitor is the capped history of a user, if there is one, with its sequence
// number, and behind it what his session shows to have been looked at, not
// before now.
func (s *Store) visitor(user uint32, session []uint32, now int64, sc *scratch) (h []signal.Interaction, seq uint64) {
	h = sc.history[:0]
	if user != frame.NoUser {
		h, seq = s.read(user, h)
	}
	if len(h) > 0 {
		now = max(now, h[len(h)-1].Time)
	}
	for _, item := range session {
		h = append(h, s.sig.View(item, now))
	}
	sc.history = h
	return s.sig.Trim(h), seq
}

func (s *Store) getScratch() *scratch {
	if sc, ok := s.scratch.Get().(*scratch); ok {
		return sc
	}
	return new(scratch)
}

// scratch is the working memory of one look at a history.
type scratch struct {
	history []signal.Interaction
	order   []signal.Interaction
	weights []signal.Weighted
}

// Users is the number of users with a history.
func (s *Store) Users() int { return int(s.users.Load()) }

// Newest is the time of the newest event, in Unix milliseconds; 0 before the
// first one.
func (s *Store) Newest() int64 {
	if t := s.newest.Load(); t != math.MinInt64 {
		return t
	}
	return 0
}

// Popular adds to dst the n most popular items, best first: the sum of what
// signal makes of each of their events alone, halved with each half-life of
// age before the newest event. Removes do not count. An answer may be as old
// as it takes to compute twenty of them, about a millisecond in a small shop.
func (s *Store) Popular(n int, dst *frame.Frame) {
	s.popular.top(n).add(n, dst)
}

// Strengths writes how popular each of the items is, on the scale of Popular.
func (s *Store) Strengths(items []uint32, dst []float32) { s.popular.strengths(items, dst) }
