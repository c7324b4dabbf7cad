package trainer

import (
	"context"
	"iter"
	"math"
	"runtime"
	"slices"
	"sync"

	"vitrine/als/dataset"
	"vitrine/appliance/signal"
)

// testShare is the part of the newest interactions that the model is judged
// on and does not see before.
const testShare = 0.1

// beyondReference is the share of the newest events that do not move the
// reference: a few clicks years after an old log must not make all of it weigh
// nothing. They count as if they happened at the reference.
const beyondReference = 0.01

// reference is the time of the newest of n events but for the last hundredth,
// at least one where there are twenty. The times are in any order.
func reference(n int, times iter.Seq[[]int64]) int64 {
	share := beyondReference
	if n >= 20 && n < 100 {
		share = 1 / float64(n)
	}
	return dataset.TimeCutOf(times, share).Time
}

// window is the training data: every interaction that enters a history,
// grouped by user, in the order in which a profile holds it.
type window struct {
	// userIDs and itemIDs name the rows.
	userIDs, itemIDs []string
	// user u's interactions are starts[u] to starts[u+1]-1 of events, by time,
	// equal times in log order.
	starts []int64
	events columns
	// newest is the time that ages count from; see reference.
	newest int64
	// position is the last bus sequence that the archive held.
	position uint64
}

// columns are interactions, column by column: 11 bytes each, 15 when any of
// them has a value, where a signal.Interaction takes 24.
type columns struct {
	items []uint32
	// A time in Unix milliseconds, of the years 1970 to 9999, has 48 bits.
	timesLow  []uint32
	timesHigh []uint16
	types     []uint8
	// values is nil when no event has one.
	values []float32
	// sessions are hashes of the events' sessions, 0 for none; nil when no event
	// has one.
	sessions []uint16
}

func makeColumns(n int, values, sessions bool) columns {
	c := columns{
		items: make([]uint32, n), timesLow: make([]uint32, n), timesHigh: make([]uint16, n), types: make([]uint8, n),
	}
	if values {
		c.values = make([]float32, n)
	}
	if sessions {
		c.sessions = make([]uint16, n)
	}
	return c
}

func (c *columns) time(i int) int64 { return int64(c.timesHigh[i])<<32 | int64(c.timesLow[i]) }

// at is the event at place i.
func (c *columns) at(i int) signal.Interaction {
	in := signal.Interaction{Time: c.time(i), Value: noValue(), Item: c.items[i], Type: c.types[i]}
	if c.values != nil {
		in.Value = c.values[i]
	}
	if c.sessions != nil {
		in.Session = c.sessions[i]
	}
	return in
}

func noValue() float32 { return float32(math.NaN()) }

// span is a part of the interactions of a user: from the lo-th to before the
// hi-th, counted from his first.
type span func(user int) (lo, hi int)

// whole is the span of all of them.
func (w *window) whole(user int) (lo, hi int) { return 0, int(w.starts[user+1] - w.starts[user]) }

// count is the number of interactions.
func (w *window) count() int { return len(w.events.items) }

// release gives the interactions up; the ids stay.
func (w *window) release() { w.events, w.starts = columns{}, nil }

// of writes a part of a user's interactions to dst[:0].
func (w *window) of(user int, part span, dst []signal.Interaction) []signal.Interaction {
	lo, hi := part(user)
	dst = slices.Grow(dst[:0], hi-lo)[:hi-lo]
	for i := range dst {
		dst[i] = w.events.at(int(w.starts[user]) + lo + i)
	}
	return dst
}

// times are those of a part of every user's interactions, some thousand at a
// time; the slice is overwritten by the next.
func (w *window) times(part span) iter.Seq[[]int64] {
	return func(yield func([]int64) bool) {
		const piece = 4096
		times := make([]int64, 0, piece)
		for user := range w.userIDs {
			lo, hi := part(user)
			for at := int(w.starts[user]) + lo; at < int(w.starts[user])+hi; at++ {
				if times = append(times, w.events.time(at)); len(times) == piece {
					if !yield(times) {
						return
					}
					times = times[:0]
				}
			}
		}
		yield(times)
	}
}

