package dataset

import (
	"context"
	"fmt"

	"vitrine/als/internal/cores"
)

// Validate reports the first fault of a matrix that was not built here.
func (m *CSR) Validate() error { return m.Check(context.Background(), 1) }

// Check is Validate on the given number of goroutines (0 is GOMAXPROCS). A
// cancelled check returns ctx.Err().
func (m *CSR) Check(ctx context.Context, workers int) error {
	if err := checkSize(m.Rows, m.Cols); err != nil {
		return fmt.Errorf("check matrix: %w", err)
	}
	if len(m.Indptr) != m.Rows+1 || m.Indptr[0] != 0 {
		return fmt.Errorf("check matrix: %w: %d row pointers for %d rows", ErrShape, len(m.Indptr), m.Rows)
	}
	nnz := m.Indptr[m.Rows]
	if nnz != int64(len(m.Indices)) || nnz != int64(len(m.Weights)) {
		return fmt.Errorf("check matrix: %w: %d columns and %d weights for %d cells", ErrShape, len(m.Indices), len(m.Weights), nnz)
	}
	for row := range m.Rows {
		if m.Indptr[row+1] < m.Indptr[row] || m.Indptr[row+1] > nnz {
			return fmt.Errorf("check matrix: %w: row %d ends at %d", ErrShape, row, m.Indptr[row+1])
		}
	}
	workers = cores.Workers(workers)
	bounds := m.rowParts(workers * 16)
	faults := make([]error, len(bounds)-1)
	err := cores.Each(ctx, workers, len(faults), func(p int) {
		for row := bounds[p]; row < bounds[p+1] && faults[p] == nil; row++ {
			if faults[p] = ctx.Err(); faults[p] == nil {
				cols, weights := m.Row(row)
				if fault := m.checkCells(row, cols, weights); fault != nil {
					faults[p] = fmt.Errorf("check matrix: %w", fault)
				}
			}
		}
	})
	for _, fault := range faults {
		if err == nil {
			err = fault
		}
	}
	return err
}

// checkCells reports the first fault of a row's cells.
func (m *CSR) checkCells(row int, cols []uint32, weights []float32) error {
	last := int64(-1)
	for i, col := range cols {
		var fault error
		switch {
		case int64(col) >= int64(m.Cols):
			fault = ErrRange
		case int64(col) <= last:
			fault = ErrOrder
		case !usable(weights[i]):
			fault = ErrWeight
		}
		if fault != nil {
			return fmt.Errorf("%w: bad cell in row %d: column %d of %d, weight %v", fault, row, col, m.Cols, weights[i])
		}
		last = int64(col)
	}
	return nil
}

// Transpose returns the Cols x Rows matrix with the same cells.
func (m *CSR) Transpose() *CSR {
	t, _ := m.TransposeWith(context.Background(), 1) // cannot end early
	return t
}

// TransposeWith is Transpose on the given number of goroutines (0 is
// GOMAXPROCS), which does not change the outcome. When cancelled it returns
// ctx.Err().
func (m *CSR) TransposeWith(ctx context.Context, workers int) (*CSR, error) {
	t, weights, err := TransposeInto(ctx, m, workers, func() func(int, []float32) []float32 {
		return func(_ int, row []float32) []float32 { return row }
	})
	if err != nil {
		return nil, err
	}
	t.Weights = weights
	return t, nil
}

// TransposeInto is TransposeWith for weights that become something else on the
// way: of another type, or what they are worth in their row. The matrix that it
// returns has no weights, they stand beside it. Every goroutine works with a
// function of its own, which newTake makes: it is shown the number and the
// weights of a row, and returns what they become, one for one, in memory that it
// may use again for the next row.
func TransposeInto[W any](ctx context.Context, m *CSR, workers int, newTake func() func(row int, weights []float32) []W) (*CSR, []W, error) {
	workers = cores.Workers(workers)
	parts := min(workers, maxParts)
	bounds, counts := m.rowParts(parts), make([][]int64, parts)
	err := cores.Each(ctx, workers, parts, func(p int) {
		counts[p] = make([]int64, m.Cols)
		cells := m.Indices[m.Indptr[bounds[p]]:m.Indptr[bounds[p+1]]]
		for n, col := range cells {
			if n%stopCells == 0 && ctx.Err() != nil {
				return
			}
			counts[p][col]++
		}
	})
	if err != nil {
		return nil, nil, err
	}
	t := &CSR{Rows: m.Cols, Cols: m.Rows, Indptr: positions(counts, m.Cols), Indices: make([]uint32, m.NNZ())}
	weights := make([]W, m.NNZ())
	err = cores.Each(ctx, workers, parts, func(p int) {
		take, next := newTake(), counts[p]
		// Rows are visited in order, so every row of t comes out ascending.
		for row := bounds[p]; row < bounds[p+1]; row++ {
			if row%1024 == 0 && ctx.Err() != nil {
				return
			}
			cols, given := m.Row(row)
			taken := take(row, given)
			for i, col := range cols {
				if i%stopCells == stopCells-1 && ctx.Err() != nil {
					return
				}
				at := next[col]
				next[col]++
				t.Indices[at], weights[at] = uint32(row), taken[i]
			}
		}
	})
	return t, weights, err
}

// Select returns the matrix of the given rows, in the given order.
func (m *CSR) Select(rows []int) *CSR {
	s := &CSR{Rows: len(rows), Cols: m.Cols, Indptr: make([]int64, 1, len(rows)+1)}
	for _, row := range rows {
		cols, weights := m.Row(row)
		s.Indices = append(s.Indices, cols...)
		s.Weights = append(s.Weights, weights...)
		s.Indptr = append(s.Indptr, int64(len(s.Indices)))
	}
	return s
}

// Counts returns how many cells each column has.
func (m *CSR) Counts() []int {
	n := make([]int, m.Cols)
	for _, col := range m.Indices {
		n[col]++
	}
	return n
}
