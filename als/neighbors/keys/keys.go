// Package keys makes one number of a score and a row, so that ranking sorts
// plain numbers.
//
// It owns their order and the choice of the best of many. It knows nothing of
// what is ranked, and imports nothing of this module.
package keys

import "math"

// Of makes a key of a score that is not NaN and a row. Keys sort ascending in
// the order of answers: falling score, then rising row.
func Of(score float32, row uint32) uint64 {
	bits := math.Float32bits(score + 0) // makes -0 equal to 0
	if bits>>31 != 0 {
		bits = ^bits
	} else {
		bits |= 1 << 31
	}
	return uint64(^bits)<<32 | uint64(row)
}

// Split returns what a key was made of.
func Split(key uint64) (float32, uint32) {
	bits := ^uint32(key >> 32)
	if bits>>31 != 0 {
		bits &^= 1 << 31
	} else {
		bits = ^bits
	}
	return math.Float32frombits(bits), uint32(key)
}

// Smallest reorders keys so that the k smallest, which are the k best, come
// first, in no order, and returns them.
func Smallest(keys []uint64, k int) []uint64 {
	k = max(k, 0)
	if k >= len(keys) {
		return keys
	}
	for lo, hi := 0, len(keys)-1; lo < hi; {
		pivot := median(keys[lo], keys[lo+(hi-lo)/2], keys[hi])
		i, j := lo, hi
		for i <= j {
			for keys[i] < pivot {
				i++
			}
			for keys[j] > pivot {
				j--
			}
			if i <= j {
				keys[i], keys[j] = keys[j], keys[i]
				i++
				j--
			}
		}
		switch {
		case k <= j:
			hi = j
		case k >= i:
			lo = i
		default:
			return keys[:k]
		}
	}
	return keys[:k]
}

func median(a, b, c uint64) uint64 {
	return max(min(a, b), min(max(a, b), c))
}

// Best leaves the k best keys, in no order, and returns the worst of them:
// what comes behind it is not among the k best. Fewer than k bound nothing.
func Best(keys []uint64, k int) (best []uint64, limit uint64) {
	if best = Smallest(keys, k); len(best) < k {
		return best, math.MaxUint64
	}
	for _, key := range best {
		limit = max(limit, key)
	}
	return best, limit
}
