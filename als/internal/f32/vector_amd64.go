//go:build !noasm

package f32

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

//go:generate sh -c "cd _asm && go run . -out ../kernels_amd64.s -stubs ../kernels_amd64.go -pkg f32"

const (
	// lanes is the number of floats in one vector.
	lanes = 8
	// prefetchRows is how far ahead Gather asks for rows: 8 rows of 256 bytes
	// cover the latency of main memory at the rate one core copies them.
	prefetchRows = 8
)

// vector tells whether the assembly may run here: x/sys/cpu also checks that
// the kernel saves the wide registers.
var vector = cpu.X86.HasAVX2 && cpu.X86.HasFMA

func dotVector(x, y []float32) float32 {
	return dotAVX2(unsafe.SliceData(x), unsafe.SliceData(y), uintptr(len(x)/lanes))
}

func axpyVector(alpha float32, x, y []float32) {
	axpyAVX2(alpha, unsafe.SliceData(x), unsafe.SliceData(y), uintptr(len(x)/lanes))
}

// dot4Vector: rows holds at least four rows of length len(q).
func dot4Vector(out *[4]float32, q, rows []float32) {
	_ = rows[:4*len(q)]
	dot4AVX2(&out[0], unsafe.SliceData(q), unsafe.SliceData(rows), uintptr(4*len(q)), uintptr(len(q)/lanes))
}

// axpy4Vector: rows holds at least four rows of length len(y).
func axpy4Vector(y []float32, c *[4]float32, rows []float32) {
	_ = rows[:4*len(y)]
	axpy4AVX2(unsafe.SliceData(y), &c[0], unsafe.SliceData(rows), uintptr(4*len(y)), uintptr(len(y)/lanes))
}

// syrkVector covers the upper triangle of a, from row first on, with register
// tiles of 4 rows by 1 to 3 vectors; k and first are multiples of lanes. Of
// four vectors that are left, two and two are better than three and one: a tile
// of one wastes loads.
func syrkVector(a, rows, w []float32, first, k int) {
	stride, n := uintptr(4*k), uintptr(len(w))
	for i := first; i < k; i += 4 {
		for v := i / lanes; v < k/lanes; {
			c, left, right := &a[i*k+v*lanes], &rows[i], &rows[v*lanes]
			switch rest := k/lanes - v; rest {
			case 1:
				tile1AVX2(c, stride, left, right, &w[0], n)
				v++
			case 2, 4:
				tile2AVX2(c, stride, left, right, &w[0], n)
				v += 2
			default:
				tile3AVX2(c, stride, left, right, &w[0], n)
				v += 3
			}
		}
	}
}

// gatherVector copies the first len(cols)-prefetchRows rows; every column is
// checked here, because the assembly checks none.
func gatherVector(dst, base []float32, cols []uint32, k int) {
	for _, c := range cols {
		_ = base[int(c)*k+k-1]
	}
	n := len(cols) - prefetchRows
	gatherAVX2(unsafe.SliceData(dst), unsafe.SliceData(base), &cols[0], uintptr(n), uintptr(k/lanes), prefetchRows)
}
