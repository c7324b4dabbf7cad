package neighbors

import (
	"math"
	"slices"

	"vitrine/als/internal/f32"
	"vitrine/als/internal/keys"
	"vitrine/als/model"
	"vitrine/als/topk"
)

// DefaultDepth is how many of the factor model's best items enter a blend.
const DefaultDepth = 200

// Repeat is the source of the items that the history already holds, the newest
// with score 1, every older one with Decay times the score of the one after
// it. Where people come back to what they looked at, it is worth a small weight.
type Repeat struct {
	// Decay is within 0 to 1; 0 is DefaultDecay.
	Decay float32
}

// Score implements Source.
func (r Repeat) Score(history []uint32, out *Scores, _ *Scratch) {
	decay := r.Decay
	setDefault(&decay, float32(DefaultDecay))
	weight := float32(1)
	for n := len(history) - 1; n >= 0 && weight >= negligible; n-- {
		if v, _ := out.Get(history[n]); v == 0 { // not an earlier place of the same item
			out.Add(history[n], weight)
		}
		weight *= decay
	}
}

// Factors is the factor model as a part of a blend.
type Factors struct {
	// Index finds the best items; Model scores the candidates of the others.
	Index *topk.Index
	Model *model.Model
	// Norms are the lengths of the item rows, for Query.Cosine; see Norms.
	Norms []float32
}

// Norms returns the length of every item's row.
func Norms(m *model.Model) []float32 {
	norms := make([]float32, m.NumItems)
	for i := range norms {
		row := m.Items[i*m.Rank : (i+1)*m.Rank]
		norms[i] = float32(math.Sqrt(float64(f32.Dot(row, row))))
	}
	return norms
}

// Weighted is a source and what it weighs in a blend.
type Weighted struct {
	Source Source
	Weight float32
}

// Blend adds up sources whose scores have nothing in common: each one's are
// divided by its highest among the items that may be shown, and multiplied by
// its weight,
//
//	score(i) = sum_s weight_s * score_s(i) / max_j score_s(j)
//
// A source without a positive score adds nothing. Candidates are the items
// that any source names, and the Depth best of the factor model; the factor
// model scores them all, so that an item which both find is not judged by one
// alone. A Blend is read-only and safe for concurrent use.
type Blend struct {
	// Items is the size of the catalogue.
	Items   int
	Sources []Weighted
	// Factors is the factor model, nil for none.
	Factors      *Factors
	FactorWeight float32
	// Depth is how many of the model's items are candidates; 0 is DefaultDepth.
	Depth int
}

// Query is one request to a Blend.
type Query struct {
	// History is what the user or session touched, oldest first.
	History []uint32
	// Vector is the user's factor vector; nil leaves the factor model out.
	Vector []float32
	// Cosine asks for items that are like Row: the factor model then scores by
	// the cosine with that item's factors, and Vector plays no part. Row itself
	// is no answer.
	Cosine bool
	Row    uint32
	// Exclude has a bit for every item that may not be shown; nil excludes none.
	Exclude []uint64
	// Hidden are such items too, in the scan order of the factor model's index,
	// which saves a search the way there; nil hides none.
	Hidden *topk.Mask
	// K is the number of items wanted.
	K int
	// Nearest are the factor model's best items, as many as Blend.Nearest tells,
	// where Searched says that they were looked for beforehand.
	Nearest  []topk.Hit
	Searched bool
}

// Rank returns the K items with the highest score, best first, equal ones by
// rising row. The answer reuses dst. Nothing allocates once s has grown.
func (b *Blend) Rank(q Query, dst []topk.Hit, s *Scratch) []topk.Hit {
	return b.rank(&q, dst, s)
}

func (b *Blend) rank(q *Query, dst []topk.Hit, s *Scratch) []topk.Hit {
	highest := float32(0)
	if b.FactorWeight > 0 {
		// Before the sources, whose sums it would take out of the near caches.
		highest = b.nearest(q, s)
	}
	m := b.mix(q, s)
	if highest > 0 {
		return b.decide(q, &m, b.FactorWeight/highest, dst, s)
	}
	m.rest(&s.named)
	best := s.best[:0]
	for at, item := range s.named.items {
		if v := s.named.scores[at]; v == v && q.shows(item) {
			best = append(best, keys.Of(v, item))
		}
	}
	s.best = best
	return hitsOf(keys.Smallest(best, q.K), dst)
}

