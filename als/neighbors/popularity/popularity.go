// Package popularity counts what is popular, and what rises against its own
// past: items that are the same for everybody, as sources of a blend.
//
// It owns how events are counted. It imports als/neighbors, whose lists it
// makes, and knows dense rows, never ids or what events are.
//
//	popular, err := popularity.Popular(ctx, events, popularity.Options{Items: n})
package popularity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"vitrine/als/internal/keys"
	"vitrine/als/neighbors"
)

// Events are the interactions that popularity counts, side by side, in any
// order.
type Events struct {
	Items []uint32
	// Times are in any unit, as long as the half-lives are in the same.
	Times []int64
	// Weights are not negative; nil weighs every event 1.
	Weights []float32
}

// Defaults of popular and trending items, for times in milliseconds.
const (
	DefaultTop         = 1000
	DefaultHalfLife    = int64(30 * 24 * time.Hour / time.Millisecond)
	DefaultShortLife   = int64(2 * 24 * time.Hour / time.Millisecond)
	DefaultTrendEvents = 5.0
)

// Options say how popular and trending items are counted. The zero
// value of a field other than Items means the documented default.
type Options struct {
	// Items is the number of items.
	Items int
	// HalfLife is the time in which an event loses half of its weight; 0 is
	// DefaultHalfLife.
	HalfLife int64
	// ShortLife is that of what is called new by Trending, below HalfLife; 0
	// is DefaultShortLife.
	ShortLife int64
	// Now is the time ages count from; 0 is the time of the newest event.
	Now int64
	// Prior is the weight of events that Trending expects for any item, so
	// that three clicks on an unknown one are no trend; 0 is
	// DefaultTrendEvents.
	Prior float64
	// Top is how many items are kept; 0 is DefaultTop.
	Top int
	// Workers is the number of goroutines; 0 is GOMAXPROCS.
	Workers int
}

// Popular ranks items by sum w * 2^(-age / HalfLife). Events after Now count
// as if they were now.
func Popular(ctx context.Context, e Events, opt Options) (*neighbors.Ranked, error) {
	sums, err := decayedSums(ctx, e, &opt, opt.HalfLife)
	if err != nil {
		return nil, fmt.Errorf("count popular items: %w", err)
	}
	return Rank(sums[0], opt.Top), nil
}

// Trending ranks items by how far their new events exceed what their own past
// lets expect, in standard deviations of a Poisson count:
//
//	(S - E) / sqrt(E + Prior)    S = sum w * 2^(-age / ShortLife)
//	                             E = ShortLife / HalfLife * sum w * 2^(-age / HalfLife)
//
// Only items above their expectation are listed.
func Trending(ctx context.Context, e Events, opt Options) (*neighbors.Ranked, error) {
	opt.ShortLife = cmp.Or(opt.ShortLife, DefaultShortLife)
	opt.HalfLife = cmp.Or(opt.HalfLife, DefaultHalfLife)
	opt.Prior = cmp.Or(opt.Prior, DefaultTrendEvents)
	if opt.ShortLife >= opt.HalfLife || !(opt.Prior > 0) {
		return nil, fmt.Errorf("count trending items: short life %d is not below half-life %d, or prior %v is not above 0", opt.ShortLife, opt.HalfLife, opt.Prior)
	}
	sums, err := decayedSums(ctx, e, &opt, opt.HalfLife, opt.ShortLife)
	if err != nil {
		return nil, fmt.Errorf("count trending items: %w", err)
	}
	Rise(sums[1], sums[0], float64(opt.ShortLife)/float64(opt.HalfLife), opt.Prior)
	return Rank(sums[1], opt.Top), nil
}

// Rise replaces every item's sum over the short life by what Trending ranks by;
// long holds the sums over the half-life, share is their quotient.
func Rise(short, long []float64, share, prior float64) {
	for item, s := range short {
		expected := share * long[item]
		short[item] = (s - expected) / math.Sqrt(expected+prior)
	}
}

// eventParts is the number of partial sums that events are added up in. It is
// fixed because sums depend on their grouping, which must not depend on the
// number of cores.
const eventParts = 16

// decayedSums returns, for every half-life, the decayed weight of every item.
func decayedSums(ctx context.Context, e Events, opt *Options, lives ...int64) ([][]float64, error) {
	opt.Top = cmp.Or(opt.Top, DefaultTop)
	opt.Workers = cmp.Or(opt.Workers, runtime.GOMAXPROCS(0))
	for n := range lives {
		lives[n] = cmp.Or(lives[n], DefaultHalfLife)
	}
	if err := e.check(opt, lives); err != nil {
		return nil, err
	}
	if opt.Now == 0 && len(e.Times) > 0 {
		opt.Now = slices.Max(e.Times)
	}
	size := (len(e.Items) + eventParts - 1) / eventParts
	parts := make([][]float64, eventParts)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(opt.Workers, eventParts) {
		wg.Go(func() {
			for p := int(next.Add(1)) - 1; p < eventParts && ctx.Err() == nil; p = int(next.Add(1)) - 1 {
				parts[p] = make([]float64, len(lives)*opt.Items)
				e.addDecayed(parts[p], min(p*size, len(e.Items)), min((p+1)*size, len(e.Items)), opt.Now, lives)
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	for _, part := range parts[1:] {
		for n, v := range part {
			parts[0][n] += v
		}
	}
	sums := make([][]float64, len(lives))
	for n := range lives {
		sums[n] = parts[0][n*opt.Items : (n+1)*opt.Items]
	}
	return sums, nil
}

func (e Events) check(opt *Options, lives []int64) error {
	switch {
	case len(e.Times) != len(e.Items) || (e.Weights != nil && len(e.Weights) != len(e.Items)):
		return fmt.Errorf("%d items, %d times and %d weights", len(e.Items), len(e.Times), len(e.Weights))
	case opt.Items < 0 || opt.Top < 0 || opt.Workers < 0 || slices.Min(lives) < 0:
		return errors.New("negative number of items, places, workers or time")
	}
	for n, item := range e.Items {
		if int64(item) >= int64(opt.Items) {
			return fmt.Errorf("event %d has item %d of %d", n, item, opt.Items)
		}
		if e.Weights != nil && !(e.Weights[n] >= 0 && e.Weights[n] <= math.MaxFloat32) {
			return fmt.Errorf("event %d has weight %v", n, e.Weights[n])
		}
	}
	return nil
}

// addDecayed adds events lo to hi to the sums, one block of items per life.
func (e Events) addDecayed(sums []float64, lo, hi int, now int64, lives []int64) {
	items := len(sums) / len(lives)
	for n := lo; n < hi; n++ {
		weight := 1.0
		if e.Weights != nil {
			weight = float64(e.Weights[n])
		}
		// In floats: the difference of two times may not fit an int64.
		age := max(float64(now)-float64(e.Times[n]), 0)
		for l, life := range lives {
			sums[l*items+int(e.Items[n])] += weight * math.Exp2(-age/float64(life))
		}
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
