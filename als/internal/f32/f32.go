// Package f32 holds the float32 kernels that training, fold-in and scoring
// spend their time in.
//
// It owns loops over plain slices and nothing else: no allocation, no
// goroutines, no knowledge of what the numbers mean. It must not import any
// package of this module. Matrices are row-major without padding. Every kernel
// adds in an order that depends on the shapes and the level (Level) alone, so a
// result never depends on how many goroutines share the work.
//
// On amd64 with AVX2 and FMA the loops run in assembly that _asm generates; the
// build tag noasm leaves it out.
//
// A shape that does not fit is a programming error and panics.
package f32

// Level names the kernels in use: "avx2" or "generic".
func Level() string {
	if vector {
		return "avx2"
	}
	return "generic"
}

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

// DotRows computes dst[r] = rows[r] . q for len(dst) rows of length len(q).
func DotRows(dst, rows, q []float32) {
	k := len(q)
	rows = rows[:len(dst)*k]
	if !fits(k) {
		dotRowsGeneric(dst, rows, q)
		return
	}
	for len(dst) >= 4 {
		dot4Vector((*[4]float32)(dst), q, rows)
		dst, rows = dst[4:], rows[4*k:]
	}
	for r := range dst {
		dst[r] = dotVector(q, rows[r*k:(r+1)*k])
	}
}

// ApplyRows adds the product of a weighted row set with a vector,
//
//	q += sum_r w[r] * (x_r . p) * x_r
//
// where x_r are the len(w) rows of length len(p) in rows: one conjugate
// gradient step's share of the observed cells. Four rows at a time stay in the
// first-level cache between their two uses.
func ApplyRows(q, p, rows, w []float32) {
	k := len(p)
	q, rows = q[:k], rows[:len(w)*k]
	if !fits(k) {
		applyRowsGeneric(q, p, rows, w)
		return
	}
	for len(w) >= 4 {
		var c [4]float32
		dot4Vector(&c, p, rows)
		c[0] *= w[0]
		c[1] *= w[1]
		c[2] *= w[2]
		c[3] *= w[3]
		axpy4Vector(q, &c, rows)
		w, rows = w[4:], rows[4*k:]
	}
	for r, wr := range w {
		x := rows[r*k : (r+1)*k]
		axpyVector(wr*dotVector(p, x), x, q)
	}
}

// ResidualRows adds what a weighted row set leaves of ones,
//
//	q += sum_r w[r] * (1 - x_r . p) * x_r
//
// with the shapes of ApplyRows: the right side minus the product in one pass.
func ResidualRows(q, p, rows, w []float32) {
	k := len(p)
	q, rows = q[:k], rows[:len(w)*k]
	if !fits(k) {
		residualRowsGeneric(q, p, rows, w)
		return
	}
	for len(w) >= 4 {
		var c [4]float32
		dot4Vector(&c, p, rows)
		c[0] = w[0] - w[0]*c[0]
		c[1] = w[1] - w[1]*c[1]
		c[2] = w[2] - w[2]*c[2]
		c[3] = w[3] - w[3]*c[3]
		axpy4Vector(q, &c, rows)
		w, rows = w[4:], rows[4*k:]
	}
	for r, wr := range w {
		x := rows[r*k : (r+1)*k]
		axpyVector(wr-wr*dotVector(p, x), x, q)
	}
}

// CombineRows adds q += sum_r w[r] * x_r over the len(w) rows of length len(q).
func CombineRows(q, rows, w []float32) {
	k := len(q)
	rows = rows[:len(w)*k]
	if !fits(k) {
		combineRowsGeneric(q, rows, w)
		return
	}
	for len(w) >= 4 {
		axpy4Vector(q, (*[4]float32)(w), rows)
		w, rows = w[4:], rows[4*k:]
	}
	for r, wr := range w {
		axpyVector(wr, rows[r*k:(r+1)*k], q)
	}
}

// Syrk adds the weighted outer products of len(w) rows to the upper triangle
// of the k x k matrix a:
//
//	a[i][j] += sum_r w[r] * x_r[i] * x_r[j]    for j >= i
//
// What stands below the diagonal afterwards is not defined.
func Syrk(a, rows, w []float32, k int) {
	a, rows = a[:k*k], rows[:len(w)*k]
	if !fits(k) || len(w) == 0 {
		syrkGeneric(a, rows, w, k)
		return
	}
	syrkVector(a, rows, w, 0, k)
}

// Downdate subtracts rows from..to-1 of the k x k matrix a, taken as a panel,
// from the upper triangle below them: the trailing update of a blocked
// factorization,
//
//	a[i][j] -= sum_{from <= r < to} a[r][i] * a[r][j]    for to <= i <= j
//
// What stands below the diagonal afterwards is not defined.
func Downdate(a []float32, k, from, to int) {
	if !fits(k) || to%lanes != 0 || to-from > len(minusOnes) {
		downdateGeneric(a, k, from, to)
		return
	}
	syrkVector(a, a[from*k:to*k], minusOnes[:to-from], to, k)
}

// minusOnes are the weights of a downdate's rows.
var minusOnes = []float32{-1, -1, -1, -1, -1, -1, -1, -1}

// Gather copies rows: row r of dst (of length k) becomes row cols[r] of base.
// The rows lie anywhere in a large block, so the memory is asked for each some
// rows ahead.
func Gather(dst, base []float32, cols []uint32, k int) {
	dst = dst[:len(cols)*k]
	if n := len(cols) - prefetchRows; n > 0 && fits(k) {
		gatherVector(dst, base, cols, k)
		dst, cols = dst[n*k:], cols[n:]
	}
	for r, c := range cols {
		copy(dst[r*k:(r+1)*k], base[int(c)*k:(int(c)+1)*k])
	}
}

// fits reports whether rows of length k are whole vectors.
func fits(k int) bool { return vector && k >= lanes && k%lanes == 0 }
