package dataset

import "fmt"

// Validate reports the first fault of a matrix that was not built here.
func (m *CSR) Validate() error {
	if m.Rows < 0 || m.Cols < 0 || len(m.Indptr) != m.Rows+1 || m.Indptr[0] != 0 {
		return fmt.Errorf("check matrix: %d row pointers for %d rows", len(m.Indptr), m.Rows)
	}
	nnz := m.Indptr[m.Rows]
	if nnz != int64(len(m.Indices)) || nnz != int64(len(m.Weights)) {
		return fmt.Errorf("check matrix: %d columns and %d weights for %d cells", len(m.Indices), len(m.Weights), nnz)
	}
	for row := range m.Rows {
		if m.Indptr[row+1] < m.Indptr[row] || m.Indptr[row+1] > nnz {
			return fmt.Errorf("check matrix: row %d ends at %d", row, m.Indptr[row+1])
		}
		cols, weights := m.Row(row)
		for i, col := range cols {
			if int64(col) >= int64(m.Cols) || (i > 0 && cols[i-1] >= col) || !usable(weights[i]) {
				return fmt.Errorf("check matrix: bad cell in row %d: column %d of %d, weight %v", row, col, m.Cols, weights[i])
			}
		}
	}
	return nil
}

// Transpose returns the Cols x Rows matrix with the same cells.
func (m *CSR) Transpose() *CSR {
	t := &CSR{
		Rows: m.Cols, Cols: m.Rows,
		Indptr:  make([]int64, m.Cols+1),
		Indices: make([]uint32, m.NNZ()),
		Weights: make([]float32, m.NNZ()),
	}
	for _, col := range m.Indices {
		t.Indptr[col+1]++
	}
	next := accumulate(t.Indptr)
	// Rows are visited in order, so every row of t comes out ascending.
	for row := range m.Rows {
		cols, weights := m.Row(row)
		for i, col := range cols {
			at := next[col]
			next[col]++
			t.Indices[at], t.Weights[at] = uint32(row), weights[i]
		}
	}
	return t
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
