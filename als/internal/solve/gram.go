package solve

import (
	"sync"
	"sync/atomic"

	"vitrine/als/internal/f32"
)

// gramParts is the number of partial sums a Gram matrix is added up from. It
// is fixed, not derived from the number of goroutines, because float32 sums
// depend on their grouping and a model must not depend on the machine's cores.
const gramParts = 64

// Gram computes dst = sum_r scale[r] y_r y_r^T (k x k, both triangles) over
// the len(scale) rows of y, with the given number of goroutines.
func Gram(dst, y, scale []float32, k, workers int) {
	n := len(scale)
	dst, y = dst[:k*k], y[:n*k]
	size := max((n+gramParts-1)/gramParts, exactChunk)
	parts := (n + size - 1) / size
	sums := make([]float32, parts*k*k)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(max(workers, 1), max(parts, 1)) {
		wg.Go(func() {
			for part := int(next.Add(1)) - 1; part < parts; part = int(next.Add(1)) - 1 {
				lo, hi := part*size, min((part+1)*size, n)
				f32.Syrk(sums[part*k*k:(part+1)*k*k], y[lo*k:hi*k], scale[lo:hi], k)
			}
		})
	}
	wg.Wait()
	clear(dst)
	for part := range parts {
		f32.Axpy(1, sums[part*k*k:(part+1)*k*k], dst)
	}
	for i := range k {
		for j := range i {
			dst[i*k+j] = dst[j*k+i]
		}
	}
}
