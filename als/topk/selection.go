package topk

import (
	"math"
	"slices"
)

// selection keeps the k best of a stream of scored rows.
//
// A hit is one uint64 key that sorts ascending in the order of the answer:
// falling score, then rising row. Keys are gathered until there are an eighth
// more than wanted, then the surplus is cut off by quickselect: a constant
// amount of work per hit, where a heap takes log k mispredicted branches. A
// larger surplus makes for fewer cuts, but the bar rises later and the scan
// goes on longer: with half as many again, top 100 of 100k items of skewed norms took
// 19 % more.
type selection struct {
	k    int
	keys []uint64
	// worst is the largest key that is still wanted. No row with a score below
	// least can be among the best. Both stay at "everything" until more than k
	// were offered.
	worst uint64
	least float32
}

// slack is how many keys are gathered beyond nine eighths of k, so that small
// k do not select all the time.
const slack = 16

// roomFor is how many keys are gathered before a cut.
func roomFor(k int) int { return k + k/8 + slack }

// newSelection reuses the memory of keys.
func newSelection(keys []uint64, k int) selection {
	k = max(k, 0)
	if room := roomFor(k); cap(keys) < room {
		keys = make([]uint64, 0, room)
	}
	s := selection{k: k, keys: keys}
	s.reset()
	return s
}

// reset forgets what was offered.
func (s *selection) reset() {
	s.keys, s.worst, s.least = s.keys[:0], math.MaxUint64, float32(math.Inf(-1))
}

// offer takes rows with their scores; NaN is none.
func (s *selection) offer(scores []float32, rows []uint32) {
	if len(scores) > s.k {
		s.least = max(s.least, kthLargest(scores, s.k, float32(math.Inf(-1))))
	}
	for i, score := range scores {
		// NaN compares false.
		if score >= s.least {
			s.offerOne(score, rows[i])
		}
	}
}

// offerOne takes a row whose score is not NaN and not below least.
func (s *selection) offerOne(score float32, row uint32) {
	key := encodeKey(score, row)
	if s.k == 0 || key > s.worst {
		return
	}
	s.keys = append(s.keys, key)
	if len(s.keys) >= roomFor(s.k) {
		s.cut()
	}
}

// cut keeps the k best keys and learns the bar that later ones must pass.
func (s *selection) cut() {
	selectSmallest(s.keys, s.k)
	s.keys = s.keys[:s.k]
	s.worst = slices.Max(s.keys)
	least, _ := decodeKey(s.worst)
	s.least = max(s.least, least)
}

// hits returns the best, in order, in the memory of dst.
func (s *selection) hits(dst []Hit) []Hit {
	if len(s.keys) > s.k {
		s.cut()
	}
	slices.Sort(s.keys)
	dst = slices.Grow(dst[:0], len(s.keys))
	for _, key := range s.keys {
		score, row := decodeKey(key)
		dst = append(dst, Hit{row, score})
	}
	return dst
}

// encodeKey makes the key of a score that is not NaN. Positive floats order
// like their bits, negative ones in reverse; adding zero makes -0 equal to 0.
func encodeKey(score float32, row uint32) uint64 {
	return uint64(^orderedBits(score+0))<<32 | uint64(row)
}

func decodeKey(key uint64) (float32, uint32) {
	return orderedFloat(^uint32(key >> 32)), uint32(key)
}

// selectSmallest reorders keys so that the k smallest come first, k < len.
func selectSmallest(keys []uint64, k int) {
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
			return
		}
	}
}

func median(a, b, c uint64) uint64 {
	return max(min(a, b), min(max(a, b), c))
}
