package dataset

import (
	"fmt"
	"math"
	"slices"
)

// Builder makes a CSR row by row, for callers that hold one row at a time.
type Builder struct {
	m   CSR
	row int // cells of the row being filled
}

// NewBuilder starts a matrix with the given number of columns.
func NewBuilder(cols int) *Builder {
	return &Builder{m: CSR{Cols: cols, Indptr: []int64{0}}}
}

// Add puts one cell into the row being filled. Columns must ascend.
func (b *Builder) Add(col uint32, weight float32) error {
	if int64(col) >= int64(b.m.Cols) {
		return fmt.Errorf("add cell of row %d: column %d of %d", b.m.Rows, col, b.m.Cols)
	}
	if b.row > 0 && b.m.Indices[len(b.m.Indices)-1] >= col {
		return fmt.Errorf("add cell of row %d: column %d does not ascend", b.m.Rows, col)
	}
	if !usable(weight) {
		return fmt.Errorf("add cell of row %d: weight %v is not a positive number", b.m.Rows, weight)
	}
	b.m.Indices = append(b.m.Indices, col)
	b.m.Weights = append(b.m.Weights, weight)
	b.row++
	return nil
}

// EndRow finishes the row being filled, which may be empty.
func (b *Builder) EndRow() {
	b.m.Indptr = append(b.m.Indptr, int64(len(b.m.Indices)))
	b.m.Rows++
	b.row = 0
}

// Build returns the matrix of the finished rows. The builder must not be used
// afterwards.
func (b *Builder) Build() *CSR {
	end := b.m.Indptr[b.m.Rows]
	b.m.Indices, b.m.Weights = b.m.Indices[:end], b.m.Weights[:end]
	return &b.m
}

// FromTriples builds a rows x cols matrix from cells in any order: cell n is
// (r[n], c[n]) with weight w[n]. Weights of equal cells are summed in the
// order given.
func FromTriples(rows, cols int, r, c []uint32, w []float32) (*CSR, error) {
	if len(r) != len(c) || len(r) != len(w) {
		return nil, fmt.Errorf("build matrix: %d rows, %d columns and %d weights", len(r), len(c), len(w))
	}
	m := &CSR{Rows: rows, Cols: cols, Indptr: make([]int64, rows+1)}
	for n := range r {
		if int64(r[n]) >= int64(rows) || int64(c[n]) >= int64(cols) || !usable(w[n]) {
			return nil, fmt.Errorf("build %d x %d matrix: bad cell %d: row %d, column %d, weight %v", rows, cols, n, r[n], c[n], w[n])
		}
		m.Indptr[r[n]+1]++
	}
	next := accumulate(m.Indptr)
	m.Indices = make([]uint32, len(c))
	m.Weights = make([]float32, len(w))
	for n, row := range r {
		at := next[row]
		next[row]++
		m.Indices[at], m.Weights[at] = c[n], w[n]
	}
	if err := m.normalize(); err != nil {
		return nil, err
	}
	return m, nil
}

// normalize sorts every row by column and sums equal cells, in place.
func (m *CSR) normalize() error {
	var keys []uint64
	var weights []float32
	end := int64(0)
	for row := range m.Rows {
		cols, w := m.Row(row)
		// The position in the low half keeps equal columns in input order, so
		// that their float sum is the same on every run.
		keys = keys[:0]
		for i, col := range cols {
			keys = append(keys, uint64(col)<<32|uint64(i))
		}
		slices.Sort(keys)
		weights = append(weights[:0], w...)
		start := end
		for _, key := range keys {
			col, weight := uint32(key>>32), weights[uint32(key)]
			if end > start && m.Indices[end-1] == col {
				m.Weights[end-1] += weight
				continue
			}
			m.Indices[end], m.Weights[end] = col, weight
			end++
		}
		for i := start; i < end; i++ {
			if !usable(m.Weights[i]) {
				return fmt.Errorf("build matrix: weights of row %d, column %d add up to %v", row, m.Indices[i], m.Weights[i])
			}
		}
		// The next row is still read from the old Indptr[row+1]; what was
		// moved lies before it.
		m.Indptr[row] = start
	}
	m.Indptr[m.Rows] = end
	m.Indices, m.Weights = m.Indices[:end:end], m.Weights[:end:end]
	return nil
}

// accumulate turns counts at [row+1] into row pointers, and returns a copy of
// the starts to fill from.
func accumulate(indptr []int64) []int64 {
	for i := 1; i < len(indptr); i++ {
		indptr[i] += indptr[i-1]
	}
	return slices.Clone(indptr[:len(indptr)-1])
}

// usable reports whether w is a finite number above 0.
func usable(w float32) bool { return w > 0 && !math.IsInf(float64(w), 1) }
