package neighbors

import (
	"math"
	"slices"

	"vitrine/als/internal/keys"
	"vitrine/als/topk"
)

// decide ranks the candidates by s.sum and scale times what the factor model
// says, of whose best items s.hits are the first. Every other item scores no
// more with it than the last of them. So a candidate whose sum does not reach
// the K best with even that much is passed over, and of some thousand only a
// few dozen cost an inner product, which is a walk to memory each. The rest are
// looked at in the order of what they can reach, for then the K best are known
// soon.
func (b *Blend) decide(q *Query, scale float32, dst []topk.Hit, s *Scratch) []topk.Hit {
	best := s.sum.keys[:0]
	for _, hit := range s.hits {
		score := hit.Score
		if q.Cosine { // the search divides in another order
			score = b.Factors.score(q, hit.Row)
		}
		if v := s.sum.take(hit.Row) + scale*score; v == v {
			best = append(best, keys.Of(v, hit.Row))
		}
	}
	best, limit := keys.Best(best, q.K)
	open := s.sum.within(limit, scale*b.ceiling(q, s), s.reach[:0])
	s.reach = open
	for n := max(q.K, 1); len(open) > 0; n *= 2 {
		next := keys.Smallest(open, n)
		open = open[len(next):]
		s.rows = s.rows[:0]
		for _, key := range next {
			if _, item := keys.Split(key); key <= limit && q.shows(item) {
				s.rows = append(s.rows, item)
			}
		}
		for at, says := range b.Factors.scores(q, s) {
			item := s.rows[at]
			sum, _ := s.sum.Get(item)
			if v := sum + scale*says; v == v {
				best = append(best, keys.Of(v, item))
			}
		}
		best, limit = keys.Best(best, q.K)
		open = slices.DeleteFunc(open, func(key uint64) bool { return key > limit })
	}
	s.sum.keys = best
	slices.Sort(best)
	return hitsOf(best, dst)
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
