// Package f32 holds the kernels that training, fold-in and scoring spend their
// time in: float32 loops, and the int8 scans of a search.
//
// It owns loops over plain slices and nothing else: no allocation, no
// goroutines, no knowledge of what the numbers mean. It must not import any
// package of this module. Matrices are row-major without padding. Every kernel
// adds in an order that depends on the shapes and the level (Level) alone, so a
// result never depends on how many goroutines share the work.
//
// On amd64 with AVX2, FMA and F16C the loops run in assembly that _asm
// generates; passes over rows run with AVX-512 where that is there, int8 scans
// with its VNNI. The build tag noasm leaves it out.
//
// A shape that does not fit is a programming error and panics.
package f32

// Level names the kernels in use: "avx512", "avx2" or "generic".
func Level() string {
	switch {
	case hasWide:
		return "avx512"
	case vector:
		return "avx2"
	default:
		return "generic"
	}
}

// wideColumns is the longest row that the AVX-512 kernels keep in registers.
const wideColumns = 128

// isWide reports whether rows of length k are for the AVX-512 kernels, which
// mask what of 16 lanes a row leaves empty.
func isWide(k int) bool { return hasWide && k <= wideColumns && fits(k) }

// Lanes is the number of floats in one vector: rows of a multiple of it run
// fastest.
const Lanes = lanes

// Dot returns sum_i a[i]*b[i] over the length of a.
func Dot(a, b []float32) float32 {
	b = b[:len(a)]
	if !vector || len(a) < lanes {
		return dotGeneric(a, b)
	}
	n := len(a) / lanes * lanes
	sum := dotVector(a[:n], b[:n])
	for i := n; i < len(a); i++ {
		sum += a[i] * b[i]
	}
	return sum
}

// Axpy adds: y += alpha * x, over the length of x.
func Axpy(alpha float32, x, y []float32) {
	y = y[:len(x)]
	n := 0
	if vector && len(x) >= lanes {
		n = len(x) / lanes * lanes
		axpyVector(alpha, x[:n], y[:n])
	}
	axpyGeneric(alpha, x[n:], y[n:])
}

// Xpby sets y = x + beta * y, over the length of x.
func Xpby(beta float32, x, y []float32) {
	y = y[:len(x)]
	n := 0
	if vector && len(x) >= lanes {
		n = len(x) / lanes * lanes
		xpbyVector(beta, x[:n], y[:n])
	}
	xpbyGeneric(beta, x[n:], y[n:])
}

// subtract sets y = x - y, over the length of x.
func subtract(x, y []float32) {
	y = y[:len(x)]
	n := 0
	if vector && len(x) >= lanes {
		n = len(x) / lanes * lanes
		subtractVector(x[:n], y[:n])
	}
	subtractGeneric(x[n:], y[n:])
}

// Root sets y = sqrt(x), over the length of x.
func Root(x, y []float32) {
	y = y[:len(x)]
	n := 0
	if vector && len(x) >= lanes {
		n = len(x) / lanes * lanes
		rootVector(x[:n], y[:n])
	}
	rootGeneric(x[n:], y[n:])
}

// DotRows computes dst[r] = rows[r] . q for len(dst) rows of length len(q).
func DotRows(dst, rows, q []float32) {
	k := len(q)
	rows = rows[:len(dst)*k]
	if !fits(k) {
		dotRowsGeneric(dst, rows, q)
		return
	}
	// Wide rows are taken column block by column block, few enough at a time
	// to be read from memory once.
	for n := wideRows(k, len(dst)); len(dst) > 0; {
		d := dst[:min(n, len(dst))]
		clear(d)
		for lo := 0; lo < k; lo += blockColumns {
			dotsVector(d, rows[lo:], q[lo:min(lo+blockColumns, k)], k)
		}
		dst, rows = dst[len(d):], rows[len(d)*k:]
	}
}

// wideRows is how many of n rows are taken at a time.
func wideRows(k, n int) int {
	if k <= blockColumns {
		return n
	}
	return max(minPass, passFloats/k)
}

