package solve

import (
	"math"

	"vitrine/als/internal/f32"
)

// turn is an orthonormal basis Q in which the share of all cells is
// tridiagonal: Q^T G Q = T. A gradient step's product with T costs 3 k
// multiply-adds instead of k^2, and 12 k bytes of the first-level cache instead
// of 4 k^2. Conjugate gradients take the same steps in any orthonormal basis,
// so the rows of both sides are turned into it and back out of it, many at a
// time.
type turn struct {
	into, back         []float32 // k x k: row . into is a row's turned one
	below, diag, above []float32 // T, as f32.Band takes it
}

const (
	// turnRows of the free side for each column are what the making of a basis,
	// 3 k^3 multiply-adds on one core, is worth.
	turnRows = 128
	// turnFixed is how many fixed rows, which are turned once, weigh as much as
	// a free row, turned twice and spared four products.
	turnFixed = 2
)

// turns reports whether the rows are to be turned: gradients that fetch fixed
// rows in half precision pay nothing for fetching turned ones.
func (c *Config) turns() bool {
	return c.Half && f32.HasHalf() && !c.Loss.Explicit && c.Rank%f32.Lanes == 0 &&
		c.Free >= turnRows*c.Rank && len(c.Scale) <= turnFixed*c.Free
}

// newTurn makes the basis of the k x k matrix gram by Householder's reflections
// (Golub and Van Loan, "Matrix Computations", 8.3.1), in float64.
func newTurn(gram []float32, k int) *turn {
	a, q := make([]float64, k*k), make([]float64, k*k)
	for i, v := range gram {
		a[i] = float64(v)
	}
	for i := range k {
		q[i*k+i] = 1
	}
	v, w := make([]float64, k), make([]float64, k)
	for i := range k - 2 {
		reflect(a, q, v[i+1:], w[i+1:], i)
	}
	t := &turn{
		into: make([]float32, k*k), back: make([]float32, k*k),
		below: make([]float32, k), diag: make([]float32, k), above: make([]float32, k),
	}
	for i := range k {
		t.diag[i] = float32(a[i*k+i])
		if i+1 < k {
			t.above[i] = float32(a[i*k+i+1])
			t.below[i+1] = t.above[i]
		}
		for j := range k {
			t.into[i*k+j], t.back[j*k+i] = float32(q[i*k+j]), float32(q[i*k+j])
		}
	}
	return t
}

// reflect clears what stands right of the diagonal's neighbour in row i of the
// symmetric a, by a reflection v of the columns behind i, from both sides, and
// turns q by it. v and w are working memory for these columns.
func reflect(a, q, v, w []float64, i int) {
	k := i + 1 + len(v)
	row := a[i*k+i+1 : (i+1)*k]
	copy(v, row)
	length := math.Sqrt(product(row, row))
	if length == math.Abs(v[0]) {
		return // nothing to clear
	}
	beside := -math.Copysign(length, v[0])
	v[0] -= beside
	scale := 2 / product(v, v)
	rest := func(r int) []float64 { return a[(i+1+r)*k+i+1 : (i+2+r)*k] }
	for r := range w {
		w[r] = scale * product(rest(r), v)
	}
	half := scale * product(w, v) / 2
	for r := range w {
		w[r] -= half * v[r]
	}
	for r := range w {
		to, vr, wr := rest(r), v[r], w[r]
		for c := range to {
			to[c] -= vr*w[c] + wr*v[c]
		}
	}
	clear(row)
	row[0] = beside
	for r := range k {
		to := q[r*k+i+1 : (r+1)*k]
		along := scale * product(to, v)
		for c := range to {
			to[c] -= along * v[c]
		}
	}
}

func product(a, b []float64) float64 {
	sum := 0.0
	for i, v := range a {
		sum += v * b[i]
	}
	return sum
}

// turnedRows is how many rows are turned at a time: they stay in the
// first-level cache.
const turnedRows = 8

// Enter turns rows that are to be solved by Gradient, in place. Leave turns them
// back; between the two they mean nothing to others.
func (f *Fixed) Enter(rows []float32, s *Scratch) {
	if f.turn != nil {
		f.turned(rows, f.turn.into, s)
	}
}

// Leave turns rows back that Enter turned.
func (f *Fixed) Leave(rows []float32, s *Scratch) {
	if f.turn != nil {
		f.turned(rows, f.turn.back, s)
	}
}

func (f *Fixed) turned(rows, by []float32, s *Scratch) {
	s.roomFor(turnedRows * f.width)
	for len(rows) > 0 {
		n := min(turnedRows*f.width, len(rows))
		f32.Times(s.panel[:n], rows[:n], by, f.width)
		copy(rows, s.panel[:n])
		rows = rows[n:]
	}
}
