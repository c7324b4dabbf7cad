package f32

import "math"

// The generic kernels are compiled on every platform: they serve where there is
// no assembly, do its tails, and judge it in the tests.

// dotGeneric returns sum_i a[i]*b[i] over the length of a.
//
// Eight running sums hide the latency of the addition (4 cycles on the CPUs
// measured), which is what bounds a single sum.
func dotGeneric(a, b []float32) float32 {
	b = b[:len(a)]
	var s0, s1, s2, s3, s4, s5, s6, s7 float32
	for len(a) >= 8 && len(b) >= 8 {
		s0 += a[0] * b[0]
		s1 += a[1] * b[1]
		s2 += a[2] * b[2]
		s3 += a[3] * b[3]
		s4 += a[4] * b[4]
		s5 += a[5] * b[5]
		s6 += a[6] * b[6]
		s7 += a[7] * b[7]
		a, b = a[8:], b[8:]
	}
	for i, v := range a {
		s0 += v * b[i]
	}
	return ((s0 + s4) + (s1 + s5)) + ((s2 + s6) + (s3 + s7))
}

// axpyGeneric adds: y += alpha * x, over the length of x.
func axpyGeneric(alpha float32, x, y []float32) {
	y = y[:len(x)]
	for len(x) >= 4 && len(y) >= 4 {
		y[0] += alpha * x[0]
		y[1] += alpha * x[1]
		y[2] += alpha * x[2]
		y[3] += alpha * x[3]
		x, y = x[4:], y[4:]
	}
	for i, v := range x {
		y[i] += alpha * v
	}
}

// xpbyGeneric sets y = x + beta * y, over the length of x.
func xpbyGeneric(beta float32, x, y []float32) {
	y = y[:len(x)]
	for i, v := range x {
		y[i] = v + beta*y[i]
	}
}

// subtractGeneric sets y = x - y, over the length of x.
func subtractGeneric(x, y []float32) {
	y = y[:len(x)]
	for i, v := range x {
		y[i] = v - y[i]
	}
}

// rootGeneric sets y = sqrt(x), over the length of x.
func rootGeneric(x, y []float32) {
	y = y[:len(x)]
	for i, v := range x {
		y[i] = float32(math.Sqrt(float64(v)))
	}
}

// bandGeneric is Band.
func bandGeneric(y, below, diag, above, x []float32) {
	n := len(y)
	below, diag, above, x = below[:n], diag[:n], above[:n], x[:n+2]
	for i := range y {
		y[i] += below[i]*x[i] + diag[i]*x[i+1] + above[i]*x[i+2]
	}
}

// axpy4 adds: y += c0*x0 + c1*x1 + c2*x2 + c3*x3, over the length of y. Four
// rows at a time need one load and one store of y instead of four.
func axpy4(y []float32, c *[4]float32, x0, x1, x2, x3 []float32) {
	n := len(y)
	x0, x1, x2, x3 = x0[:n], x1[:n], x2[:n], x3[:n]
	c0, c1, c2, c3 := c[0], c[1], c[2], c[3]
	for i := range y {
		y[i] += (c0*x0[i] + c1*x1[i]) + (c2*x2[i] + c3*x3[i])
	}
}

// dot4 computes four dot products with q in one pass over q.
func dot4(q, x0, x1, x2, x3 []float32) (d0, d1, d2, d3 float32) {
	n := len(q)
	x0, x1, x2, x3 = x0[:n], x1[:n], x2[:n], x3[:n]
	var e0, e1, e2, e3 float32
	i := 0
	for ; i < n-1; i += 2 {
		q0, q1 := q[i], q[i+1]
		d0 += q0 * x0[i]
		e0 += q1 * x0[i+1]
		d1 += q0 * x1[i]
		e1 += q1 * x1[i+1]
		d2 += q0 * x2[i]
		e2 += q1 * x2[i+1]
		d3 += q0 * x3[i]
		e3 += q1 * x3[i+1]
	}
	if i < n {
		d0 += q[i] * x0[i]
		d1 += q[i] * x1[i]
		d2 += q[i] * x2[i]
		d3 += q[i] * x3[i]
	}
	return d0 + e0, d1 + e1, d2 + e2, d3 + e3
}

// dotRowsGeneric computes dst[r] = rows[r] . q for len(dst) rows of length len(q).
func dotRowsGeneric(dst, rows, q []float32) {
	k := len(q)
	rows = rows[:len(dst)*k]
	for len(dst) >= 4 {
		dst[0], dst[1], dst[2], dst[3] = dot4(q, rows[:k], rows[k:2*k], rows[2*k:3*k], rows[3*k:4*k])
		dst, rows = dst[4:], rows[4*k:]
	}
	for r := range dst {
		dst[r] = dotGeneric(q, rows[r*k:(r+1)*k])
	}
}

