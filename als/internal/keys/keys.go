// Package keys makes one number of a score and a row, so that ranking sorts
// plain numbers.
//
// It owns their order and the choice of the best of many. It knows nothing of
// what is ranked, and imports nothing of this module.
package keys

import (
	"math"
	"math/bits"
	"slices"
)

// Of makes a key of a score that is not NaN and a row. Keys sort ascending in
// the order of answers: falling score, then rising row.
func Of(score float32, row uint32) uint64 {
	raw := math.Float32bits(score + 0) // makes -0 equal to 0
	raw ^= uint32(int32(raw)>>31) | 1<<31
	return uint64(^raw)<<32 | uint64(row)
}

// Split returns what a key was made of.
func Split(key uint64) (float32, uint32) {
	raw := ^uint32(key >> 32)
	raw ^= uint32(int32(^raw)>>31) | 1<<31
	return math.Float32frombits(raw), uint32(key)
}

// Smallest reorders keys so that the k smallest, which are the k best, come
// first, in no order, and returns them. It takes no branch on a comparison, half
// of which would be foretold wrong.
func Smallest(keys []uint64, k int) []uint64 {
	k = max(k, 0)
	if k >= len(keys) {
		return keys
	}
	const few = 12
	lo, hi := 0, len(keys) // what is wanted ends within them
	for hi-lo > few && lo < k && k < hi {
		part := keys[lo:hi]
		pivot := median(part[0], part[len(part)/2], part[len(part)-1])
		n := split(part, pivot)
		if n == 0 { // the pivot is the least, which it is alone among few
			n = split(part, pivot+1)
		}
		if lo+n <= k {
			lo += n
		} else {
			hi = lo + n
		}
	}
	if lo < k && k < hi {
		slices.Sort(keys[lo:hi])
	}
	return keys[:k]
}

// split puts the keys below a pivot first and returns how many there are.
func split(part []uint64, pivot uint64) int {
	n := 0
	for i, key := range part {
		part[i], part[n] = part[n], key
		_, below := bits.Sub64(key, pivot, 0)
		n += int(below)
	}
	return n
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