// CombineRows adds q += sum_r w[r] * x_r over the len(w) rows of length len(q).
func CombineRows(q, rows, w []float32) {
	k := len(q)
	rows = rows[:len(w)*k]
	if isWide(k) {
		combineWide(q, rows, w)
		return
	}
	if !fits(k) {
		combineRowsGeneric(q, rows, w)
		return
	}
	for n := wideRows(k, len(w)); len(w) > 0; {
		c := w[:min(n, len(w))]
		for lo := 0; lo < k; lo += blockColumns {
			combineVector(q[lo:min(lo+blockColumns, k)], rows[lo:], c, k)
		}
		w, rows = w[len(c):], rows[len(c)*k:]
	}
}

// blockColumns is how many columns of a vector the row kernels keep in
// registers.
const blockColumns = 8 * lanes

// A pass takes so many rows of rank k at a time that they stay in the
// first-level cache between their two uses (8 KiB).
const (
	passFloats = 2048
	maxPass    = 64
	minPass    = 8
)

func passRows(k int) int { return max(minPass, min(maxPass, passFloats/k)) }

// ApplyRows adds the product of a row set's Gram matrix with a vector,
//
//	q += sum_r (x_r . p) * x_r
//
// where x_r are the rows of length len(p) in rows: one conjugate gradient
// step's share of the observed cells.
func ApplyRows(q, p, rows []float32) {
	k := len(p)
	q = q[:k]
	if isWide(k) {
		applyWide(q, p, rows)
		return
	}
	if !fits(k) {
		applyRowsGeneric(q, p, rows)
		return
	}
	var buf [maxPass]float32
	for n := passRows(k); len(rows) >= k; {
		c := buf[:min(n, len(rows)/k)]
		DotRows(c, rows, p)
		CombineRows(q, rows, c)
		rows = rows[len(c)*k:]
	}
}

// ResidualRows adds what a row set leaves of its targets,
//
//	q += sum_r (t[r] - x_r . p) * x_r
//
// with the shapes of ApplyRows: the right side minus the product in one pass.
func ResidualRows(q, p, rows, t []float32) {
	k := len(p)
	q, rows = q[:k], rows[:len(t)*k]
	if isWide(k) {
		residualWide(q, p, rows, t)
		return
	}
	if !fits(k) {
		residualRowsGeneric(q, p, rows, t)
		return
	}
	var buf [maxPass]float32
	for n := passRows(k); len(t) > 0; {
		c := buf[:min(n, len(t))]
		DotRows(c, rows, p)
		subtract(t[:len(c)], c)
		CombineRows(q, rows, c)
		t, rows = t[len(c):], rows[len(c)*k:]
	}
}

// QuadraticRows returns sum_r (x_r . p)^2 with the shapes of ApplyRows.
func QuadraticRows(p, rows []float32) float32 {
	k := len(p)
	if k == 0 {
		return 0
	}
	if isWide(k) {
		return quadraticWide(p, rows)
	}
	var buf [maxPass]float32
	sum := float32(0)
	for n := passRows(k); len(rows) >= k; {
		c := buf[:min(n, len(rows)/k)]
		DotRows(c, rows, p)
		sum += Dot(c, c)
		rows = rows[len(c)*k:]
	}
	return sum
}

// Syrk adds the outer products of the rows of length k in rows to the upper
// triangle of the k x k matrix a:
//
//	a[i][j] += sum_r x_r[i] * x_r[j]    for j >= i
//
// What stands below the diagonal afterwards is not defined.
func Syrk(a, rows []float32, k int) {
	a = a[:k*k]
	if !fits(k) || len(rows) < k {
		syrkGeneric(a, rows, k)
		return
	}
	syrkVector(a, rows[:len(rows)/k*k], 0, k, false)
}

// Factor replaces the upper triangle of the k x k matrix a by U with
// U^T U = a, and the diagonal by 1/U[i][i]. It reports whether a was positive
// definite; what stands below the diagonal afterwards is not defined.
func Factor(a []float32, k int) bool {
	a = a[:k*k]
	if !fits(k) {
		return factorGeneric(a, k)
	}
	return factorVector(a, k)
}

// Substitute solves U^T U x = b in place, with U as Factor left it.
func Substitute(a, b []float32, k int) {
	a, b = a[:k*k], b[:k]
	if !fits(k) {
		substituteGeneric(a, b, k)
		return
	}
	substituteVector(a, b, k)
}

// fits reports whether rows of length k are whole vectors.
func fits(k int) bool { return vector && k >= lanes && k%lanes == 0 }
