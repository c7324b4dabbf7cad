package kafka

import (
	"errors"
	"fmt"
	"time"

	"vitrine/bridge"
	"vitrine/bridge/kafka/fault"
	"vitrine/bridge/kafka/flow"
	"vitrine/internal/logkey"
)

// standstill is why a partition is not read on, and since when.
type standstill struct {
	why   *fault.Error
	since time.Time
	// from is the offset from which records came that cannot be read; nothing where
	// none come.
	from int64
	// told tells that the log has it.
	told bool
}

// nothing is the offset of a partition of which no records come.
const nothing = -1

// holdUp notes why a partition cannot be read, from an offset on or, with nothing,
// because none of it comes; with nil that something comes. It is false where that is
// nobody's business: the partition is another member's, or was read.
func (s *Source) holdUp(at bridge.Place, f *fault.Error, from int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.held[at]
	switch {
	case s.parts[at] == nil:
		return false
	case f == nil && (was == nil || was.from != nothing):
		return false
	case f == nil:
		delete(s.held, at)
	case was == nil:
		s.held[at] = &standstill{why: f, since: s.opt.Now(), from: from}
	case was.from == nothing && from != nothing:
		return false // it came before
	default:
		was.why, was.from = f, from
	}
	return true
}

// readOn notes that a partition is read up to an offset. It is true where the log was
// told that its records could not be.
func (s *Source) readOn(at bridge.Place, to int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.held[at]
	if was == nil || was.from == nothing || to <= was.from {
		return false
	}
	delete(s.held, at)
	return was.told
}

// remindEvery is how often the log is told that records wait.
const remindEvery = 5 * time.Minute

// waiting says that records wait here, and why: all, or those of a partition, which are
// told until it is read on, whatever comes of others.
func (s *Source) waiting(err error) {
	hint := "the records stay in the cluster meanwhile"
	var own interface{ Hint() string }
	if errors.As(err, &own) {
		hint = own.Hint() + "; " + hint
	}
	f := fault.New(fmt.Sprintf("reading waits: %v", err), hint)
	var at bridge.Place
	if of := (*flow.Unread)(nil); errors.As(err, &of) {
		if at = of.At; !s.holdUp(at, f, of.From) {
			return
		}
	}
	if s.remind(at, f) {
		s.opt.Log.Warn("kafka: reading waits", logkey.Error, err, logkey.Hint, hint)
	}
}

// remind tells whether to tell the log that a partition waits, or by none all do, which
// the status says then.
func (s *Source) remind(at bridge.Place, f *fault.Error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at == (bridge.Place{}) {
		s.status.Error, s.status.Hint = f.Error(), f.Hint()
	}
	now := s.opt.Now()
	if now.Sub(s.reminded[at]) < remindEvery {
		return false
	}
	s.reminded[at] = now
	if h := s.held[at]; h != nil {
		h.told = true
	}
	return true
}
