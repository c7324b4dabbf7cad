package rules

import (
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

// shownCount counts for one user and item from the time of the first one on.
type shownCount struct {
	key         uint64
	since, last int64
	times       int
}

// Count is how often an item was shown to a user in the span of time that began
// when it was first shown and is not over yet; times and span in Unix ms.
func (s *Shown) Count(user, item uint32, now, span int64) int {
	key := mix(uint64(user)<<32 | uint64(item))
	sh := &s.shards[key%shownShards]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if c := sh.find(key); c != nil && now-c.since < span {
		return c.times
	}
	return 0
}

// Served counts the items of a list that was shown to a user; span is the
// longest that anybody asks Count for.
func (s *Shown) Served(user uint32, items []uint32, now, span int64) {
	for _, item := range items {
		key := mix(uint64(user)<<32 | uint64(item))
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
	longest := int64(0)
	for _, s := range p.of(Cap) {
		longest = max(longest, s.span)
	}
	if longest > 0 {
		p.shown.Served(f.User, f.Items, f.Now, longest)
	}
}
