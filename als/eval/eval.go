// Package eval measures rankings over the full catalogue, and predicted ratings.
//
// It owns the metrics and their intervals; the splits that they are taken over
// are those of als/dataset (time, leave-last-out, folds). It may import the other
// packages of als; it must not know events, ids, configuration or files, and
// it has no sampled metrics, because those can reverse the order of two models
// (Krichene and Rendle, KDD 2020).
//
//	result, err := eval.Ranking(ctx, eval.Input{
//		Targets: test, Mask: train, Factors: m, Ks: []int{10},
//	})
//	fmt.Println(result.Mean(eval.NDCG, 10))
package eval

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"vitrine/als/dataset"
	"vitrine/als/internal/f32"
	"vitrine/als/model"
)

// Metric is a ranking metric of one user's first K items.
type Metric int

// With relevant = the user's targets that are not masked, all at cut K:
const (
	// Precision is the share of the K places that hold a target.
	Precision Metric = iota
	// Recall is the share of the targets that are found.
	Recall
	// NDCG has gain 1 and discount 1/log2(rank+1); the ideal list holds
	// min(targets, K) targets in front.
	NDCG
	// HitRate is 1 when any target is found.
	HitRate
	// MAP is the average precision: the precisions at the ranks of the found
	// targets, summed and divided by min(targets, K).
	MAP
	// MRR is 1 / the rank of the first target found, 0 when none is.
	MRR
	numMetrics
)

// String returns the name that reports use.
func (m Metric) String() string {
	return [numMetrics]string{"precision", "recall", "ndcg", "hit_rate", "map", "mrr"}[m]
}

// Metrics returns all metrics in the order in which reports show them.
func Metrics() []Metric { return []Metric{Precision, Recall, NDCG, HitRate, MAP, MRR} }

// Scorer writes into dst the score of every item for a user. Ranking calls it
// from several goroutines, with a dst of its own each. An item scored NaN is
// never ranked.
type Scorer func(user int, dst []float32)

// Input is one evaluation.
type Input struct {
	// Targets holds the items to be found (users x items); weights are ignored.
	Targets *dataset.CSR
	// Mask holds, of the same shape, the items to leave out of the ranking
	// (those seen in training); nil leaves out none.
	Mask *dataset.CSR
	// Factors, when it is not nil, ranks the items by the inner products of
	// its rows: the same as Score: Factors(m), many users at a time and several
	// times faster.
	Factors *model.Model
	// Score ranks the items where Factors does not: all of them without it,
	// and otherwise those of users whose row is zero, of whom the model knows
	// nothing. Ties go to the lower item row.
	Score Scorer
	// Eligible, when it is not nil, holds false for the items that are never
	// ranked.
	Eligible []bool
	// Ks are the cuts, at least 1 each.
	Ks []int
	// Popularity holds, when it is not nil, how popular every item is: what
	// Novelty and PopularShare measure against.
	Popularity []float32
	// Workers is the number of goroutines; 0 is GOMAXPROCS.
	Workers int
}

// Result holds the metrics of every evaluated user.
type Result struct {
	// Users are the rows evaluated, ascending: those with at least one target
	// that is not masked. The others have nothing to find and are left out.
	Users []int
	ks    []int
	// values[cut*numMetrics+metric][n] belongs to Users[n].
	values [][]float64
	// shown[cut][item] counts the lists that hold the item; nil of a part.
	shown      [][]int
	popularity []float32
}

// PerUser returns a metric of every evaluated user, in the order of Users; nil
// for a cut that was not asked for.
func (r *Result) PerUser(m Metric, k int) []float64 {
	cut := slices.Index(r.ks, k)
	if cut < 0 {
		return nil
	}
	return r.values[cut*int(numMetrics)+int(m)]
}

