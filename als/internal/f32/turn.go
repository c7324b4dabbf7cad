package f32

// What a side's rows need to be turned into another basis, and to go on in it.

// Times sets dst = a . b: the rows of a, each of length k, times the k x k
// matrix b. dst must not overlap a.
func Times(dst, a, b []float32, k int) {
	dst, b = dst[:len(a)], b[:k*k]
	n := 0
	if fits(k) {
		n = len(a) / (4 * k) * 4
		timesVector(dst[:n*k], a[:n*k], b, k)
	}
	clear(dst[n*k:])
	for r := n; k > 0 && (r+1)*k <= len(a); r++ {
		CombineRows(dst[r*k:(r+1)*k], b, a[r*k:(r+1)*k])
	}
}

// Band adds the product of a tridiagonal matrix with a vector x that has one
// number more at each end:
//
//	y[i] += below[i]*x[i] + diag[i]*x[i+1] + above[i]*x[i+2]
func Band(y, below, diag, above, x []float32) {
	n := len(y)
	below, diag, above, x = below[:n], diag[:n], above[:n], x[:n+2]
	done := 0
	if vector && n >= lanes {
		done = n / lanes * lanes
		bandVector(y[:done], below, diag, above, x)
	}
	bandGeneric(y[done:], below[done:], diag[done:], above[done:], x[done:])
}
