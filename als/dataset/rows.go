package dataset

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"vitrine/als/internal/cores"
)

// RowFunc writes the cells of a row into cols and weights, columns ascending,
// and returns how many there are. Both have the room that the row was given.
type RowFunc func(row int, cols []uint32, weights []float32) (int, error)

// rowUnit is about how many cells of room a goroutine of FromRows takes at a
// time.
const rowUnit = 1 << 17

// FromRows makes a matrix of rows that are computed, on the given number of
// goroutines (0 is GOMAXPROCS), which does not change the outcome. Row r has
// at most room[r+1]-room[r] cells; room ascends from 0. Every goroutine works
// with a RowFunc of its own, which newFill makes. The error is that of the
// lowest row that has one; a cancelled call returns ctx.Err().
func FromRows(ctx context.Context, cols int, room []int64, workers int, newFill func() RowFunc) (*CSR, error) {
	rows := len(room) - 1
	if err := checkSize(rows, cols); err != nil {
		return nil, fmt.Errorf("build matrix: %w", err)
	}
	m := &CSR{Rows: rows, Cols: cols, Indptr: slices.Clone(room)}
	m.Indices, m.Weights = make([]uint32, room[rows]), make([]float32, room[rows])
	workers = cores.Workers(workers)
	bounds := m.rowParts(max(workers*4, int(room[rows]/rowUnit)))
	lengths, faults := make([]int64, rows), make([]error, len(bounds)-1)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(workers, len(faults)) {
		wg.Go(func() {
			fill := newFill()
			for p := int(next.Add(1)) - 1; p < len(faults) && ctx.Err() == nil; p = int(next.Add(1)) - 1 {
				faults[p] = m.fill(bounds[p:p+2], lengths, fill)
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	for _, fault := range faults {
		if fault != nil {
			return nil, fault
		}
	}
	m.closeUp(lengths)
	return m, nil
}

// fill computes a range of rows.
func (m *CSR) fill(rows []int, lengths []int64, fill RowFunc) error {
	for row := rows[0]; row < rows[1]; row++ {
		cols, weights := m.Row(row)
		n, err := fill(row, cols[:len(cols):len(cols)], weights[:len(cols):len(cols)])
		if err != nil {
			return err
		}
		if err := m.checkCells(row, cols[:n], weights[:n]); err != nil {
			return fmt.Errorf("build matrix: %w", err)
		}
		lengths[row] = int64(n)
	}
	return nil
}

// closeUp lets rows move up to where the ones before them end, after they have
// lost cells. Where that leaves much room unused, it is given back.
func (m *CSR) closeUp(lengths []int64) {
	end := int64(0)
	for row, n := range lengths {
		from := m.Indptr[row]
		if from != end {
			copy(m.Indices[end:end+n], m.Indices[from:from+n])
			copy(m.Weights[end:end+n], m.Weights[from:from+n])
		}
		m.Indptr[row] = end
		end += n
	}
	m.Indptr[m.Rows] = end
	if unused := int64(len(m.Indices)) - end; unused > end/4 {
		m.Indices, m.Weights = slices.Clone(m.Indices[:end]), slices.Clone(m.Weights[:end])
		return
	}
	m.Indices, m.Weights = m.Indices[:end:end], m.Weights[:end:end]
}
