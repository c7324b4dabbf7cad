package profile

import (
	"math"

	"vitrine/appliance/signal"
)

// take empties the history of a user and returns what it held. What it has
// added to popularity stays: there it is nobody's.
func (s *Store) take(id string) []signal.Interaction {
	user := s.codes.InternUser(id)
	sh := &s.shards[user%numShards]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.capture()
	at := int(user / numShards)
	if at >= len(sh.histories) || sh.histories[at].seq == 0 {
		return nil
	}
	h := &sh.histories[at]
	events := h.events
	// The sequence goes on, so that whoever remembers an answer sees a change.
	*h = history{floor: math.MinInt64, seq: h.seq + 1}
	return events
}

// merge moves the history of a user into another's, which then is as if all
// had been his from the beginning.
func (s *Store) merge(from, into string) {
	if from == into {
		return
	}
	user := s.codes.InternUser(into)
	for _, in := range s.take(from) {
		s.insert(user, in)
	}
}

// Has says whether a user has any history.
func (s *Store) Has(user uint32) bool {
	sh := &s.shards[user%numShards]
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	at := int(user / numShards)
	return at < len(sh.histories) && len(sh.histories[at].events) > 0
}

// Past is one event of a history as it is shown.
type Past struct {
	Item uint32
	Type string
	// Time is Unix milliseconds.
	Time     int64
	Value    float32
	HasValue bool
}

// Recent appends to dst the events of a user's capped history, newest first.
func (s *Store) Recent(user uint32, dst []Past) []Past {
	events, _ := s.History(user, nil)
	for j := len(events) - 1; j >= 0; j-- {
		in := &events[j]
		dst = append(dst, Past{
			Item: in.Item, Type: s.sig.TypeName(in.Type), Time: in.Time, Value: in.Value, HasValue: in.Value == in.Value,
		})
	}
	return dst
}
