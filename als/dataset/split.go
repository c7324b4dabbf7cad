package dataset

import "slices"

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
	if len(times) == 0 {
		return Cut{}
	}
	old := len(times) - int(min(max(share, 0), 1)*float64(len(times)))
	lo, hi := slices.Min(times), slices.Max(times)
	// Smallest t with at least old events at or before it. The middle is
	// taken without a sum that could overflow.
	for lo < hi {
		mid := lo + int64(uint64(hi-lo)/2)
		if n, _ := count(times, mid); n >= old {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	upTo, ties := count(times, lo)
	return Cut{Time: lo, Ties: old - (upTo - ties)}
}

// count returns how many times are at or before t, and how many are exactly t.
func count(times []int64, t int64) (upTo, ties int) {
	for _, v := range times {
		if v <= t {
			upTo++
		}
		if v == t {
			ties++
		}
	}
	return upTo, ties
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
