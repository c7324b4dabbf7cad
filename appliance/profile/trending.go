package profile

import (
	"math"
	"time"

	"vitrine/appliance/frame"
)

const (
	// trendLife is the half-life of what trending calls new, at most a quarter
	// of the one that popularity has.
	trendLife = 2 * 24 * time.Hour
	// trendPrior is the weight of events that are expected of any item, so that
	// three clicks on an unknown one are no trend.
	trendPrior = 5
)

// trend finds the items whose new events exceed what their own past lets
// expect: every item's strength is added up twice, with a long half-life and
// with a short one.
type trend struct {
	short popularity
	cache rankings
}

func newTrendLife(halfLife float64) float64 {
	return min(float64(trendLife.Milliseconds()), halfLife/4)
}

// rank selects the items that rise most, in standard deviations of a Poisson
// count, as als/neighbors does: (S - E) / sqrt(E + prior), E being the share of
// the long sum that the short one would have if nothing had changed.
func (t *trend) rank(long *popularity, n int) *ranking {
	expected, _ := long.snapshot()
	scores, version := t.short.snapshot()
	share := t.short.halfLife / long.halfLife
	for item := range scores {
		past := 0.0
		if item < len(expected) {
			past = share * expected[item]
		}
		scores[item] = (scores[item] - past) / math.Sqrt(past+trendPrior)
	}
	r := best(scores, n)
	r.version = version
	return r
}

// Trending adds to dst the n items that rise most above their own past, best
// first; only those that do. It is as old as Popular may be.
func (s *Store) Trending(n int, dst *frame.Frame) {
	r := s.trend.cache.top(n, s.trend.short.version.Load(), func(n int) *ranking { return s.trend.rank(&s.popular, n) })
	r.add(n, dst)
}

// add adds the first n items.
func (r *ranking) add(n int, dst *frame.Frame) {
	for j := range r.items[:min(n, len(r.items))] {
		dst.Add(r.items[j], r.scores[j])
	}
}
