package als

import (
	"context"
	"math"
)

// What a look at the loss reads: about a hundredth of the users and of the
// cells, spread evenly, but enough of a small matrix and no more than that of a
// huge one. It costs about a hundredth of an iteration.
const (
	lookShare           = 100
	fewRows, manyRows   = 2_000, 20_000
	fewCells, manyCells = 1 << 16, 1 << 20
	leastIterations     = 2 // the first tells of the start, the second of the data
)

// stopper tells when further iterations would change next to nothing.
type stopper struct {
	loss float64
}

// enough takes the loss after iteration n (from 1) and reports whether that was
// the last one that is worth its time.
func (s *stopper) enough(loss, tolerance float64, n int) bool {
	before := s.loss
	s.loss = loss
	return n >= leastIterations && math.Abs(before-loss) < tolerance*before
}

// look estimates the users' part of the loss from a sample of them. It is for
// the moment after the users' half-step.
func (t *trainer) look(ctx context.Context) float64 {
	cells := t.sides[userSide].cells
	step := max(1,
		cells.Rows/min(max(cells.Rows/lookShare, fewRows), manyRows),
		cells.NNZ()/min(max(cells.NNZ()/lookShare, fewCells), manyCells))
	users, items, k := &t.sides[userSide], &t.sides[itemSide], t.opt.columns()
	return float64(step) * t.sumRows(ctx, (cells.Rows+step-1)/step, func(n int) float64 {
		row := n * step
		if t.opt.explicit() {
			return t.missedRatings(row) + t.rowPenalty(userSide, row)
		}
		w := users.factors[row*k : (row+1)*k]
		missed := items.fixed.Everywhere(w) + t.missedCells(row)
		return float64(users.scale[row])*missed + t.rowPenalty(userSide, row)
	})
}
