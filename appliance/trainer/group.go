package trainer

import (
	"context"
	"fmt"
	"math"
	"runtime/debug"
	"slices"
)

// unit is a run of interactions in log order, as they were read: 13 bytes each,
// 17 when any of them has a value.
type unit struct {
	users, items []uint32
	// A time is base and the offset, in milliseconds.
	base    int64
	offsets []uint32
	types   []uint8
	// values and sessions are nil when no event of the unit has one.
	values   []float32
	sessions []uint16
}

// maxEvents bounds the interactions of a window, whose places have 32 bits.
const maxEvents = math.MaxUint32

// group takes the units apart into users, on all cores, and sorts every user's
// events by time. The units come in log order within a day, so that a stable
// sort keeps equal times in log order. The units are emptied on the way, so
// that both forms are not held for long.
func (w *window) group(ctx context.Context, units []unit) error {
	n, values, sessions := 0, false, false
	for i := range units {
		n += len(units[i].users)
		values = values || units[i].values != nil
		sessions = sessions || units[i].sessions != nil
	}
	if n > maxEvents {
		return fmt.Errorf("group interactions: %d are too many, at most %d can be trained on", n, maxEvents)
	}
	w.places(units)
	w.events = makeColumns(n, values, sessions)
	inParallel(len(units), func(i int) {
		if ctx.Err() == nil {
			w.events.scatter(&units[i])
		}
		units[i] = unit{}
	})
	// Reading is over, and training must not find its garbage.
	debug.FreeOSMemory()
	const parts = 64
	bounds := w.ranges(parts)
	inParallel(parts, func(p int) {
		var s timeSorter
		for user := bounds[p]; user < bounds[p+1] && ctx.Err() == nil; user++ {
			s.sort(&w.events, int(w.starts[user]), int(w.starts[user+1]))
		}
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	w.newest = reference(n, w.times(w.whole))
	return nil
}

// places counts the users' events, and puts into users of the units where the
// event goes.
func (w *window) places(units []unit) {
	w.starts = make([]int64, len(w.userIDs)+1)
	for i := range units {
		for _, user := range units[i].users {
			w.starts[user+1]++
		}
	}
	for user := range w.userIDs {
		w.starts[user+1] += w.starts[user]
	}
	next := make([]uint32, len(w.userIDs))
	for user := range next {
		next[user] = uint32(w.starts[user])
	}
	for i := range units {
		users := units[i].users
		for at, user := range users {
			users[at] = next[user]
			next[user]++
		}
	}
}

// scatter writes the events of a unit to their places.
func (c *columns) scatter(u *unit) {
	for i, place := range u.users {
		t := u.base + int64(u.offsets[i])
		c.items[place], c.types[place] = u.items[i], u.types[i]
		c.timesLow[place], c.timesHigh[place] = uint32(t), uint16(t>>32)
	}
	for i, session := range u.sessions {
		c.sessions[u.users[i]] = session
	}
	switch {
	case c.values == nil:
	case u.values == nil:
		for _, place := range u.users {
			c.values[place] = noValue()
		}
	default:
		for i, place := range u.users {
			c.values[place] = u.values[i]
		}
	}
}

// timeSorter is one goroutine's working memory.
type timeSorter struct {
	order  []int
	events columns
}

// sort puts the events lo to hi-1 into the order of time; equal times stay as
// they are.
func (s *timeSorter) sort(c *columns, lo, hi int) {
	sorted := true
	for at := lo + 1; at < hi && sorted; at++ {
		sorted = c.time(at-1) <= c.time(at)
	}
	if sorted {
		return
	}
	s.order = s.order[:0]
	for at := lo; at < hi; at++ {
		s.order = append(s.order, at)
	}
	slices.SortFunc(s.order, func(a, b int) int {
		if d := c.time(a) - c.time(b); d != 0 {
			return int(d)
		}
		return a - b
	})
	if len(s.events.items) < hi-lo {
		s.events = makeColumns(hi-lo, c.values != nil, c.sessions != nil)
	}
	for i, at := range s.order {
		s.events.copy(i, c, at)
	}
	for i := range hi - lo {
		c.copy(lo+i, &s.events, i)
	}
}

// copy makes the event at place i that of from at place at.
func (c *columns) copy(i int, from *columns, at int) {
	c.items[i], c.types[i] = from.items[at], from.types[at]
	c.timesLow[i], c.timesHigh[i] = from.timesLow[at], from.timesHigh[at]
	if c.values != nil {
		c.values[i] = from.values[at]
	}
	if c.sessions != nil {
		c.sessions[i] = from.sessions[at]
	}
}
