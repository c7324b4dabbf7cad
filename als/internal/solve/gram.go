package solve

import "vitrine/als/internal/f32"

// gramParts is the number of partial sums a Gram matrix is added up from. It
// is fixed, not derived from the number of goroutines, because float32 sums
// depend on their grouping and a model must not depend on the machine's cores.
// At large ranks it shrinks, to bound the memory of the sums (64 MiB up to rank
// 2048).
const (
	gramParts  = 64
	gramFloats = 1 << 24
)

// gramRows is how many rows are added at a time: they stay in the first-level
// cache, and between two of them the work can be stopped.
const gramRows = 64

// gram computes dst = sum_r scale[r] y_r y_r^T (k x k, both triangles) over
// the len(scale) rows of y.
func gram(dst, y, scale []float32, k int, work Workers) {
	n := len(scale)
	dst, y = dst[:k*k], y[:n*k]
	most := max(4, min(gramParts, gramFloats/(k*k)))
	size := max((n+most-1)/most, gramRows)
	parts := (n + size - 1) / size
	sums := make([]float32, parts*k*k)
	work.Each(parts, func(part int) {
		var cols [gramRows]uint32
		roots, panel := make([]float32, gramRows), make([]float32, gramRows*k)
		hi := min((part+1)*size, n)
		for lo := part * size; lo < hi && !work.stopped(); lo += gramRows {
			rows := min(gramRows, hi-lo)
			for i := range rows {
				cols[i] = uint32(lo + i)
			}
			f32.Root(scale[lo:lo+rows], roots)
			f32.Gather(panel[:rows*k], y, cols[:rows], roots[:rows], k)
			f32.Syrk(sums[part*k*k:(part+1)*k*k], panel[:rows*k], k)
		}
	})
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
