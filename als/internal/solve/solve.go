// Package solve holds the normal equations of one row: what training and
// fold-in share, so that both give a user the same vector.
//
// It owns the per-row loss of als.Train's documentation and two ways to
// minimise it, exactly (Cholesky) and approximately (conjugate gradients from
// a warm start). It may import als/internal/f32 only.
package solve

import (
	"errors"
	"math"

	"vitrine/als/internal/f32"
)

// ErrNotPositive reports normal equations that float32 cannot factor: lambda
// is too small for the data, or a weight is not a finite positive number.
var ErrNotPositive = errors.New("normal equations are not positive definite: raise lambda")

// Loss are the parameters of the per-row loss.
type Loss struct {
	// Alpha0 weighs every cell, observed or not.
	Alpha0 float32
	// Lambda is the regularization, scaled per row by power Nu of the row's mass.
	Lambda, Nu float32
}

// Fixed is one side of the model, held fixed while rows of the other side are
// solved. It is read-only after NewFixed and safe for concurrent use.
//
// With y_j the fixed rows, f_j their scales and c_j the weights of the cells
// observed in a row, the row's vector w minimises
//
//	sum_obs c_j f_j (1 - w.y_j)^2 + alpha0 sum_j f_j (w.y_j)^2
//	  + lambda (sum_obs c_j f_j + alpha0 sum_j f_j)^nu |w|^2
type Fixed struct {
	rank    int
	loss    Loss
	factors []float32 // n x rank
	scale   []float32 // n
	gram    []float32 // rank x rank: alpha0 sum_j f_j y_j y_j^T
	mass    float64   // alpha0 sum_j f_j
}

// NewFixed prepares the rows of factors (len(scale) x rank) as the fixed side,
// with the given number of goroutines; the result does not depend on it. The
// slices are kept and must not change while the Fixed is used.
func NewFixed(rank int, factors, scale []float32, loss Loss, workers int) *Fixed {
	f := &Fixed{
		rank: rank, loss: loss, factors: factors[:len(scale)*rank], scale: scale,
		gram: make([]float32, rank*rank),
	}
	Gram(f.gram, f.factors, scale, rank, workers)
	for i := range f.gram {
		f.gram[i] *= loss.Alpha0
	}
	var sum float64
	for _, s := range scale {
		sum += float64(s)
	}
	f.mass = float64(loss.Alpha0) * sum
	return f
}

// Len is the number of fixed rows.
func (f *Fixed) Len() int { return len(f.scale) }

// Rank is the length of a row.
func (f *Fixed) Rank() int { return f.rank }

// applyGram adds gram . p to q: the share of all cells, weighed alpha0.
func (f *Fixed) applyGram(q, p []float32) { f32.CombineRows(q, f.gram, p) }

// Regularization is the factor of |w|^2 for a row whose observed cells have
// the given sum of c_j f_j.
func (f *Fixed) Regularization(observed float64) float32 {
	return float32(float64(f.loss.Lambda) * math.Pow(observed+f.mass, float64(f.loss.Nu)))
}

// Exact writes into dst (of length rank) the vector of a row that observed the
// given fixed rows with the given weights, by Cholesky factorization. A row
// without observations is zero. It allocates only while s grows.
func (f *Fixed) Exact(dst []float32, cols []uint32, weights []float32, s *Scratch) error {
	k := f.rank
	dst = dst[:k]
	clear(dst)
	if len(cols) == 0 {
		return nil
	}
	s.fit(k)
	copy(s.matrix, f.gram)
	var observed float64
	for len(cols) > 0 {
		n := min(len(cols), exactChunk)
		w := f.gather(s, cols[:n], weights[:n])
		for _, v := range w {
			observed += float64(v)
		}
		f32.Syrk(s.matrix, s.panel, w, k)
		f32.CombineRows(dst, s.panel, w)
		cols, weights = cols[n:], weights[n:]
	}
	lambda := f.Regularization(observed)
	for i := range k {
		s.matrix[i*k+i] += lambda
	}
	if !cholesky(s.matrix, k) {
		clear(dst)
		return ErrNotPositive
	}
	substitute(s.matrix, dst, k)
	return nil
}

// gather copies the fixed rows of cols into the panel and returns their
// weights c_j f_j beside them.
func (f *Fixed) gather(s *Scratch, cols []uint32, weights []float32) []float32 {
	k := f.rank
	s.grow(len(cols), k)
	weights = weights[:len(cols)]
	for i, c := range cols {
		s.weight[i] = weights[i] * f.scale[c]
	}
	f32.Gather(s.panel, f.factors, cols, k)
	return s.weight[:len(cols)]
}
