package neighbors

import (
	"math"

	"vitrine/als/internal/f32"
	"vitrine/als/internal/keys"
	"vitrine/als/topk"
)

// decide ranks the candidates by what the sources say and scale times what the
// factor model says, of whose best items s.hits are the first. Every other item
// scores no more with it than the last of them. So a candidate whose sum does not
// reach the K best with even that much is passed over, and of some thousand only a
// few dozen cost an inner product, which is a walk to memory each. The K whose sum
// is the highest are looked at first, for then the K best are known soon.
func (b *Blend) decide(q *Query, m *mixture, scale float32, dst []topk.Hit, s *Scratch) []topk.Hit {
	best := s.best[:0]
	for _, hit := range s.hits {
		score := hit.Score
		if q.Cosine { // the search divides in another order
			score = b.Factors.score(q, hit.Row)
		}
		if v := m.take(hit.Row) + scale*score; v == v {
			best = append(best, keys.Of(v, hit.Row))
		}
	}
	best, limit := keys.Best(best, q.K)
	m.rest(&s.named)
	extra := scale * b.ceiling(q, s)
	for n, last := max(q.K, 1), false; !last; n *= 4 {
		bar := needed(limit, extra)
		if last = f32.CountAtLeast(s.named.scores, bar) <= n; !last {
			bar = max(bar, s.named.bar(n, m.weights))
			last = math.IsInf(float64(bar), -1)
		}
		s.reach(q, bar)
		for at, says := range b.Factors.scores(q, s) {
			if v := s.sums[at] + scale*says; v == v {
				best = append(best, keys.Of(v, s.rows[at]))
			}
		}
		best, limit = keys.Best(best, q.K)
	}
	s.best = best
	return hitsOf(best, dst)
}

// needed is no more than any sum that comes before limit with extra on top of it.
func needed(limit uint64, extra float32) float32 {
	if limit == math.MaxUint64 {
		return float32(math.Inf(-1))
	}
	if math.IsInf(float64(extra), -1) {
		return float32(math.Inf(1)) // nobody comes before it
	}
	const rounding = 1e-6 // some times that of an addition
	lowest, _ := keys.Split(limit)
	return lowest - extra - rounding*(max(lowest, -lowest)+max(extra, -extra))
}

// reach moves the candidates with a sum of at least bar to s.rows and s.sums, as
// far as they may be shown.
func (s *Scratch) reach(q *Query, bar float32) {
	s.rows, s.sums = s.rows[:0], s.sums[:0]
	for at, v := range s.named.scores {
		if v >= bar { // few are, and NaN never
			item := s.named.items[at]
			s.named.scores[at] = float32(math.NaN())
			if q.shows(item) {
				s.rows, s.sums = append(s.rows, item), append(s.sums, v)
			}
		}
	}
}

// ceiling is a bound on what the factor model says of the candidates that are
// not among s.hits and may be shown.
func (b *Blend) ceiling(q *Query, s *Scratch) float32 {
	bound := float32(math.Inf(-1)) // all that may be shown are among them
	if len(s.hits) == b.Nearest(q.K) {
		if bound = s.hits[len(s.hits)-1].Score; q.Cosine {
			const rounding = 1e-5
			bound += rounding
		}
	}
	if b.Items > b.Factors.Model.NumItems { // it scores 0 what it does not know
		bound = max(bound, 0)
	}
	return bound
}
