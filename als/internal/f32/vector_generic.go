//go:build !amd64 || noasm

package f32

// Without assembly the vector paths are compiled out: vector is a constant.
const (
	lanes        = 8
	prefetchRows = 8
	vector       = false
)

func dotVector(x, y []float32) float32                       { return dotGeneric(x, y) }
func axpyVector(alpha float32, x, y []float32)               { axpyGeneric(alpha, x, y) }
func dot4Vector(*[4]float32, []float32, []float32)           { panic("f32: no vector kernels") }
func axpy4Vector([]float32, *[4]float32, []float32)          { panic("f32: no vector kernels") }
func syrkVector(a, rows, w []float32, first, k int)          { panic("f32: no vector kernels") }
func gatherVector(dst, base []float32, cols []uint32, k int) { panic("f32: no vector kernels") }
