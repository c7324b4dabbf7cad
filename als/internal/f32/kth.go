package f32

import "math"

// KthLargest is the k-th largest of v, or a smaller number that no other one of
// v lies above, or least where fewer than k that are not NaN reach that. It
// halves the range of numbers by counting: a count takes an instruction for
// eight numbers, where a partition takes mispredicted branches. From a least
// that is not minus infinity it goes up in growing steps first, because the
// k-th rises little from one cut to the next.
func KthLargest(v []float32, k int, least float32) float32 {
	// At least k numbers reach the float of from, less than k that of to.
	from, to := orderedBits(least), orderedBits(float32(math.Inf(1)))+1
	near := uint32(0)
	if !math.IsInf(float64(least), -1) {
		near = 1 << 20
	}
	for from+1 < to {
		middle := from + (to-from)/2
		if near > 0 && near < to-from {
			middle = from + near
			near *= 4 // after six of them it is 0
		}
		switch n := CountAtLeast(v, orderedFloat(middle)); {
		case n == k:
			return orderedFloat(middle)
		case n > k:
			from = middle
		default:
			to, near = middle, 0
		}
	}
	return orderedFloat(from)
}

// orderedBits orders like the floats, which are not NaN; orderedFloat is its
// inverse.
func orderedBits(v float32) uint32 {
	bits := math.Float32bits(v)
	if bits>>31 != 0 {
		return ^bits
	}
	return bits | 1<<31
}

func orderedFloat(bits uint32) float32 {
	if bits>>31 != 0 {
		return math.Float32frombits(bits &^ (1 << 31))
	}
	return math.Float32frombits(^bits)
}
