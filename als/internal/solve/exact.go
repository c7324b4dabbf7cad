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
	if row.observed() == 0 {
		f.empty(dst)
		return nil
	}
	matrix, err := f.normal(row, s)
	if err != nil {
		return err
	}
	if !f32.Factor(matrix, k) {
		clear(dst)
		return ErrNotPositive
	}
	f32.Substitute(matrix, s.x, k)
	f.store(dst, s.x)
	return nil
}

// normal assembles the normal equations of a row that has observations: their
// matrix, and their right side in s.x.
func (f *Fixed) normal(row Row, s *Scratch) (matrix []float32, err error) {
	k, n := f.width, row.observed()
	chunk := max(minChunk, exactFloats/k)
	s.fit(k, chunk)
	s.roomFor(chunk * k)
	matrix = s.square(k)
	if f.gram == nil {
		clear(matrix)
	} else {
		copy(matrix, f.gram)
	}
	clear(s.x)
	for lo := 0; lo < n; lo += chunk {
		if s.stopped() {
			return nil, ErrStopped
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
	return matrix, nil
}

// Shares splits the inner product of a row's exact vector and one fixed row
// over the row's observations: dst[i] is what observation i adds.
//
// The vector is A^-1 b with b = sum_i t_i x_i over the observed rows x_i and
// their targets t_i, so its product with a row v is sum_i t_i (x_i . A^-1 v).
// With biases the sum lacks the fixed row's own bias.
func (f *Fixed) Shares(dst []float32, row Row, fixed uint32, s *Scratch) error {
	k, n := f.width, row.observed()
	dst = dst[:n]
	if n == 0 {
		return nil
	}
	matrix, err := f.normal(row, s)
	if err != nil {
		return err
	}
	if !f32.Factor(matrix, k) {
		clear(dst)
		return ErrNotPositive
	}
	copy(s.x, f.design[int(fixed)*k:int(fixed+1)*k])
	f32.Substitute(matrix, s.x, k)
	chunk := max(minChunk, exactFloats/k)
	for lo := 0; lo < n; lo += chunk {
		c := f.room(s, 0, min(chunk, n-lo))
		f.gather(c, row, lo, false)
		for i, target := range c.targets {
			dst[lo+i] = target * f32.Dot(c.panel[i*k:(i+1)*k], s.x)
		}
	}
	return nil
}
