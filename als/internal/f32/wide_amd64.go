//go:build !noasm

package f32

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// hasWide tells whether the AVX-512 kernels may run here.
var hasWide = vector && cpu.X86.HasAVX512F && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VL

// wideLanes is the number of floats in a vector of these kernels.
const wideLanes = 16

// lastMask is a bit for each number in the last vector of a row.
func lastMask(k int) uint32 { return 1<<((k-1)%wideLanes+1) - 1 }

// applyWide is ApplyRows of rows that are wide.
func applyWide(q, p, rows []float32) {
	k := len(p)
	at, pp, row := unsafe.SliceData(q), unsafe.SliceData(p), unsafe.SliceData(rows)
	stride, n, mask := uintptr(4*k), uintptr(len(rows)/k), lastMask(k)
	switch (k + wideLanes - 1) / wideLanes {
	case 1:
		apply1AVX512(at, pp, row, stride, n, mask)
	case 2:
		apply2AVX512(at, pp, row, stride, n, mask)
	case 3:
		apply3AVX512(at, pp, row, stride, n, mask)
	case 4:
		apply4AVX512(at, pp, row, stride, n, mask)
	case 5:
		apply5AVX512(at, pp, row, stride, n, mask)
	case 6:
		apply6AVX512(at, pp, row, stride, n, mask)
	case 7:
		apply7AVX512(at, pp, row, stride, n, mask)
	default:
		apply8AVX512(at, pp, row, stride, n, mask)
	}
}

// residualWide is ResidualRows of rows that are wide, as many as there are targets.
func residualWide(q, p, rows, t []float32) {
	k := len(p)
	at, pp, row, tt := unsafe.SliceData(q), unsafe.SliceData(p), unsafe.SliceData(rows), unsafe.SliceData(t)
	stride, n, mask := uintptr(4*k), uintptr(len(rows)/k), lastMask(k)
	switch (k + wideLanes - 1) / wideLanes {
	case 1:
		residual1AVX512(at, pp, tt, row, stride, n, mask)
	case 2:
		residual2AVX512(at, pp, tt, row, stride, n, mask)
	case 3:
		residual3AVX512(at, pp, tt, row, stride, n, mask)
	case 4:
		residual4AVX512(at, pp, tt, row, stride, n, mask)
	case 5:
		residual5AVX512(at, pp, tt, row, stride, n, mask)
	case 6:
		residual6AVX512(at, pp, tt, row, stride, n, mask)
	case 7:
		residual7AVX512(at, pp, tt, row, stride, n, mask)
	default:
		residual8AVX512(at, pp, tt, row, stride, n, mask)
	}
}

// quadraticWide is QuadraticRows of rows that are wide.
func quadraticWide(p, rows []float32) float32 {
	k := len(p)
	pp, row := unsafe.SliceData(p), unsafe.SliceData(rows)
	stride, n, mask := uintptr(4*k), uintptr(len(rows)/k), lastMask(k)
	switch (k + wideLanes - 1) / wideLanes {
	case 1:
		return quadratic1AVX512(pp, row, stride, n, mask)
	case 2:
		return quadratic2AVX512(pp, row, stride, n, mask)
	case 3:
		return quadratic3AVX512(pp, row, stride, n, mask)
	case 4:
		return quadratic4AVX512(pp, row, stride, n, mask)
	case 5:
		return quadratic5AVX512(pp, row, stride, n, mask)
	case 6:
		return quadratic6AVX512(pp, row, stride, n, mask)
	case 7:
		return quadratic7AVX512(pp, row, stride, n, mask)
	default:
		return quadratic8AVX512(pp, row, stride, n, mask)
	}
}

// combineWide is CombineRows of rows that are wide.
func combineWide(q, rows, c []float32) {
	k := len(q)
	at, row, cc := unsafe.SliceData(q), unsafe.SliceData(rows), unsafe.SliceData(c)
	stride, n, mask := uintptr(4*k), uintptr(len(c)), lastMask(k)
	switch (k + wideLanes - 1) / wideLanes {
	case 1:
		combine1AVX512(at, row, cc, stride, n, mask)
	case 2:
		combine2AVX512(at, row, cc, stride, n, mask)
	case 3:
		combine3AVX512(at, row, cc, stride, n, mask)
	case 4:
		combine4AVX512(at, row, cc, stride, n, mask)
	case 5:
		combine5AVX512(at, row, cc, stride, n, mask)
	case 6:
		combine6AVX512(at, row, cc, stride, n, mask)
	case 7:
		combine7AVX512(at, row, cc, stride, n, mask)
	default:
		combine8AVX512(at, row, cc, stride, n, mask)
	}
}
