package topk

import (
	"math"
	"slices"

	"vitrine/als/internal/f32"
	"vitrine/als/internal/keys"
)

// selection keeps the k best of a stream of scored rows.
//
// A hit is one key, which sorts in the order of the answer. Keys are gathered
// until there are an eighth more than wanted, then the surplus is cut off: a
// constant amount of work per hit, where a heap takes log k mispredicted
// branches. A larger surplus makes for fewer cuts, but the bar rises later and
// the scan goes on longer: with half as many again, top 100 of 100k items of
// skewed norms took 19 % more.
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

// newSelection reuses the memory of gathered.
func newSelection(gathered []uint64, k int) selection {
	k = max(k, 0)
	if room := roomFor(k); cap(gathered) < room {
		gathered = make([]uint64, 0, room)
	}
	s := selection{k: k, keys: gathered}
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
		s.least = max(s.least, f32.KthLargest(scores, s.k, float32(math.Inf(-1))))
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
	key := keys.Of(score, row)
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
	s.keys, s.worst = keys.Best(s.keys, s.k)
	least, _ := keys.Split(s.worst)
	s.least = max(s.least, least)
}

// hits returns the best, in order, in the memory of dst.
func (s *selection) hits(dst []Hit) []Hit {
	if len(s.keys) > s.k {
		s.cut()
	}
	return hitsOf(s.keys, dst)
}

// hitsOf returns what keys, which it sorts, are of, in the memory of dst.
func hitsOf(found []uint64, dst []Hit) []Hit {
	slices.Sort(found)
	dst = slices.Grow(dst[:0], len(found))
	for _, key := range found {
		score, row := keys.Split(key)
		dst = append(dst, Hit{row, score})
	}
	return dst
}
