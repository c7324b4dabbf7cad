package neighbors

import (
	"slices"

	"vitrine/als/topk"
)

// Scores collects the scores of the few items that a query touches, over a
// catalogue of any size. The zero value is empty and ready.
type Scores struct {
	cells   []cell
	touched []uint32
	epoch   uint32
	keys    []uint64
}

// cell holds an item's sum and the epoch it belongs to, side by side: one
// cache line per item touched, and clearing costs nothing.
type cell struct {
	epoch uint32
	sum   float32
}

// Reset forgets all scores and makes room for the given number of items.
func (s *Scores) Reset(items int) {
	if len(s.cells) < items {
		s.cells = make([]cell, items)
		s.epoch = 0
	}
	s.touched = s.touched[:0]
	s.epoch++
	if s.epoch == 0 { // after 2^32 queries the old marks could come true again
		clear(s.cells)
		s.epoch = 1
	}
}

// Add adds v to an item's score. Items beyond what Reset made room for are
// passed over.
func (s *Scores) Add(item uint32, v float32) {
	if int64(item) >= int64(len(s.cells)) {
		return
	}
	c := &s.cells[item]
	if c.epoch != s.epoch {
		*c = cell{s.epoch, v}
		s.touched = append(s.touched, item)
		return
	}
	c.sum += v
}

// addAll adds weight * scores[n] to items[n]; scores may be longer.
func (s *Scores) addAll(items []uint32, scores []float32, weight float32) {
	cells, epoch := s.cells, s.epoch
	scores = scores[:len(items)]
	for n, item := range items {
		if int64(item) >= int64(len(cells)) {
			continue
		}
		c := &cells[item]
		if c.epoch != epoch {
			*c = cell{epoch, weight * scores[n]}
			s.touched = append(s.touched, item)
			continue
		}
		c.sum += weight * scores[n]
	}
}

// Get returns an item's score, and whether it has one.
func (s *Scores) Get(item uint32) (float32, bool) {
	if int64(item) >= int64(len(s.cells)) || s.cells[item].epoch != s.epoch || s.epoch == 0 {
		return 0, false
	}
	return s.cells[item].sum, true
}

// Items returns the items that have a score, in the order in which they came.
// It is valid until the next Add or Reset.
func (s *Scores) Items() []uint32 { return s.touched }

// Max returns the highest score of the items not excluded, 0 when all are
// below it or there is none.
func (s *Scores) Max(exclude []uint64) float32 { return s.max(&Query{Exclude: exclude}) }

func (s *Scores) max(q *Query) float32 {
	highest := float32(0)
	for _, item := range s.touched {
		if v := s.cells[item].sum; v > highest && q.shows(item) {
			highest = v
		}
	}
	return highest
}

// Top returns the k items with the highest scores, best first, equal ones by
// rising row, without those whose bit is set in exclude (bit r%64 of word
// r/64) and without NaN. The answer reuses dst.
func (s *Scores) Top(k int, exclude []uint64, dst []topk.Hit) []topk.Hit {
	return s.top(&Query{K: k, Exclude: exclude}, dst)
}

func (s *Scores) top(q *Query, dst []topk.Hit) []topk.Hit {
	s.keys = s.keys[:0]
	for _, item := range s.touched {
		if v := s.cells[item].sum; v == v && q.shows(item) {
			s.keys = append(s.keys, encodeKey(v, item))
		}
	}
	best := smallest(s.keys, q.K)
	slices.Sort(best)
	return hitsOf(best, dst)
}

// take returns an item's score, 0 without one, and forgets it.
func (s *Scores) take(item uint32) float32 {
	v, known := s.Get(item)
	if known {
		s.cells[item].epoch = 0
	}
	return v
}

// within adds to dst the keys of the items that were not taken, with extra on
// top of their scores, as far as they do not come behind limit.
func (s *Scores) within(limit uint64, extra float32, dst []uint64) []uint64 {
	for _, item := range s.touched {
		if c := s.cells[item]; c.epoch == s.epoch {
			if v := c.sum + extra; v == v {
				if key := encodeKey(v, item); key <= limit {
					dst = append(dst, key)
				}
			}
		}
	}
	return dst
}

// hitsOf writes keys out, in dst's memory.
func hitsOf(keys []uint64, dst []topk.Hit) []topk.Hit {
	dst = slices.Grow(dst[:0], len(keys))
	for _, key := range keys {
		v, item := decodeKey(key)
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
