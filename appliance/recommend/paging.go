package recommend

import (
	"errors"
	"hash/maphash"
	"sync"

	"vitrine/appliance/frame"
)

// ErrUnknownList says that no list is remembered under the request id that a
// next page was asked for with.
var ErrUnknownList = errors.New("there is no list under this request id any more")

// ErrOtherUser says that the list before was another user's.
var ErrOtherUser = errors.New("the list before was made for another user")

// Bounds of the memory for next pages (about 30 MiB): whatever is reached
// first, the oldest lists are forgotten.
const (
	maxServed  = 1 << 17 // lists
	servedRoom = 1 << 22 // items of all of them
	// servedFor is how long a next page can be asked for, in milliseconds.
	servedFor = 30 * 60 * 1000
)

// servedLists remember what was on the pages that were served, so that the next
// ones go on behind them. Lists lie in a ring, their items in another one; what
// is overwritten is forgotten.
type servedLists struct {
	mu    sync.Mutex
	seed  maphash.Seed
	byID  map[uint64]uint64 // number of the list
	lists []servedList
	items []uint32
	n     uint64 // lists so far
	at    uint64 // items so far
}

// servedList is one list and those before it.
type servedList struct {
	id    uint64
	time  int64
	at    uint64 // number of its first item
	count int
	user  uint32
}

// add remembers a page under its request id, with the pages before it.
func (s *servedLists) add(requestID string, user uint32, now int64, before []uint32, page []Item) {
	count := len(before) + len(page)
	if requestID == "" || count > servedRoom/4 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID == nil {
		s.seed = maphash.MakeSeed()
		s.byID = make(map[uint64]uint64)
		s.items = make([]uint32, servedRoom)
	}
	id := maphash.String(s.seed, requestID)
	if len(s.lists) < maxServed {
		s.lists = append(s.lists, servedList{})
	} else if old := &s.lists[s.n%maxServed]; s.byID[old.id] == s.n-maxServed {
		delete(s.byID, old.id)
	}
	s.lists[s.n%maxServed] = servedList{id: id, time: now, at: s.at, count: count, user: user}
	s.byID[id] = s.n
	s.n++
	for _, code := range before {
		s.items[s.at%servedRoom] = code
		s.at++
	}
	for j := range page {
		s.items[s.at%servedRoom] = page[j].Code
		s.at++
	}
}

// find adds to dst the items of a list and of those before it, and tells whose
// it was.
func (s *servedLists) find(requestID string, now int64, dst []uint32) (items []uint32, user uint32, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID == nil {
		return dst, frame.NoUser, ErrUnknownList
	}
	id := maphash.String(s.seed, requestID)
	n, known := s.byID[id]
	if !known {
		return dst, frame.NoUser, ErrUnknownList
	}
	l := &s.lists[n%maxServed]
	if l.id != id || s.at-l.at > servedRoom || now-l.time > servedFor {
		return dst, frame.NoUser, ErrUnknownList
	}
	for j := range uint64(l.count) {
		dst = append(dst, s.items[(l.at+j)%servedRoom])
	}
	return dst, l.user, nil
}

// turn takes up the list that the request wants the next page of: its items are
// not shown again.
func (e *Engine) turn(req *Request, sc *scratch) error {
	if req.After == "" {
		return nil
	}
	var user uint32
	var err error
	if sc.before, user, err = e.served.find(req.After, req.Now, sc.before); err != nil {
		return err
	}
	if asked, known := e.deps.Codes.UserCode(req.UserID); known && req.UserID != "" && asked != user {
		return ErrOtherUser
	}
	sc.frame.User = user
	sc.offset = len(sc.before)
	sc.excluded = append(sc.excluded, sc.before...)
	return nil
}
