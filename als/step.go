package als

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"vitrine/als/dataset"
	"vitrine/als/internal/solve"
)

// unitRows is the number of rows a worker takes at a time: enough to make the
// shared counter cheap, few enough that the last units end together.
const unitRows = 64

// halfStep is one pass over all rows of one side. Rows do not depend on each
// other, so any spread over workers gives the same bits.
type halfStep struct {
	rows  *side
	fixed *solve.Fixed
	steps int // conjugate gradient steps per row; 0 solves exactly
	next  atomic.Int64
}

// run solves all rows with the given number of goroutines. The first failure
// stops the others at their next unit.
func (h *halfStep) run(ctx context.Context, workers int) error {
	inner, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			if err := h.work(inner); err != nil {
				stop(err)
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return context.Cause(inner)
}

// work solves units of rows until none is left.
func (h *halfStep) work(ctx context.Context) error {
	var s solve.Scratch
	for {
		lo := (int(h.next.Add(1)) - 1) * unitRows
		if lo >= h.rows.cells.Rows || ctx.Err() != nil {
			return nil
		}
		for row := lo; row < min(lo+unitRows, h.rows.cells.Rows); row++ {
			if err := h.solve(row, &s); err != nil {
				return fmt.Errorf("row %d: %w", row, err)
			}
		}
	}
}

func (h *halfStep) solve(row int, s *solve.Scratch) error {
	k := h.fixed.Rank()
	cols, weights := h.rows.cells.Row(row)
	dst := h.rows.factors[row*k : (row+1)*k]
	if h.steps == 0 {
		return h.fixed.Exact(dst, cols, weights, s)
	}
	h.fixed.Gradient(dst, cols, weights, h.steps, s)
	return nil
}

// initialFactors starts one side from Options.Init where it has the row, and
// from small random numbers elsewhere. A row that is zero there had observed
// nothing and starts random as well: users and items that have met only each
// other would pull each other to zero for ever. That rows which observed
// nothing start random too does no harm: their scale is 0, and their half-step
// clears them.
func initialFactors(cells *dataset.CSR, which int, opt *Options) []float32 {
	k := opt.Rank
	factors := make([]float32, cells.Rows*k)
	random := rand.New(rand.NewPCG(opt.Seed, uint64(which)))
	deviation := initialDeviation / math.Sqrt(float64(k))
	for i := range factors {
		factors[i] = float32(random.NormFloat64() * deviation)
	}
	if opt.Init == nil {
		return factors
	}
	known := [2][]float32{userSide: opt.Init.Users, itemSide: opt.Init.Items}[which]
	for lo := 0; lo < min(len(known), len(factors)); lo += k {
		if row := known[lo : lo+k]; slices.ContainsFunc(row, func(v float32) bool { return v != 0 }) {
			copy(factors[lo:lo+k], row)
		}
	}
	return factors
}

// frequencyScale returns (n_r / mean n)^-power for every row, 0 for rows that
// observed nothing; the mean is over the others.
func frequencyScale(cells *dataset.CSR, power float64) []float32 {
	scale := make([]float32, cells.Rows)
	used := 0
	for row := range cells.Rows {
		if cells.Indptr[row+1] > cells.Indptr[row] {
			used++
		}
	}
	mean := float64(cells.NNZ()) / float64(max(used, 1))
	for row := range scale {
		if n := cells.Indptr[row+1] - cells.Indptr[row]; n > 0 {
			scale[row] = float32(math.Pow(float64(n)/mean, -power))
		}
	}
	return scale
}

// density is the mean weight of a cell, unobserved ones counting 0, each cell
// scaled by g_u f_i.
func (t *trainer) density() float64 {
	users, items := &t.sides[userSide], &t.sides[itemSide]
	observed := 0.0
	for u, g := range users.scale {
		cols, weights := users.cells.Row(u)
		for n, i := range cols {
			observed += float64(g) * float64(items.scale[i]) * float64(weights[n])
		}
	}
	if observed == 0 {
		return 0
	}
	return observed / (sum(users.scale) * sum(items.scale))
}

func sum(v []float32) float64 {
	total := 0.0
	for _, x := range v {
		total += float64(x)
	}
	return total
}
