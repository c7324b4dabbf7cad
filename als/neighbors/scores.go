package neighbors

import (
	"math"
	"slices"

	"vitrine/als/internal/keys"
	"vitrine/als/topk"
)

// Scores collects the scores of the few items that a query touches, over a
// catalogue of any size. The zero value is empty and ready.
//
// Beside one number an item it has the list of those that have a score, by which
// they are cleared. Whether an item has one is in the number itself, so that one
// walk to memory tells it and adds to it.
type Scores struct {
	sums  []float32 // by item: 0 for one without a score, -0 for a score of 0
	items []uint32  // the first n have a score; what is behind them is left from before
	n     int
	keys  []uint64
	read  uint32 // makes something of what a source reads ahead
}

// Reset forgets all scores and makes room for the given number of items.
func (s *Scores) Reset(items int) {
	for _, item := range s.items[:s.n] {
		s.sums[item] = 0
	}
	s.n = 0
	if len(s.sums) < items {
		s.sums = make([]float32, items)
	}
}

// reserve makes room in the list for so many items more, and for one to write to
// that nobody is.
func (s *Scores) reserve(more int) {
	const spare = 64
	if need := s.n + more + 1; len(s.items) < need {
		s.items = append(s.items, make([]uint32, need+spare-len(s.items))...)
		s.items = s.items[:cap(s.items)]
	}
}

// plus is a sum, which was old, with v added to it, and 1 where there was none.
// It takes no branch, for whether an item came before is what nobody can foretell.
func plus(old, v float32) (sum float32, absent int) {
	raw := math.Float32bits(old + v)
	raw |= (raw - 1) & (1 << 31) // makes 0 to -0, and leaves all others
	return math.Float32frombits(raw), int((uint64(math.Float32bits(old)) - 1) >> 63)
}

// Add adds v to an item's score. Items beyond what Reset made room for are
// passed over.
func (s *Scores) Add(item uint32, v float32) {
	if int64(item) >= int64(len(s.sums)) {
		return
	}
	s.reserve(1)
	sum, absent := plus(s.sums[item], v)
	s.sums[item], s.items[s.n] = sum, item
	s.n += absent
}

// addAll adds weight * scores[n] to items[n]; scores may be longer.
func (s *Scores) addAll(items []uint32, scores []float32, weight float32) {
	s.reserve(len(items))
	s.addRun(items, scores, weight)
}

// addNear adds what sessions say, which have so many places together.
func (s *Scores) addNear(items []uint32, near []neighbor, around []float32, places int) {
	s.reserve(places)
	for j := range near {
		v := &near[j]
		s.addRun(items[v.first:v.end], around[v.near:], v.weight)
	}
}

// addRun is addAll for which room is reserved. It is a function of its own so that
// all it needs is in registers.
func (s *Scores) addRun(items []uint32, scores []float32, weight float32) {
	sums, list, n := s.sums, s.items, s.n
	scores = scores[:len(items)]
	for j, item := range items {
		if int64(item) >= int64(len(sums)) {
			continue
		}
		sum, absent := plus(sums[item], weight*scores[j])
		sums[item], list[n] = sum, item
		n += absent
	}
	s.n = n
}

// Get returns an item's score, and whether it has one.
func (s *Scores) Get(item uint32) (float32, bool) {
	if int64(item) >= int64(len(s.sums)) {
		return 0, false
	}
	v := s.sums[item]
	return v, math.Float32bits(v) != 0
}

// Items returns the items that have a score, in the order in which they came.
// It is valid until the next Add or Reset.
func (s *Scores) Items() []uint32 { return s.items[:s.n] }

// max is the highest score of the items that may be shown, 0 when all are below it
// or there is none.
func (s *Scores) max(q *Query) float32 {
	highest := float32(0)
	for _, item := range s.Items() {
		if v := s.sums[item]; v > highest && q.shows(item) {
			highest = v
		}
	}
	return highest
}

// Top returns the k items with the highest scores, best first, equal ones by
// rising row, without those whose bit is set in exclude (bit r%64 of word
// r/64) and without NaN. The answer reuses dst.
func (s *Scores) Top(k int, exclude []uint64, dst []topk.Hit) []topk.Hit {
	s.keys = s.keys[:0]
	for _, item := range s.Items() {
		if v := s.sums[item]; v == v && !excluded(exclude, item) {
			s.keys = append(s.keys, keys.Of(v, item))
		}
	}
	return hitsOf(keys.Smallest(s.keys, k), dst)
}

// hitsOf returns what keys, which it sorts, are of, in the memory of dst.
func hitsOf(best []uint64, dst []topk.Hit) []topk.Hit {
	slices.Sort(best)
	dst = slices.Grow(dst[:0], len(best))
	for _, key := range best {
		v, item := keys.Split(key)
		dst = append(dst, topk.Hit{Row: item, Score: v})
	}
	return dst
}

// shows tells whether an item may be shown.
func (q *Query) shows(item uint32) bool {
	return !excluded(q.Exclude, item) && (q.Hidden == nil || !q.Hidden.Hides(item)) && !(q.Cosine && item == q.Row)
}

func excluded(exclude []uint64, row uint32) bool {
	word := int(row >> 6)
	return word < len(exclude) && exclude[word]>>(row&63)&1 != 0
}
