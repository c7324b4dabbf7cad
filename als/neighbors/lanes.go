package neighbors

import (
	"math"
	"slices"

	"vitrine/als/internal/f32"
)

// lanes hold what sources of a blend have said, each what it said, until it is
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

// mixture is what the sources of a blend say together: sum, and scale times what
// one of them says, which names far more items than the others do and is left
// where it is.
type mixture struct {
	sum, one *Scores
	scale    float32
	// weights is what the scales are made of, added up: what is shown hardly says
	// more.
	weights float32
}

// mix asks the sources of a blend, in s.sum and s.part.
func (b *Blend) mix(q *Query, s *Scratch) mixture {
	s.lanes.begin()
	one := b.large()
	m := mixture{sum: &s.sum, one: &s.part}
	for n, w := range b.Sources {
		if !(w.Weight > 0) || n == one {
			continue
		}
		lane := s.lanes.next()
		if list, ok := w.Source.(lister); ok {
			lane.items, lane.scores = list.list()
		} else {
			b.part(w.Source, q, s)
			lane.take(&s.part)
		}
		s.lanes.keep(w.Weight / lane.highest(q))
		m.weights += w.Weight
	}
	s.sum.Reset(b.Items)
	s.lanes.add(&s.sum)
	if one < 0 {
		s.part.Reset(b.Items)
		return m
	}
	b.part(b.Sources[one].Source, q, s)
	m.weights += b.Sources[one].Weight
	if m.scale = b.Sources[one].Weight / s.part.max(q); m.scale-m.scale != 0 {
		m.scale = 0
		s.part.Reset(b.Items)
	}
	return m
}

// large is the source that is left where it is, -1 where there is none: of those
// that are no lists the last, which in a Set are the sessions.
func (b *Blend) large() int {
	for n := len(b.Sources) - 1; n >= 0; n-- {
		if _, list := b.Sources[n].Source.(lister); !list && b.Sources[n].Weight > 0 {
			return n
		}
	}
	return -1
}

// take returns an item's score, 0 without one. From then on it is as if it
// were not there.
func (m *mixture) take(item uint32) float32 { return m.sum.take(item) + m.scale*m.one.take(item) }

// rest lists all items with what the sources say of them, which for those that were
// taken is no number, and forgets them.
func (m *mixture) rest(dst *named) {
	dst.reset(m.sum.n + m.one.n)
	sums, others, scale := m.sum.sums, m.one.sums, m.scale
	items, scores := dst.items, dst.scores
	for at, item := range m.sum.Items() {
		other := math.Float32bits(others[item])
		items[at], scores[at] = item, sums[item]+scale*math.Float32frombits(other)
		sums[item] = 0
		// No number where there is one: that takes no branch.
		there := uint32((uint64(other)-1)>>63) - 1
		others[item] = math.Float32frombits(there & nan)
	}
	items, scores = items[m.sum.n:], scores[m.sum.n:]
	for at, item := range m.one.Items() {
		items[at], scores[at] = item, scale*others[item]
		others[item] = 0
	}
	m.sum.n, m.one.n = 0, 0
}

// nan are bits of what is no number.
const nan = 0x7fc00000

// named are items with scores beside them.
type named struct {
	items  []uint32
	scores []float32
}

// reset makes room for so many.
func (n *named) reset(size int) {
	n.items = slices.Grow(n.items[:0], size)[:size]
	n.scores = slices.Grow(n.scores[:0], size)[:size]
}

// bar is a score below high that at least k items reach, and hardly more than twice
// as many where high is near enough;
// minus infinity where fewer than k reach 0.
func (n *named) bar(k int, high float32) float32 {
	// It halves a range by counting, which takes an instruction for many scores.
	const halvings = 16
	low := float32(0)
	if f32.CountAtLeast(n.scores, low) < k {
		return float32(math.Inf(-1))
	}
	for range halvings {
		middle := low + (high-low)/2
		reach := f32.CountAtLeast(n.scores, middle)
		if reach < k {
			high = middle
			continue
		}
		if low = middle; reach <= 2*k {
			break
		}
	}
	return low
}

// take returns an item's score, 0 without one. From then on it is no number.
func (s *Scores) take(item uint32) float32 {
	v, ok := s.Get(item)
	if ok {
		s.sums[item] = math.Float32frombits(nan)
	}
	return v
}
