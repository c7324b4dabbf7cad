package dataset

import (
	"context"
	"fmt"
	"math"
	"slices"

	"vitrine/als/internal/cores"
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
		return fmt.Errorf("add cell of row %d: %w: column %d of %d", b.m.Rows, ErrRange, col, b.m.Cols)
	}
	if b.row > 0 && b.m.Indices[len(b.m.Indices)-1] >= col {
		return fmt.Errorf("add cell of row %d: %w: column %d does not ascend", b.m.Rows, ErrOrder, col)
	}
	if !usable(weight) {
		return fmt.Errorf("add cell of row %d: %w: weight %v", b.m.Rows, ErrWeight, weight)
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

// Triples are cells in any order: cell n is (R[n], C[n]) with weight W[n].
type Triples struct {
	Rows, Cols int
	R, C       []uint32
	W          []float32
}

// FromTriples builds a rows x cols matrix from cells in any order: cell n is
// (r[n], c[n]) with weight w[n]. Weights of equal cells are summed in the
// order given.
func FromTriples(rows, cols int, r, c []uint32, w []float32) (*CSR, error) {
	return Triples{rows, cols, r, c, w}.Build(context.Background(), 0)
}

// Build is FromTriples on the given number of goroutines (0 is GOMAXPROCS),
// which does not change the outcome. A cancelled build returns ctx.Err().
func (t Triples) Build(ctx context.Context, workers int) (*CSR, error) {
	if len(t.R) != len(t.C) || len(t.R) != len(t.W) {
		return nil, fmt.Errorf("build matrix: %w: %d rows, %d columns and %d weights", ErrShape, len(t.R), len(t.C), len(t.W))
	}
	if err := checkSize(t.Rows, t.Cols); err != nil {
		return nil, fmt.Errorf("build matrix: %w", err)
	}
	workers = cores.Workers(workers)
	parts := min(workers, maxParts)
	counts, faults := make([][]int64, parts), make([]error, parts)
	err := cores.Each(ctx, workers, parts, func(p int) { counts[p], faults[p] = t.count(ctx, p, parts) })
	for _, fault := range faults {
		if err == nil {
			err = fault
		}
	}
	if err != nil {
		return nil, err
	}
	m := &CSR{Rows: t.Rows, Cols: t.Cols, Indices: make([]uint32, len(t.C)), Weights: make([]float32, len(t.W))}
	m.Indptr = positions(counts, t.Rows)
	if err := cores.Each(ctx, workers, parts, func(p int) { t.scatter(ctx, m, p, counts) }); err != nil {
		return nil, err
	}
	if err := m.normalize(ctx, workers); err != nil {
		return nil, err
	}
	return m, nil
}

// part is the range of cells that part p of so many handles.
func (t Triples) part(p, parts int) (lo, hi int) {
	return len(t.R) / parts * p, len(t.R)/parts*(p+1) + len(t.R)%parts*((p+1)/parts)
}

// count checks the cells of a part and counts them by row.
func (t Triples) count(ctx context.Context, p, parts int) ([]int64, error) {
	counts := make([]int64, t.Rows)
	lo, hi := t.part(p, parts)
	for n := lo; n < hi; n++ {
		if n%stopCells == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		row := t.R[n]
		if int64(row) >= int64(t.Rows) || int64(t.C[n]) >= int64(t.Cols) {
			return nil, fmt.Errorf("build %d x %d matrix: %w: bad cell %d: row %d, column %d", t.Rows, t.Cols, ErrRange, n, row, t.C[n])
		}
		if !usable(t.W[n]) {
			return nil, fmt.Errorf("build %d x %d matrix: %w: bad cell %d: row %d, column %d, weight %v", t.Rows, t.Cols, ErrWeight, n, row, t.C[n], t.W[n])
		}
		counts[row]++
	}
	return counts, nil
}

// scatter writes the cells of a part to their rows, in the order given.
func (t Triples) scatter(ctx context.Context, m *CSR, p int, next [][]int64) {
	lo, hi := t.part(p, len(next))
	for n := lo; n < hi; n++ {
		if n%stopCells == 0 && ctx.Err() != nil {
			return
		}
		row := t.R[n]
		at := next[p][row]
		next[p][row]++
		m.Indices[at], m.Weights[at] = t.C[n], t.W[n]
	}
}

// normalize sorts every row by column and sums equal cells, in place.
func (m *CSR) normalize(ctx context.Context, workers int) error {
	// Many small parts, because rows differ in length.
	bounds := m.rowParts(workers * 16)
	lengths, faults := make([]int64, m.Rows), make([]error, len(bounds)-1)
	err := cores.Each(ctx, workers, len(faults), func(p int) {
		var s sorter
		for row := bounds[p]; row < bounds[p+1] && faults[p] == nil && ctx.Err() == nil; row++ {
			lengths[row], faults[p] = s.row(m, row)
		}
	})
	for _, fault := range faults {
		if err == nil {
			err = fault
		}
	}
	if err != nil {
		return err
	}
	m.closeUp(lengths)
	return nil
}

// sorter is one goroutine's working memory.
type sorter struct {
	keys    []uint64
	weights []float32
}

// row sorts a row and sums its equal cells; it returns how many are left.
func (s *sorter) row(m *CSR, row int) (int64, error) {
	cols, w := m.Row(row)
	if len(cols) > math.MaxUint32 {
		return 0, fmt.Errorf("build matrix: %w: row %d has %d cells", ErrTooLarge, row, len(cols))
	}
	ascending := true
	for i := 1; i < len(cols); i++ {
		ascending = ascending && cols[i-1] < cols[i]
	}
	if ascending {
		return int64(len(cols)), nil
	}
	// The position in the low half keeps equal columns in input order, so that
	// their float sum is the same on every run.
	s.keys = s.keys[:0]
	for i, col := range cols {
		s.keys = append(s.keys, uint64(col)<<32|uint64(i))
	}
	slices.Sort(s.keys)
	s.weights = append(s.weights[:0], w...)
	n := 0
	for _, key := range s.keys {
		col, weight := uint32(key>>32), s.weights[uint32(key)]
		if n > 0 && cols[n-1] == col {
			w[n-1] += weight
			continue
		}
		cols[n], w[n] = col, weight
		n++
	}
	for i, weight := range w[:n] {
		if !usable(weight) {
			return 0, fmt.Errorf("build matrix: %w: weights of row %d, column %d add up to %v", ErrWeight, row, cols[i], weight)
		}
	}
	return int64(n), nil
}

// checkSize refuses sizes whose row numbers do not fit into 32 bits.
func checkSize(rows, cols int) error {
	switch {
	case rows < 0 || cols < 0:
		return fmt.Errorf("%w: %d x %d", ErrShape, rows, cols)
	case uint64(rows) > math.MaxUint32 || uint64(cols) > math.MaxUint32:
		return fmt.Errorf("%w: %d x %d, at most %d either way", ErrTooLarge, rows, cols, uint32(math.MaxUint32))
	}
	return nil
}

// usable reports whether w is a finite number above 0.
func usable(w float32) bool { return w > 0 && !math.IsInf(float64(w), 1) }
