// Package pages remembers what was on the pages that were served, so that the
// next ones go on behind them.
//
// It owns that memory and its bounds, and knows lists as request ids, users and
// item codes.
//
//	served.Add("r-1", user, now, nil, []uint32{7, 3})
//	before, user, ok := served.Find("r-1", now, nil)
package pages

import (
	"hash/maphash"
	"sync"

	"vitrine/appliance/frame"
)

// Bounds of the memory (about 30 MiB): whatever is reached first, the oldest
// lists are forgotten.
const (
	maxLists = 1 << 17
	maxItems = 1 << 22 // of all lists
)

// Lifetime is how long a next page can be asked for, in milliseconds.
const Lifetime = 30 * 60 * 1000

// Served are the pages that were served. Lists lie in a ring, their items in
// another one; what is overwritten is forgotten. The zero value is empty and
// takes no memory; it is safe for concurrent use.
type Served struct {
	mu    sync.Mutex
	seed  maphash.Seed
	byID  map[uint64]uint64 // number of the list
	lists []list
	items []uint32
	n     uint64 // lists so far
	at    uint64 // items so far
}

// list is one list and those before it.
type list struct {
	id    uint64
	time  int64
	at    uint64 // number of its first item
	count int
	user  uint32
}

// Add remembers the items of a page under its request id, with those of the
// pages before it. Without an id it does nothing.
func (s *Served) Add(requestID string, user uint32, now int64, before, page []uint32) {
	count := len(before) + len(page)
	if requestID == "" || count > maxItems/4 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID == nil {
		s.seed = maphash.MakeSeed()
		s.byID = make(map[uint64]uint64)
		s.items = make([]uint32, maxItems)
	}
	id := maphash.String(s.seed, requestID)
	if len(s.lists) < maxLists {
		s.lists = append(s.lists, list{})
	} else if old := &s.lists[s.n%maxLists]; s.byID[old.id] == s.n-maxLists {
		delete(s.byID, old.id)
	}
	s.lists[s.n%maxLists] = list{id: id, time: now, at: s.at, count: count, user: user}
	s.byID[id] = s.n
	s.n++
	for _, code := range before {
		s.items[s.at%maxItems] = code
		s.at++
	}
	for _, code := range page {
		s.items[s.at%maxItems] = code
		s.at++
	}
}

// Find adds to dst the items of a list and of those before it, and tells whose
// it was, if it is remembered.
func (s *Served) Find(requestID string, now int64, dst []uint32) (items []uint32, user uint32, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID == nil {
		return dst, frame.NoUser, false
	}
	id := maphash.String(s.seed, requestID)
	n, known := s.byID[id]
	if !known {
		return dst, frame.NoUser, false
	}
	l := &s.lists[n%maxLists]
	if l.id != id || s.at-l.at > maxItems || now-l.time > Lifetime {
		return dst, frame.NoUser, false
	}
	for j := range uint64(l.count) {
		dst = append(dst, s.items[(l.at+j)%maxItems])
	}
	return dst, l.user, true
}
