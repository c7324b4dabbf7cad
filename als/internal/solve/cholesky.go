package solve

import (
	"math"

	"vitrine/als/internal/f32"
)

// choleskyBlock is how many rows are factored before the rest of the matrix is
// updated with all of them at once, which is where the time goes.
const choleskyBlock = 8

// cholesky replaces the upper triangle of the k x k matrix a by U with
// U^T U = a; what stands below the diagonal afterwards is not defined. It
// reports whether a was positive definite. On return the diagonal holds
// 1/U[i][i], which is what every later use multiplies by.
func cholesky(a []float32, k int) bool {
	for from := 0; from < k; from += choleskyBlock {
		to := min(from+choleskyBlock, k)
		for i := from; i < to; i++ {
			row := a[i*k+i : (i+1)*k]
			d := row[0]
			// The negated form also refuses NaN.
			if !(d > 0) || math.IsInf(float64(d), 1) {
				return false
			}
			inverse := float32(1 / math.Sqrt(float64(d)))
			row[0] = inverse
			for j := 1; j < len(row); j++ {
				row[j] *= inverse
			}
			for j := i + 1; j < to; j++ {
				f32.Axpy(-row[j-i], row[j-i:], a[j*k+j:(j+1)*k])
			}
		}
		f32.Downdate(a, k, from, to)
	}
	return true
}

// substitute solves U^T U x = b in place, with U as cholesky left it. Both
// ways walk along rows of U.
func substitute(a, b []float32, k int) {
	b = b[:k]
	for i := range k {
		b[i] *= a[i*k+i]
		f32.Axpy(-b[i], a[i*k+i+1:(i+1)*k], b[i+1:])
	}
	for i := k - 1; i >= 0; i-- {
		b[i] = (b[i] - f32.Dot(a[i*k+i+1:(i+1)*k], b[i+1:])) * a[i*k+i]
	}
}
