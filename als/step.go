package als

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"vitrine/als/internal/solve"
)

// unitRows is the number of rows a worker takes at a time: enough to make the
// shared counter cheap, few enough that the last units end together.
const unitRows = 64

// A row is shown with the cells of the next one, so that the memory is asked
// for them in time: what the first gather of it needs at least, and at most what
// fits a second-level cache beside the row's own (128 KiB at rank 64).
const (
	minHints = 32
	maxHints = 1024
)

// rowSolver is the seam between training and the solvers: it writes the vector
// of a row into dst, which holds its present one.
type rowSolver func(dst []float32, row solve.Row, s *solve.Scratch) error

// halfStep is one pass over all rows of one side. Rows do not depend on each
// other, so any spread over workers gives the same bits.
type halfStep struct {
	*side
	solve rowSolver
	// enter and leave, where they are there, turn rows into the basis that solve
	// works in and back.
	enter, leave func(rows []float32, s *solve.Scratch)
	next         atomic.Int64
}

// run solves all rows, one goroutine for each scratch. The first failure stops
// the others.
func (h *halfStep) run(ctx context.Context, columns int, scratch []solve.Scratch) error {
	inner, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wg sync.WaitGroup
	for n := range scratch {
		s := &scratch[n]
		s.Done = inner.Done()
		wg.Go(func() {
			if err := h.work(inner, columns, s); err != nil {
				stop(err)
			}
		})
	}
	wg.Wait()
	return context.Cause(inner)
}

// work solves units of rows until none is left.
func (h *halfStep) work(ctx context.Context, columns int, s *solve.Scratch) error {
	for {
		lo := (int(h.next.Add(1)) - 1) * unitRows
		if lo >= h.cells.Rows || ctx.Err() != nil {
			return nil
		}
		hi := min(lo+unitRows, h.cells.Rows)
		unit := h.factors[lo*columns : hi*columns]
		if h.enter != nil {
			h.enter(unit, s)
		}
		for row := lo; row < hi; row++ {
			dst := h.factors[row*columns : (row+1)*columns]
			if err := h.solve(dst, h.row(row), s); err != nil {
				return fmt.Errorf("row %d: %w", row, err)
			}
		}
		if h.leave != nil {
			h.leave(unit, s)
		}
	}
}

// row returns a row's cells with those of the next one as a hint.
func (s *side) row(r int) solve.Row {
	lo, hi := s.cells.Indptr[r], s.cells.Indptr[r+1]
	next := s.cells.Indptr[min(r+2, s.cells.Rows)] - hi
	hint := min(hi+max(minHints, min(next, maxHints)), int64(len(s.cells.Indices)))
	row := solve.Row{Cols: s.cells.Indices[lo:hint]}
	if s.halves != nil {
		row.Halves, row.Unit = s.halves[lo:hi], s.unit
	} else {
		row.Weights = s.cells.Weights[lo:hi]
	}
	if s.mass != nil {
		row.Mass = s.mass[r]
	}
	return row
}