// split finds, for every user, how many of his interactions belong to the
// older part, the reference of those, and the time of the cut.
func (w *window) split() (old []int32, newestOld, cutTime int64) {
	cut := dataset.TimeCutOf(w.times(w.whole), testShare)
	cutTime = cut.Time
	old = make([]int32, len(w.userIDs))
	n := 0
	for user := range w.userIDs {
		for at := w.starts[user]; at < w.starts[user+1] && cut.Old(w.events.time(int(at))); at++ {
			old[user]++
		}
		n += int(old[user])
	}
	older := func(user int) (lo, hi int) { return 0, int(old[user]) }
	return old, reference(n, w.times(older)), cutTime
}

// matrix weighs a part of every user's interactions, ages counted from now, on
// all cores.
func (w *window) matrix(ctx context.Context, sig *signal.Signal, now int64, part span) (*dataset.CSR, error) {
	// Trim would drop what is before: a robot's events need not be unpacked.
	newest := func(user int) (lo, hi int) {
		lo, hi = part(user)
		return max(lo, hi-sig.MaxEvents()), hi
	}
	room := make([]int64, len(w.userIDs)+1)
	for user := range w.userIDs {
		lo, hi := part(user)
		// What Trim leaves has no more items.
		room[user+1] = room[user] + int64(min(hi-lo, sig.MaxItems()))
	}
	return dataset.FromRows(ctx, len(w.itemIDs), room, 0, func() dataset.RowFunc {
		var events []signal.Interaction
		var row []signal.Weighted
		return func(user int, cols []uint32, weights []float32) (int, error) {
			events = w.of(user, newest, events)
			row = sig.Weigh(sig.Trim(events), now, row)
			for i, c := range row {
				cols[i], weights[i] = c.Item, c.Weight
			}
			return len(row), nil
		}
	})
}

// popularityParts is how many ranges of users add up popularity side by side.
// A fixed number, so that the sums do not depend on the number of cores.
const popularityParts = 16

// popularity is every item's decayed weight over a part of the window, bounded
// so that a few ratings without measure are not more than a float32 can hold.
func (w *window) popularity(sig *signal.Signal, now int64, part span) []float32 {
	bounds := w.ranges(popularityParts)
	parts := make([][]float64, popularityParts)
	inParallel(popularityParts, func(p int) {
		sums := make([]float64, len(w.itemIDs))
		for user := bounds[p]; user < bounds[p+1]; user++ {
			lo, hi := part(user)
			for at := int(w.starts[user]) + lo; at < int(w.starts[user])+hi; at++ {
				in := w.events.at(at)
				sums[in.Item] += sig.Strength(&in) * sig.Decay(now-in.Time)
			}
		}
		parts[p] = sums
	})
	out := make([]float32, len(w.itemIDs))
	for i := range out {
		sum := 0.0
		for p := range parts {
			sum += parts[p][i]
		}
		out[i] = float32(min(sum, math.MaxFloat32))
	}
	return out
}

// ranges cuts the users into n ranges of about as many interactions each:
// range p is users bounds[p] to bounds[p+1]-1.
func (w *window) ranges(n int) []int {
	bounds := make([]int, n+1)
	user := 0
	for p := range n {
		bounds[p] = user
		for want := int64(p+1) * int64(w.count()) / int64(n); user < len(w.userIDs) && w.starts[user+1] <= want; {
			user++
		}
	}
	bounds[n] = len(w.userIDs)
	return bounds
}

// inParallel calls fn for 0..n-1 on all cores.
func inParallel(n int, fn func(i int)) {
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			fn(i)
		})
	}
	wg.Wait()
}
