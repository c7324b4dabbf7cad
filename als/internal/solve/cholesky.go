package solve

import (
	"math"

	"vitrine/als/internal/f32"
)

// cholesky replaces the lower triangle of the k x k matrix a by L with
// L L^T = a; the upper triangle is neither read nor written. It reports
// whether a was positive definite. On return the diagonal holds 1/L[i][i],
// which is what every later use divides by.
func cholesky(a []float32, k int) bool {
	for i := range k {
		row := a[i*k : i*k+i+1]
		for j := range i {
			row[j] = (row[j] - f32.Dot(row[:j], a[j*k:j*k+j])) * a[j*k+j]
		}
		d := row[i] - f32.Dot(row[:i], row[:i])
		// The negated form also refuses NaN.
		if !(d > 0) || math.IsInf(float64(d), 1) {
			return false
		}
		row[i] = float32(1 / math.Sqrt(float64(d)))
	}
	return true
}

// substitute solves L L^T x = b in place, with L as cholesky left it.
func substitute(a, b []float32, k int) {
	b = b[:k]
	for i := range k {
		b[i] = (b[i] - f32.Dot(b[:i], a[i*k:i*k+i])) * a[i*k+i]
	}
	// Column i of L^T is row i of L, so the back substitution walks rows too.
	for i := k - 1; i >= 0; i-- {
		b[i] *= a[i*k+i]
		f32.Axpy(-b[i], a[i*k:i*k+i], b[:i])
	}
}
