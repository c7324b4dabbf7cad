//go:build !amd64 || noasm

package f32

// Without assembly the vector paths are compiled out: vector and hasWide are
// constants.
// Lanes and hints keep to the same numbers, so that layouts do not depend on
// the platform.
const (
	lanes        = 8
	prefetchRows = 32
	vector       = false
	hasWide      = false
)

const none = "f32: no vector kernels"

func dotVector(x, y []float32) float32                            { return dotGeneric(x, y) }
func axpyVector(alpha float32, x, y []float32)                    { axpyGeneric(alpha, x, y) }
func xpbyVector(beta float32, x, y []float32)                     { xpbyGeneric(beta, x, y) }
func subtractVector(x, y []float32)                               { subtractGeneric(x, y) }
func rootVector(x, y []float32)                                   { rootGeneric(x, y) }
func dotsVector(d, rows, p []float32, k int)                      { panic(none) }
func combineVector(q, rows, c []float32, k int)                   { panic(none) }
func syrkVector(a, rows []float32, first, k int, down bool)       { panic(none) }
func factorVector(a []float32, k int) bool                        { panic(none) }
func substituteVector(a, b []float32, k int)                      { panic(none) }
func toHalfVector(dst []uint16, src []float32) float32            { panic(none) }
func timesVector(dst, a, b []float32, k int)                      { panic(none) }
func bandVector(y, below, diag, above, x []float32)               { panic(none) }
func applyWide(q, p, rows []float32)                              { panic(none) }
func residualWide(q, p, rows, t []float32)                        { panic(none) }
func quadraticWide(p, rows []float32) float32                     { panic(none) }
func combineWide(q, rows, c []float32)                            { panic(none) }
func gatherVector(_, _ []float32, _ []uint32, _ []float32, _ int) { panic(none) }

// BestKernels is the fastest set that may run here.
func BestKernels() Kernels { return Generic }

func dotsAtVector(_, _ []float32, _ []uint32, _ []float32)              { panic(none) }
func countAtLeastVector(_ []float32, _ float32) int                     { panic(none) }
func scanInt8Vector(_ Kernels, _ *Int8Pass, _ *Int8Hits) int            { panic(none) }
func scanBatchVector(_ *Int8BatchPass, _ *Int8Hits) [Int8Batch]int      { panic(none) }
func gatherHalfVector(_ []float32, _ []uint16, _ []uint32, _ []float32) { panic(none) }
func askVector(_ []uint16, _ []uint32, _ int)                           { panic(none) }
