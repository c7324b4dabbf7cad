package rules

import (
	"slices"
	"sync"

	"vitrine/appliance/frame"
)

// Shown counts how often items were shown to users, for caps. It is bounded:
// 2^18 counts (8 MiB), of which those not touched for longest give way. The
// counts live in RAM and begin anew with each start.
type Shown struct {
	shards [shownShards]shownShard
}

const (
	shownShards = 64
	shownSlots  = 1 << 12 // of a shard
	shownWays   = 4       // places that a pair may have
)

type shownShard struct {
	mu    sync.Mutex
	slots []shownCount
}

// shownCount counts for one user, item and span of time, from the time of the
// first one on.
type shownCount struct {
	key         uint64
	since, last int64
	times       int
}

// shownKey stands for a user, an item and a span: caps of several spans count
// apart, for what is over for the one goes on for the other.
func shownKey(user, item uint32, span int64) uint64 {
	return mix(mix(uint64(user)<<32|uint64(item)) ^ uint64(span))
}

// Count is how often an item was shown to a user in the span of time that began
// when it was first shown and is not over yet; times and span in Unix ms.
func (s *Shown) Count(user, item uint32, now, span int64) int {
	key := shownKey(user, item, span)
	sh := &s.shards[key%shownShards]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if c := sh.find(key); c != nil && now-c.since < span {
		return c.times
	}
	return 0
}

// Served counts the items of a list that was shown to a user, for a span that
// Count will be asked for.
func (s *Shown) Served(user uint32, items []uint32, now, span int64) {
	for _, item := range items {
		key := shownKey(user, item, span)
		s.shards[key%shownShards].served(key, now, span)
	}
}

func (sh *shownShard) served(key uint64, now, span int64) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.slots == nil {
		sh.slots = make([]shownCount, shownSlots)
	}
	c := sh.find(key)
	if c == nil {
		first := sh.first(key)
		c = &sh.slots[first]
		for w := range shownWays {
			if o := &sh.slots[first+w]; o.last < c.last {
				c = o
			}
		}
		*c = shownCount{key: key, since: now}
	}
	if now-c.since >= span {
		c.since, c.times = now, 0
	}
	c.times++
	c.last = now
}

func (sh *shownShard) first(key uint64) int {
	return int(key / shownShards % (shownSlots / shownWays) * shownWays)
}

func (sh *shownShard) find(key uint64) *shownCount {
	if sh.slots == nil {
		return nil
	}
	first := sh.first(key)
	for w := range shownWays {
		if c := &sh.slots[first+w]; c.key == key && c.times > 0 {
			return c
		}
	}
	return nil
}

// Served tells the caps of a plan what a visitor was shown.
func (p *Plan) Served(f *frame.Frame) {
	if p == nil || f.User == frame.NoUser {
		return
	}
	caps := p.of(Cap)
	for j, s := range caps {
		// Caps of one span share their counts.
		if !slices.ContainsFunc(caps[:j], func(o *step) bool { return o.span == s.span }) {
			p.shown.Served(f.User, f.Items, f.Now, s.span)
		}
	}
}
