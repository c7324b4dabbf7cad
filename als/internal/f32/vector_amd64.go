//go:build !noasm

package f32

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/cpu"
)

//go:generate sh -c "cd _asm && go run . -out ../kernels_amd64.s -stubs ../kernels_amd64.go -pkg f32"

const (
	// lanes is the number of floats in one vector.
	lanes = 8
	// prefetchRows is how far ahead a gather asks for rows: what one core
	// copies in the time that main memory takes to answer.
	prefetchRows = 32
)

// vector tells whether the assembly may run here: x/sys/cpu also checks that
// the kernel saves the wide registers.
var vector = cpu.X86.HasAVX2 && cpu.X86.HasFMA && cpu.X86.HasF16C

func dotVector(x, y []float32) float32 {
	return dotAVX2(unsafe.SliceData(x), unsafe.SliceData(y), uintptr(len(x)/lanes))
}

func axpyVector(alpha float32, x, y []float32) {
	axpyAVX2(alpha, unsafe.SliceData(x), unsafe.SliceData(y), uintptr(len(x)/lanes))
}

func xpbyVector(beta float32, x, y []float32) {
	xpbyAVX2(beta, unsafe.SliceData(x), unsafe.SliceData(y), uintptr(len(x)/lanes))
}

func subtractVector(x, y []float32) {
	subtractAVX2(unsafe.SliceData(x), unsafe.SliceData(y), uintptr(len(x)/lanes))
}

func rootVector(x, y []float32) {
	rootAVX2(unsafe.SliceData(x), unsafe.SliceData(y), uintptr(len(x)/lanes))
}

// dotsVector adds d[r] += row_r . p for len(d) > 0 rows that begin k floats
// apart, over the 1 to 8 vectors of p.
func dotsVector(d, rows, p []float32, k int) {
	_ = rows[(len(d)-1)*k+len(p)-1]
	at, row, pp := unsafe.SliceData(d), unsafe.SliceData(rows), unsafe.SliceData(p)
	stride, n := uintptr(4*k), uintptr(len(d))
	switch len(p) / lanes {
	case 1:
		dots1AVX2(at, row, pp, stride, n)
	case 2:
		dots2AVX2(at, row, pp, stride, n)
	case 3:
		dots3AVX2(at, row, pp, stride, n)
	case 4:
		dots4AVX2(at, row, pp, stride, n)
	case 5:
		dots5AVX2(at, row, pp, stride, n)
	case 6:
		dots6AVX2(at, row, pp, stride, n)
	case 7:
		dots7AVX2(at, row, pp, stride, n)
	case 8:
		dots8AVX2(at, row, pp, stride, n)
	}
}

// combineVector adds q += sum_r c[r]*row_r for len(c) > 0 rows that begin k
// floats apart, over the 1 to 8 vectors of q.
func combineVector(q, rows, c []float32, k int) {
	_ = rows[(len(c)-1)*k+len(q)-1]
	at, row, cc := unsafe.SliceData(q), unsafe.SliceData(rows), unsafe.SliceData(c)
	stride, n := uintptr(4*k), uintptr(len(c))
	switch len(q) / lanes {
	case 1:
		combine1AVX2(at, row, cc, stride, n)
	case 2:
		combine2AVX2(at, row, cc, stride, n)
	case 3:
		combine3AVX2(at, row, cc, stride, n)
	case 4:
		combine4AVX2(at, row, cc, stride, n)
	case 5:
		combine5AVX2(at, row, cc, stride, n)
	case 6:
		combine6AVX2(at, row, cc, stride, n)
	case 7:
		combine7AVX2(at, row, cc, stride, n)
	case 8:
		combine8AVX2(at, row, cc, stride, n)
	}
}

// syrkVector covers the upper triangle of a, from row first on, with register
// tiles of 4 rows by 1 to 3 vectors; k and first are multiples of lanes. Of
// four vectors that are left, two and two are better than three and one: a tile
// of one wastes loads. With down the products are subtracted.
func syrkVector(a, rows []float32, first, k int, down bool) {
	stride, n := uintptr(4*k), uintptr(len(rows)/k)
	for i := first; i < k; i += 4 {
		for v := i / lanes; v < k/lanes; {
			c, left, right := &a[i*k+v*lanes], &rows[i], &rows[v*lanes]
			wide := 3
			switch k/lanes - v {
			case 1:
				wide = 1
			case 2, 4:
				wide = 2
			}
			tileVector(c, stride, left, right, n, wide, down)
			v += wide
		}
	}
}

func tileVector(c *float32, stride uintptr, left, right *float32, n uintptr, wide int, down bool) {
	switch {
	case wide == 1 && down:
		down1AVX2(c, stride, left, right, n)
	case wide == 2 && down:
		down2AVX2(c, stride, left, right, n)
	case down:
		down3AVX2(c, stride, left, right, n)
	case wide == 1:
		tile1AVX2(c, stride, left, right, n)
	case wide == 2:
		tile2AVX2(c, stride, left, right, n)
	default:
		tile3AVX2(c, stride, left, right, n)
	}
}

