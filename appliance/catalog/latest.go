package catalog

import (
	"slices"
	"sort"
	"sync"

	"vitrine/appliance/frame"
)

// maxLatest is how many of the newest items are remembered.
const maxLatest = 2000

// latest are the items that were first put last, oldest first.
type latest struct {
	mu    sync.RWMutex
	items []uint32
	times []int64
}

// add takes in an item that was put for the first time. They mostly come in
// the order of time, so that it goes to the end; when the list is twice as long
// as it need be its older half is dropped.
func (l *latest) add(item uint32, listed int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := sort.Search(len(l.times), func(j int) bool { return l.times[j] > listed })
	if at == 0 && len(l.times) >= maxLatest {
		return
	}
	l.items, l.times = slices.Insert(l.items, at, item), slices.Insert(l.times, at, listed)
	if len(l.items) >= 2*maxLatest {
		l.items = append(l.items[:0], l.items[maxLatest:]...)
		l.times = append(l.times[:0], l.times[maxLatest:]...)
	}
}

// Latest adds to dst the n items that were first put last, newest first, at
// most maxLatest of them, with the Unix time of that in hours; only those of
// since (Unix milliseconds) and later. What was deleted is among them.
func (c *Catalog) Latest(n int, since int64, dst *frame.Frame) {
	l := &c.latest
	l.mu.RLock()
	defer l.mu.RUnlock()
	const hour = 3_600_000
	for j := len(l.items) - 1; j >= 0 && n > 0 && l.times[j] >= since; j-- {
		dst.Add(l.items[j], float32(float64(l.times[j])/hour))
		n--
	}
}