// applyRowsGeneric is ApplyRows four rows at a time: a row is read once for
// both uses.
func applyRowsGeneric(q, p, rows []float32) {
	k := len(p)
	q = q[:k]
	for ; len(rows) >= 4*k && k > 0; rows = rows[4*k:] {
		x0, x1, x2, x3 := rows[:k], rows[k:2*k], rows[2*k:3*k], rows[3*k:4*k]
		var c [4]float32
		c[0], c[1], c[2], c[3] = dot4(p, x0, x1, x2, x3)
		axpy4(q, &c, x0, x1, x2, x3)
	}
	for ; len(rows) >= k && k > 0; rows = rows[k:] {
		axpyGeneric(dotGeneric(p, rows[:k]), rows[:k], q)
	}
}

// residualRowsGeneric is ResidualRows row by row.
func residualRowsGeneric(q, p, rows, t []float32) {
	k := len(p)
	q, rows = q[:k], rows[:len(t)*k]
	for r, tr := range t {
		x := rows[r*k : (r+1)*k]
		axpyGeneric(tr-dotGeneric(p, x), x, q)
	}
}

// combineRowsGeneric adds q += sum_r w[r] * x_r over the len(w) rows of length len(q).
func combineRowsGeneric(q, rows, w []float32) {
	k := len(q)
	rows = rows[:len(w)*k]
	for len(w) >= 4 {
		axpy4(q, (*[4]float32)(w), rows[:k], rows[k:2*k], rows[2*k:3*k], rows[3*k:4*k])
		w, rows = w[4:], rows[4*k:]
	}
	for r, wr := range w {
		axpyGeneric(wr, rows[r*k:(r+1)*k], q)
	}
}

// syrkGeneric is Syrk four rows at a time.
func syrkGeneric(a, rows []float32, k int) {
	a = a[:k*k]
	for ; len(rows) >= 4*k && k > 0; rows = rows[4*k:] {
		x0, x1, x2, x3 := rows[:k], rows[k:2*k], rows[2*k:3*k], rows[3*k:4*k]
		for i := range k {
			c := [4]float32{x0[i], x1[i], x2[i], x3[i]}
			axpy4(a[i*k+i:(i+1)*k], &c, x0[i:], x1[i:], x2[i:], x3[i:])
		}
	}
	for ; len(rows) >= k && k > 0; rows = rows[k:] {
		for i, v := range rows[:k] {
			axpyGeneric(v, rows[i:k], a[i*k+i:(i+1)*k])
		}
	}
}

// factorBlock is how many rows factorGeneric finishes before it updates the
// rest of the matrix with all of them at once.
const factorBlock = 8

// factorGeneric is Factor.
func factorGeneric(a []float32, k int) bool {
	for from := 0; from < k; from += factorBlock {
		to := min(from+factorBlock, k)
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
				axpyGeneric(-row[j-i], row[j-i:], a[j*k+j:(j+1)*k])
			}
		}
		downdateGeneric(a, k, from, to)
	}
	return true
}

// substituteGeneric is Substitute. Both ways walk along rows of U.
func substituteGeneric(a, b []float32, k int) {
	for i := range k {
		b[i] *= a[i*k+i]
		axpyGeneric(-b[i], a[i*k+i+1:(i+1)*k], b[i+1:])
	}
	for i := k - 1; i >= 0; i-- {
		b[i] = (b[i] - dotGeneric(a[i*k+i+1:(i+1)*k], b[i+1:])) * a[i*k+i]
	}
}

// downdateGeneric subtracts the products of rows from..to-1 of a from the upper
// triangle below them.
func downdateGeneric(a []float32, k, from, to int) {
	for i := to; i < k; i++ {
		target := a[i*k+i : (i+1)*k]
		r := from
		for ; r+4 <= to; r += 4 {
			c := [4]float32{-a[r*k+i], -a[(r+1)*k+i], -a[(r+2)*k+i], -a[(r+3)*k+i]}
			axpy4(target, &c, a[r*k+i:(r+1)*k], a[(r+1)*k+i:(r+2)*k], a[(r+2)*k+i:(r+3)*k], a[(r+3)*k+i:(r+4)*k])
		}
		for ; r < to; r++ {
			axpyGeneric(-a[r*k+i], a[r*k+i:(r+1)*k], target)
		}
	}
}

// gatherGeneric is GatherBlock.
func gatherGeneric(dst, base []float32, cols []uint32, factors []float32, k int) {
	wide := len(dst) / len(factors)
	for r, factor := range factors {
		at := int(cols[r]) * k
		row := base[at : at+wide]
		for i, v := range row {
			dst[r*wide+i] = factor * v
		}
	}
}