// Mean returns a metric's mean over the evaluated users, NaN when there are none.
func (r *Result) Mean(m Metric, k int) float64 {
	sum, values := 0.0, r.PerUser(m, k)
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// Ranking ranks the whole catalogue for every user with targets. A cancelled
// run returns ctx.Err().
func Ranking(ctx context.Context, in Input) (*Result, error) {
	if err := in.check(); err != nil {
		return nil, fmt.Errorf("evaluate ranking: %w", err)
	}
	r := &Result{Users: in.evaluated(), ks: in.Ks, values: make([][]float64, len(in.Ks)*int(numMetrics))}
	for i := range r.values {
		r.values[i] = make([]float64, len(r.Users))
	}
	workers := in.Workers
	if workers == 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	r.popularity, r.shown = in.Popularity, make([][]int, len(in.Ks))
	for cut := range r.shown {
		r.shown[cut] = make([]int, in.Targets.Cols)
	}
	items := newCatalogue(&in)
	var next atomic.Int64
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range workers {
		wg.Go(func() {
			rk := newRanker(&in, items)
			defer func() {
				mu.Lock()
				defer mu.Unlock()
				rk.addShown(r.shown)
			}()
			for {
				hi := int(next.Add(batchUsers))
				lo := hi - batchUsers
				if lo >= len(r.Users) || ctx.Err() != nil {
					return
				}
				rk.rank(ctx, r.Users[lo:min(hi, len(r.Users))])
				for n := range rk.lists[:min(hi, len(r.Users))-lo] {
					ranks, relevant := rk.found(n)
					for cut, k := range in.Ks {
						for m, v := range measure(ranks, relevant, k) {
							r.values[cut*int(numMetrics)+m][lo+n] = v
						}
					}
				}
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return r, nil
}

func (in *Input) check() error {
	switch {
	case in.Targets == nil || in.Score == nil && in.Factors == nil:
		return errors.New("no targets or no scorer")
	case in.Factors != nil && (in.Factors.NumUsers < in.Targets.Rows || in.Factors.NumItems != in.Targets.Cols):
		return fmt.Errorf("model is %d x %d, targets are %d x %d", in.Factors.NumUsers, in.Factors.NumItems, in.Targets.Rows, in.Targets.Cols)
	case in.Eligible != nil && len(in.Eligible) != in.Targets.Cols:
		return fmt.Errorf("%d items are eligible or not, targets have %d", len(in.Eligible), in.Targets.Cols)
	case in.Mask != nil && (in.Mask.Rows != in.Targets.Rows || in.Mask.Cols != in.Targets.Cols):
		return fmt.Errorf("mask is %d x %d, targets are %d x %d", in.Mask.Rows, in.Mask.Cols, in.Targets.Rows, in.Targets.Cols)
	case in.Popularity != nil && len(in.Popularity) != in.Targets.Cols:
		return fmt.Errorf("popularity of %d items, targets have %d", len(in.Popularity), in.Targets.Cols)
	case len(in.Ks) == 0 || slices.Min(in.Ks) < 1:
		return fmt.Errorf("cuts %v: at least one, each at least 1", in.Ks)
	case in.Workers < 0:
		return fmt.Errorf("workers %d is below 0", in.Workers)
	}
	return nil
}

// masked returns the items left out for a user, ascending.
func (in *Input) masked(user int) []uint32 {
	if in.Mask == nil {
		return nil
	}
	cols, _ := in.Mask.Row(user)
	return cols
}

// evaluated returns the users who have something to find.
func (in *Input) evaluated() []int {
	var users []int
	for user := range in.Targets.Rows {
		targets, _ := in.Targets.Row(user)
		mask := in.masked(user)
		if slices.ContainsFunc(targets, func(item uint32) bool {
			_, seen := slices.BinarySearch(mask, item)
			return !seen
		}) {
			users = append(users, user)
		}
	}
	return users
}

// measure computes all metrics at cut k from the 1-based ranks at which
// targets were found (ascending) and the number of targets there were.
func measure(ranks []int, relevant, k int) [numMetrics]float64 {
	var out [numMetrics]float64
	hits := 0
	for _, rank := range ranks {
		if rank > k {
			break
		}
		hits++
		out[NDCG] += discount(rank)
		out[MAP] += float64(hits) / float64(rank)
	}
	if hits == 0 {
		return out
	}
	best := min(relevant, k)
	ideal := 0.0
	for rank := 1; rank <= best; rank++ {
		ideal += discount(rank)
	}
	out[Precision] = float64(hits) / float64(k)
	out[Recall] = float64(hits) / float64(relevant)
	out[NDCG] /= ideal
	out[HitRate] = 1
	out[MAP] /= float64(best)
	out[MRR] = 1 / float64(ranks[0])
	return out
}

func discount(rank int) float64 { return 1 / math.Log2(float64(rank)+1) }

// Factors scores by the model's own user rows.
func Factors(m *model.Model) Scorer {
	return func(user int, dst []float32) {
		f32.DotRows(dst[:m.NumItems], m.Items, m.Users[user*m.Rank:(user+1)*m.Rank])
	}
}

// Popularity scores every user's items by the same weights.
func Popularity(weights []float32) Scorer {
	return func(_ int, dst []float32) { copy(dst, weights) }
}
