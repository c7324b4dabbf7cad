// Package dataset holds the interaction matrix in compressed sparse rows, and
// the ways to build, transpose and split it.
//
// It owns the in-memory form of the training data. It must not import any
// other package of this module: it knows dense row numbers, never ids, events
// or files.
package dataset

// CSR is a sparse Rows x Cols matrix. Row r has its column numbers in
// Indices[Indptr[r]:Indptr[r+1]], ascending, and its weights beside them.
type CSR struct {
	Rows, Cols int
	// Indptr has Rows+1 entries.
	Indptr []int64
	// Indices are column numbers, len = Indptr[Rows].
	Indices []uint32
	// Weights are the confidences c > 0 of the observed cells.
	Weights []float32
}

// NNZ is the number of stored cells.
func (m *CSR) NNZ() int { return len(m.Indices) }

// Row returns row r's columns and weights; both alias the matrix.
func (m *CSR) Row(r int) ([]uint32, []float32) {
	lo, hi := m.Indptr[r], m.Indptr[r+1]
	return m.Indices[lo:hi], m.Weights[lo:hi]
}