// part leaves one source's scores in s.part.
func (b *Blend) part(source Source, q *Query, s *Scratch) {
	s.part.Reset(b.Items)
	source.Score(q.History, &s.part, s)
}

// nearest leaves the factor model's best items in s.hits and returns the
// highest score; 0 when there is no model or no vector.
func (b *Blend) nearest(q *Query, s *Scratch) float32 {
	s.hits = s.hits[:0]
	if b.Factors == nil || !b.Factors.answers(q) {
		return 0
	}
	if q.Searched {
		s.hits = append(s.hits, q.Nearest...)
		return highest(s.hits)
	}
	hidden := q.Hidden
	if q.Exclude != nil || hidden == nil {
		if s.hidden.Reset(b.Factors.Index); hidden != nil {
			s.hidden.Copy(hidden)
		}
		s.hidden.HideRows(q.Exclude)
		hidden = &s.hidden
	}
	if q.Cosine {
		s.hits = b.Factors.Index.Similar(q.Row, b.Nearest(q.K), hidden, s.hits, &s.search)
	} else {
		s.hits = b.Factors.Index.Search(q.Vector, b.Nearest(q.K), hidden, s.hits, &s.search)
	}
	return highest(s.hits)
}

// highest is the first hit's score, 0 without one.
func highest(hits []topk.Hit) float32 {
	if len(hits) == 0 {
		return 0
	}
	return hits[0].Score
}

// Nearest is how many of the factor model's best items are candidates for the k
// best of the blend.
func (b *Blend) Nearest(k int) int {
	depth := b.Depth
	setDefault(&depth, DefaultDepth)
	return max(depth, k)
}

// answers tells whether the factor model has something to say.
func (f *Factors) answers(q *Query) bool {
	if q.Cosine {
		return int64(q.Row) < int64(len(f.Norms)) && f.Norms[q.Row] > 0
	}
	return len(q.Vector) == f.Index.Rank()
}

// score is the factor model's score of an item; 0 for one it does not know.
func (f *Factors) score(q *Query, item uint32) float32 {
	if f.unknown(item) {
		return 0
	}
	if !q.Cosine {
		return f32.Dot(q.Vector, f.row(item))
	}
	if f.Norms[item] == 0 {
		return 0
	}
	return f32.Dot(f.row(q.Row), f.row(item)) / f.Norms[q.Row] / f.Norms[item]
}

// scores are those of s.rows, in s.dots. Asked about together, rows come from
// memory together.
func (f *Factors) scores(q *Query, s *Scratch) []float32 {
	s.dots = slices.Grow(s.dots[:0], len(s.rows))[:len(s.rows)]
	if !q.Cosine && !slices.ContainsFunc(s.rows, f.unknown) {
		f.Model.Scores(s.dots, q.Vector, s.rows)
		return s.dots
	}
	for at, row := range s.rows {
		s.dots[at] = f.score(q, row)
	}
	return s.dots
}

// unknown tells whether the factor model does not have an item.
func (f *Factors) unknown(item uint32) bool { return int64(item) >= int64(f.Model.NumItems) }

func (f *Factors) row(item uint32) []float32 {
	k := f.Model.Rank
	return f.Model.Items[int(item)*k : (int(item)+1)*k]
}

// Exclude sets the bits of items in a bitmap of Query.Exclude's form, which it
// grows to the given number of items and clears first.
func Exclude(dst []uint64, items int, rows []uint32) []uint64 {
	words := (items + 63) / 64
	dst = slices.Grow(dst[:0], words)[:words]
	clear(dst)
	for _, row := range rows {
		if int64(row) < int64(items) {
			dst[row>>6] |= 1 << (row & 63)
		}
	}
	return dst
}
