// Package dataset holds the interaction matrix in compressed sparse rows, and
// the ways to build, transpose and split it.
//
// It owns the in-memory form of the training data. Of this module it may import
// als/internal/cores alone: it knows dense row numbers, never ids, events or
// files.
//
//	m, err := dataset.FromTriples(users, items, us, is, weights)
//	byItem := m.Transpose()
package dataset

import "errors"

// Faults of a matrix, wrapped with the place where they were found.
var (
	// ErrShape reports parts whose lengths do not fit each other.
	ErrShape = errors.New("parts of different lengths")
	// ErrRange reports a row or column number outside the matrix.
	ErrRange = errors.New("row or column out of range")
	// ErrOrder reports columns of a row that do not ascend.
	ErrOrder = errors.New("columns do not ascend")
	// ErrWeight reports a weight that is not a positive finite number.
	ErrWeight = errors.New("weight is not a positive finite number")
	// ErrTooLarge reports a matrix whose numbers or positions do not fit their
	// types.
	ErrTooLarge = errors.New("matrix is too large")
)

// CSR is a sparse Rows x Cols matrix. Row r has its column numbers in
// Indices[Indptr[r]:Indptr[r+1]], ascending, and its weights beside them.
type CSR struct {
	Rows, Cols int
	// Indptr has Rows+1 entries.
	Indptr []int64
	// Indices are column numbers, len = Indptr[Rows].
	Indices []uint32
	// Weights are the confidences c > 0 of the observed cells, or ratings > 0.
	Weights []float32
}

// NNZ is the number of stored cells.
func (m *CSR) NNZ() int { return len(m.Indices) }

// Row returns row r's columns and weights; both alias the matrix.
func (m *CSR) Row(r int) ([]uint32, []float32) {
	lo, hi := m.Indptr[r], m.Indptr[r+1]
	return m.Indices[lo:hi], m.Weights[lo:hi]
}
