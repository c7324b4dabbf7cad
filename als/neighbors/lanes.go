package neighbors

import (
	"math"

	"vitrine/als/internal/keys"
)

// lanes hold the scores of several sources for one set of items: each source
// adds to sums of its own, and what its scores are divided by is known when it
// has said all. So every item's place is looked up while it is scored, and all
// that comes behind goes through short slices from end to end.
type lanes struct {
	sums   [][]float32 // all 0 while they are not used
	scales []float32   // of those that are used
}

// begin forgets the lanes of the query before.
func (l *lanes) begin() { l.scales = l.scales[:0] }

// next makes s add to a lane of its own. It returns how many items there are,
// for keep.
func (l *lanes) next(s *Scores) (from int) {
	if len(l.scales) == len(l.sums) {
		l.sums = append(l.sums, nil)
	}
	at := len(l.scales)
	s.sums, l.sums[at] = l.sums[at], s.sums
	s.reserve(0)
	return s.n
}

// keep ends the lane: its scores will be multiplied by scale. Where that is no
// finite number, because the source had no positive score, it never was: what
// only it named is no candidate.
func (l *lanes) keep(s *Scores, from int, scale float32) {
	at := len(l.scales)
	s.sums, l.sums[at] = l.sums[at], s.sums
	if scale-scale != 0 {
		clear(l.sums[at][:s.n])
		s.n = from
		return
	}
	l.scales = append(l.scales, scale)
}

// add makes the weighted sum of all lanes the scores of s.
func (l *lanes) add(s *Scores) {
	s.reserve(0)
	total := s.sums[:s.n]
	for at, scale := range l.scales {
		lane := l.sums[at]
		lane = lane[:min(len(lane), len(total))]
		for n, v := range lane {
			total[n] += scale * v
		}
		clear(lane)
	}
}

// take returns an item's score, 0 without one. From then on it is as if it
// were not there.
func (s *Scores) take(item uint32) float32 {
	at, ok := s.find(item)
	if !ok {
		return 0
	}
	v := s.sums[at]
	s.sums[at] = float32(math.NaN())
	return v
}

// within adds to dst the keys of the items that were not taken, with extra on
// top of their scores, as far as they do not come behind limit.
func (s *Scores) within(limit uint64, extra float32, dst []uint64) []uint64 {
	lowest := float32(math.Inf(-1))
	if limit != math.MaxUint64 {
		lowest, _ = keys.Split(limit)
	}
	for at, v := range s.sums[:s.n] {
		if v += extra; v >= lowest { // few are, and NaN never
			if key := keys.Of(v, s.items[at]); key <= limit {
				dst = append(dst, key)
			}
		}
	}
	return dst
}