// timesVector sets a multiple of 4 rows of dst, with tiles as syrkVector's.
func timesVector(dst, a, b []float32, k int) {
	stride := uintptr(4 * k)
	for at := 0; at < len(a); at += 4 * k {
		for v := 0; v < k/lanes; {
			c, left, right := &dst[at+v*lanes], &a[at], &b[v*lanes]
			switch k/lanes - v {
			case 1:
				times1AVX2(c, left, right, stride, uintptr(k))
				v++
			case 2, 4:
				times2AVX2(c, left, right, stride, uintptr(k))
				v += 2
			default:
				times3AVX2(c, left, right, stride, uintptr(k))
				v += 3
			}
		}
	}
}

func bandVector(y, below, diag, above, x []float32) {
	bandAVX2(unsafe.SliceData(y), unsafe.SliceData(below), unsafe.SliceData(diag), unsafe.SliceData(above),
		unsafe.SliceData(x), uintptr(len(y)/lanes))
}

// factorVector takes 8 rows at a time: their diagonal block, the columns right
// of it, and then the rows below, where the time goes.
func factorVector(a []float32, k int) bool {
	stride := uintptr(4 * k)
	for from := 0; from < k; from += lanes {
		at := &a[from*k+from]
		if least := factorAVX2(at, stride); !(least > 0) {
			return false
		}
		to := from + lanes
		for i := from; i < to; i++ {
			// The inverse of an infinite root leaves no other trace.
			if a[i*k+i] == 0 {
				return false
			}
		}
		panelAVX2(at, stride, uintptr((k-to)/lanes))
		syrkVector(a, a[from*k:to*k], to, k, true)
	}
	return true
}

// substituteVector takes 8 unknowns at a time, forwards along the rows of U and
// then backwards.
func substituteVector(a, b []float32, k int) {
	var c [lanes]float32
	for from := 0; from < k; from += lanes {
		x, to := b[from:from+lanes:from+lanes], from+lanes
		for i := range x {
			row := a[(from+i)*k+from : (from+i)*k+to : (from+i)*k+to]
			v := x[i] * row[i]
			x[i], c[i] = v, -v
			for j := i + 1; j < lanes; j++ {
				x[j] -= v * row[j]
			}
		}
		for lo := to; lo < k; lo += blockColumns {
			combineVector(b[lo:min(lo+blockColumns, k)], a[from*k+lo:], c[:], k)
		}
	}
	for from := k - lanes; from >= 0; from -= lanes {
		x, to := b[from:from+lanes:from+lanes], from+lanes
		clear(c[:])
		for lo := to; lo < k; lo += blockColumns {
			dotsVector(c[:], a[from*k+lo:], b[lo:min(lo+blockColumns, k)], k)
		}
		for i := lanes - 1; i >= 0; i-- {
			row := a[(from+i)*k+from : (from+i)*k+to : (from+i)*k+to]
			v := x[i] - c[i]
			for j := i + 1; j < lanes; j++ {
				v -= row[j] * x[j]
			}
			x[i] = v * row[i]
		}
	}
}

// gatherVector fills dst with len(factors) rows; what cols holds beyond them
// are the hints, as far ahead of each row as there are of them.
func gatherVector(dst, base []float32, cols []uint32, factors []float32, k int) {
	n := len(factors)
	if n == 0 {
		return
	}
	wide := len(dst) / n
	rows := (len(base) - wide + k) / k
	done := gatherAVX2(unsafe.SliceData(dst), unsafe.SliceData(base), &cols[0], &factors[0],
		uintptr(n), uintptr(wide/lanes), uintptr(4*k), uintptr(len(cols)-n), uintptr(rows))
	if int(done) < n {
		panic(outside(cols[done], rows))
	}
}

// gatherHalfVector is gatherVector from whole rows in half precision.
func gatherHalfVector(dst []float32, base []uint16, cols []uint32, factors []float32) {
	n := len(factors)
	if n == 0 {
		return
	}
	k := len(dst) / n
	done := gatherHalfAVX2(unsafe.SliceData(dst), unsafe.SliceData(base), &cols[0], &factors[0],
		uintptr(n), uintptr(k/lanes), uintptr(len(cols)-n), uintptr(len(base)/k))
	if int(done) < n {
		panic(outside(cols[done], len(base)/k))
	}
}

func askVector(base []uint16, cols []uint32, k int) {
	askAVX2(unsafe.SliceData(base), &cols[0], uintptr(len(cols)), uintptr(2*k))
}

func outside(col uint32, rows int) string { return fmt.Sprintf("f32: gather row %d of %d", col, rows) }

func toHalfVector(dst []uint16, src []float32) float32 {
	if len(src)%lanes != 0 {
		panic(fmt.Sprintf("f32: %d numbers to half precision", len(src)))
	}
	return toHalfAVX2(unsafe.SliceData(dst), unsafe.SliceData(src), uintptr(len(src)/lanes))
}
