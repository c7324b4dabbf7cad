package catalog

import "sync/atomic"

// changes remember which items changed last, so that what was computed from
// attributes is brought up to date without looking at all items again. There is
// one writer at a time; readers take no lock.
type changes struct {
	// n counts the changes; change number j lies at place j mod the length.
	n    atomic.Uint64
	ring [keptChanges]atomic.Uint32
}

// keptChanges is how far behind a reader may be (256 KiB). One that is further
// behind looks at all items.
const keptChanges = 1 << 16

func (c *changes) add(item uint32) {
	n := c.n.Load()
	c.ring[n%keptChanges].Store(item)
	c.n.Store(n + 1)
}

// since adds to dst the items that changed after the first n changes, and
// counts the changes there are; false means that they are not known any more.
func (c *changes) since(n uint64, dst []uint32) ([]uint32, uint64, bool) {
	now := c.n.Load()
	if now-n > keptChanges {
		return dst, now, false
	}
	for j := n; j < now; j++ {
		dst = append(dst, c.ring[j%keptChanges].Load())
	}
	// The writer may have come round meanwhile; one more, for the place that
	// it writes before it counts.
	return dst, now, c.n.Load()+1-n <= keptChanges
}
