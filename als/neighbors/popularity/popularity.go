// Package popularity ranks what is popular, and what rises against its own
// past: items that are the same for everybody, as sources of a blend.
//
// It owns what a trend is, and which items are listed. It imports als/neighbors,
// whose lists it makes, and knows dense rows and their sums, never ids, events
// or how they were added up.
//
//	popular := popularity.Rank(long, 100)
//	popularity.Rise(short, long, share, popularity.DefaultTrendEvents)
//	trending := popularity.Rank(short, 100)
package popularity

import (
	"math"
	"slices"
	"time"

	"vitrine/als/internal/keys"
	"vitrine/als/neighbors"
)

// Defaults of popular and trending items, for times in milliseconds.
const (
	DefaultHalfLife    = int64(30 * 24 * time.Hour / time.Millisecond)
	DefaultShortLife   = int64(2 * 24 * time.Hour / time.Millisecond)
	DefaultTrendEvents = 5.0
)

// Rise replaces every item's sum over the short life by how far it exceeds what
// the item's own past lets expect, in standard deviations of a Poisson count:
//
//	(S - E) / sqrt(E + prior)    S = short = sum w * 2^(-age / short life)
//	                             E = share * long, long = sum w * 2^(-age / half-life)
//
// share is short life / half-life. prior is the weight of events that any item
// is expected to have, so that three clicks on an unknown one are no trend.
func Rise(short, long []float64, share, prior float64) {
	for item, s := range short {
		expected := share * long[item]
		short[item] = (s - expected) / math.Sqrt(expected+prior)
	}
}

// Rank lists the top items with the highest scores, those with scores above 0.
func Rank(scores []float64, top int) *neighbors.Ranked {
	var best []uint64
	for item, v := range scores {
		if s := float32(v); s > 0 {
			best = append(best, keys.Of(min(s, math.MaxFloat32), uint32(item)))
		}
	}
	best = keys.Smallest(best, top)
	slices.Sort(best)
	r := &neighbors.Ranked{}
	for _, key := range best {
		v, item := keys.Split(key)
		r.Items = append(r.Items, item)
		r.Scores = append(r.Scores, v)
	}
	return r
}
