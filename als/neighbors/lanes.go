package neighbors

import (
	"math"

	"vitrine/als/internal/keys"
)

// lanes hold what the sources of a blend have said, each what it said, until it is
// known what its scores are divided by.
type lanes struct {
	all []lane
	n   int // of those that are used
}

// lane is what one source says: items, each once, with their scores beside them,
// which count scale times. One that the source itself has is not copied.
type lane struct {
	items  []uint32
	scores []float32
	scale  float32
	own    []uint32  // memory for items
	room   []float32 // and for scores
}

// lister is a source that has its scores as a list, highest first, with each item
// once, whatever the history.
type lister interface {
	list() (items []uint32, scores []float32)
}

// begin forgets the lanes of the query before.
func (l *lanes) begin() { l.n = 0 }

// next is a lane that is not used yet.
func (l *lanes) next() *lane {
	if l.n == len(l.all) {
		l.all = append(l.all, lane{})
	}
	return &l.all[l.n]
}

// take moves what a source said out of part, which is empty then.
func (l *lane) take(part *Scores) {
	l.own, part.items = part.items, l.own
	l.items = l.own[:part.n]
	if cap(l.room) < part.n {
		l.room = make([]float32, cap(l.own))
	}
	l.scores = l.room[:part.n]
	for at, item := range l.items {
		l.scores[at] = part.sums[item]
		part.sums[item] = 0
	}
	part.n = 0
}

// highest is the highest score of what may be shown, 0 when all are below it.
func (l *lane) highest(q *Query) float32 {
	highest := float32(0)
	for at, v := range l.scores {
		if v > highest && q.shows(l.items[at]) {
			highest = v
		}
	}
	return highest
}

// keep uses the next lane with its scores multiplied by scale. Where that is no
// finite number, because the source had no positive score, it never was: what
// only it named is no candidate.
func (l *lanes) keep(scale float32) {
	if scale-scale == 0 {
		l.all[l.n].scale = scale
		l.n++
	}
}

// add adds what all lanes say to s.
func (l *lanes) add(s *Scores) {
	for n := range l.all[:l.n] {
		from := &l.all[n]
		s.addAll(from.items, from.scores, from.scale)
	}
}

// take returns an item's score, 0 without one. From then on it is as if it
// were not there.
func (s *Scores) take(item uint32) float32 {
	v, ok := s.Get(item)
	if ok {
		s.sums[item] = float32(math.NaN())
	}
	return v
}

// within forgets all items but those that were not taken and do not come behind
// limit with extra on top of their scores. It adds their keys to dst.
func (s *Scores) within(limit uint64, extra float32, dst []uint64) []uint64 {
	lowest := float32(math.Inf(-1))
	if limit != math.MaxUint64 {
		lowest, _ = keys.Split(limit)
	}
	items := s.Items()
	s.n = 0
	for _, item := range items {
		v := s.sums[item]
		s.sums[item] = 0
		if v+extra >= lowest { // few are, and NaN never
			if key := keys.Of(v+extra, item); key <= limit {
				dst = append(dst, key)
				s.sums[item], s.items[s.n] = v, item
				s.n++
			}
		}
	}
	return dst
}
