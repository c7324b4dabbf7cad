package tuning

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"vitrine/als/internal/cores"
	"vitrine/als/neighbors"
)

// GridOptions say how the weights of a blend are chosen. The zero value means
// the documented defaults.
type GridOptions struct {
	// Grid are the weights tried for every part but the first, which keeps
	// 1; nil is 0, 0.05, 0.1, 0.2, 0.35, 0.6, 1.
	Grid []float32
	// K is the cut of NDCG; 0 is 10.
	K int
	// Workers is the number of goroutines; 0 is GOMAXPROCS.
	Workers int
}

// maxCombinations bounds the grid: every one is computed for every trial.
const maxCombinations = 4096

// Grid tries every combination of weights and returns them all, best first.
func Grid(ctx context.Context, b *neighbors.Blend, trials Trials, opt GridOptions) ([]Tuned, error) {
	opt.K = cmp.Or(opt.K, defaultCut)
	opt.Workers = cmp.Or(opt.Workers, cores.Workers(0))
	if opt.Grid == nil {
		opt.Grid = []float32{0, 0.05, 0.1, 0.2, 0.35, 0.6, 1}
	}
	grid, err := combinations(b.NumParts(), opt.Grid)
	if err != nil {
		return nil, fmt.Errorf("try a grid of weights: %w", err)
	}
	if trials.N < 1 || opt.K < 1 || opt.Workers < 1 {
		return nil, fmt.Errorf("try a grid of weights: %d trials, cut %d, %d workers", trials.N, opt.K, opt.Workers)
	}
	// Sums of a fixed number of trials each, so that they do not depend on the
	// number of workers.
	const unit = 64
	sums := make([][]float64, (trials.N+unit-1)/unit)
	judges := judgesOf(opt.Workers)
	err = cores.Each(ctx, opt.Workers, len(sums), func(u int) {
		j := <-judges
		sums[u] = make([]float64, len(grid))
		for t := u * unit; t < min((u+1)*unit, trials.N); t++ {
			j.trial(b, trials.At(j.worker, t), grid, opt.K, sums[u])
		}
		judges <- j
	})
	if err != nil {
		return nil, err
	}
	for c := range grid {
		for _, s := range sums {
			grid[c].NDCG += s[c] / float64(trials.N)
		}
	}
	// Of equals the first combination wins: the one with the smaller weights.
	slices.SortStableFunc(grid, func(x, y Tuned) int { return cmp.Compare(y.NDCG, x.NDCG) })
	return grid, nil
}

// combinations lists all weights: the first part has 1, the others run through
// the grid.
func combinations(parts int, grid []float32) ([]Tuned, error) {
	if parts == 0 {
		return nil, errors.New("no sources")
	}
	for _, w := range grid {
		if !(w >= 0 && w <= math.MaxFloat32) {
			return nil, fmt.Errorf("weight %v is not a number of at least 0", w)
		}
	}
	out := []Tuned{{Weights: []float32{1}}}
	for range parts - 1 {
		var next []Tuned
		for _, c := range out {
			for _, w := range grid {
				next = append(next, Tuned{Weights: append(slices.Clone(c.Weights), w)})
			}
		}
		if len(next) > maxCombinations {
			return nil, fmt.Errorf("%d or more combinations of weights, at most %d: shorten the grid", len(next), maxCombinations)
		}
		out = next
	}
	return out, nil
}

// trial adds to sums the NDCG of one trial under every combination.
func (j *judge) trial(b *neighbors.Blend, t Trial, grid []Tuned, k int, sums []float64) {
	if !j.ask(b, &t) {
		return
	}
	j.total = slices.Grow(j.total[:0], len(j.parts.Items))[:len(j.parts.Items)]
	ideal := ideal(len(t.Targets), k)
	for c := range grid {
		clear(j.total)
		for p, w := range grid[c].Weights {
			if w > 0 {
				for n, v := range j.parts.Scores[p] {
					j.total[n] += w * v
				}
			}
		}
		for _, target := range j.places {
			if place := j.place(target, k); place < k {
				sums[c] += discount(place) / ideal
			}
		}
	}
}

// place is the number of candidates in front of one, counted up to k. One that
// only parts without weight name has no score, and no place.
func (j *judge) place(target, k int) int {
	score, row, place := j.total[target], j.parts.Items[target], 0
	if score == 0 {
		return k
	}
	for n, v := range j.total {
		if v > score || (v == score && j.parts.Items[n] < row) {
			if place++; place == k {
				break
			}
		}
	}
	return place
}
