package dataset

import (
	"iter"
	"math"
	"math/bits"
)

// Cut is a point in time that splits events into an older and a newer part.
// Events with a time before Time are old, and so are the first Ties of those
// at exactly Time, in the order in which the events stand.
type Cut struct {
	Time int64
	Ties int
}

// TimeCut returns the cut that leaves the given share (0 to 1) of the events,
// rounded down, in the newer part. It neither sorts nor copies times.
func TimeCut(times []int64, share float64) Cut {
	return TimeCutOf(func(yield func([]int64) bool) { yield(times) }, share)
}

// cutBits is how many bits of a time one pass of TimeCutOf settles.
const cutBits = 16

// TimeCutOf is TimeCut of times that come in pieces. They are walked through
// three or four times, each time in a histogram of what the last pass left
// open, so that 10^8 of them need no memory of their own.
func TimeCutOf(pieces iter.Seq[[]int64], share float64) Cut {
	n, lo, hi := 0, int64(math.MaxInt64), int64(math.MinInt64)
	for times := range pieces {
		n += len(times)
		for _, t := range times {
			lo, hi = min(lo, t), max(hi, t)
		}
	}
	if n == 0 {
		return Cut{}
	}
	// Wanted is the smallest time with at least old events at or before it.
	old := n - int(min(max(share, 0), 1)*float64(n))
	before := 0 // events before lo
	counts := make([]int, 1<<cutBits)
	for {
		// Differences are taken without a sign: hi-lo may not fit with one.
		shift := max(0, bits.Len64(uint64(hi-lo))-cutBits)
		clear(counts)
		for times := range pieces {
			for _, t := range times {
				if t >= lo && t <= hi {
					counts[uint64(t-lo)>>shift]++
				}
			}
		}
		bucket := 0
		for ; before+counts[bucket] < old; bucket++ {
			before += counts[bucket]
		}
		lo += int64(uint64(bucket) << shift)
		if shift == 0 {
			return Cut{Time: lo, Ties: old - before}
		}
		if width := uint64(1)<<shift - 1; uint64(hi-lo) > width {
			hi = lo + int64(width)
		}
	}
}

// Old reports whether the next event, at time t, belongs to the older part. It
// must be asked once per event in order, because it counts the ties down.
func (c *Cut) Old(t int64) bool {
	if t != c.Time {
		return t < c.Time
	}
	c.Ties--
	return c.Ties >= 0
}
