package solve

import "vitrine/als/internal/f32"

// exactFloats bounds the panel of an exact solve (16 KiB): it stays in the
// first-level cache while the tiles of the matrix pass over it.
const exactFloats = 4096

// Exact writes into dst (of length Rank) the vector of a row, by Cholesky
// factorization. A row without observations is zero. It allocates only while s
// grows.
func (f *Fixed) Exact(dst []float32, row Row, s *Scratch) error {
	k := f.width
	dst = dst[:f.Rank]
	n := len(row.Weights)
	if n == 0 {
		f.empty(dst)
		return nil
	}
	chunk := max(minChunk, exactFloats/k)
	s.fit(k, chunk)
	s.roomFor(chunk * k)
	matrix := s.square(k)
	if f.gram == nil {
		clear(matrix)
	} else {
		copy(matrix, f.gram)
	}
	clear(s.x)
	for lo := 0; lo < n; lo += chunk {
		if s.stopped() {
			return ErrStopped
		}
		c := f.room(s, 0, min(chunk, n-lo))
		f.gather(c, row, lo, false)
		f32.Syrk(matrix, c.panel, k)
		f32.CombineRows(s.x, c.panel, c.targets)
	}
	lambda, more := f.penalties(row)
	for i := range k {
		matrix[i*k+i] += lambda
	}
	if more != 0 {
		at := f.biasUnknown()
		matrix[at*k+at] += more
	}
	if !f32.Factor(matrix, k) {
		clear(dst)
		return ErrNotPositive
	}
	f32.Substitute(matrix, s.x, k)
	f.store(dst, s.x)
	return nil
}
