// Package tiles holds large symmetric matrices as square tiles, and inverts them
// in place on several cores.
//
// It owns their layout and the inversion; it knows float32 numbers and nothing
// of what they mean.
package tiles

import (
	"fmt"

	"vitrine/als/internal/f32"
)

// Side is the side of a tile: 64 KiB, three of which fit the second-level
// cache. Half of it makes the passes over a large matrix wait for memory.
const Side = 128

// Matrix is a symmetric matrix of which the tiles on and above the diagonal are
// kept, each row-major. Rows that only fill up the last tile are those of the
// identity.
type Matrix struct {
	n    int // rows of the matrix
	side int // tiles per side
	data []float32
}

// New returns a matrix of n rows, all 0.
func New(n int) *Matrix {
	t := &Matrix{n: n, side: (n + Side - 1) / Side}
	t.data = make([]float32, t.side*(t.side+1)/2*Side*Side)
	for i := n; i < t.side*Side; i++ {
		*t.Cell(i, i) = 1
	}
	return t
}

// tile returns tile (i, j), i <= j.
func (t *Matrix) tile(i, j int) []float32 {
	at := (i*t.side - i*(i-1)/2 + j - i) * Side * Side
	return t.data[at : at+Side*Side]
}

// Cell points at element (i, j), i <= j or both in one tile.
func (t *Matrix) Cell(i, j int) *float32 {
	return &t.tile(i/Side, j/Side)[i%Side*Side+j%Side]
}

// At returns element (i, j).
func (t *Matrix) At(i, j int) float32 {
	if i > j {
		i, j = j, i
	}
	return *t.Cell(i, j)
}

// NegateInverse replaces the matrix by minus its inverse, by the sweep
// operator on tiles (Goodnight 1979). With D the inverse of the pivot tile k,
// a step makes
//
//	A_ij -= A_ik D A_kj    for all i, j other than k
//	A_kj  = D A_kj         A_kk = -D
//
// which keeps the matrix symmetric, so that the upper half is enough: n^3/2
// multiply-adds, as many as by Cholesky, in one loop whose tiles do not depend
// on each other. Only the pivot tiles are inverted in float64. parallel calls fn
// for 0 to n-1, in any order.
func (t *Matrix) NegateInverse(parallel func(n int, fn func(int)) error) error {
	area := Side * Side
	left := make([]float32, t.side*area)  // -A_jk, row-major
	right := make([]float32, t.side*area) // D A_kj
	pairs := t.pairs()
	for k := range t.side {
		pivot := t.tile(k, k)
		if !invertTile(pivot) {
			return fmt.Errorf("rows %d to %d are not positive definite", k*Side, min((k+1)*Side, t.n)-1)
		}
		err := parallel(t.side, func(j int) {
			if j != k {
				t.panels(k, j, left[j*area:(j+1)*area], right[j*area:(j+1)*area])
			}
		})
		if err != nil {
			return err
		}
		err = parallel(len(pairs), func(n int) {
			i, j := pairs[n][0], pairs[n][1]
			dst := t.tile(i, j)
			switch {
			case i == k && j == k:
				for x := range dst {
					dst[x] = -dst[x]
				}
			case i == k:
				copy(dst, right[j*area:(j+1)*area])
			case j == k:
				transpose(dst, right[i*area:(i+1)*area])
			default:
				addProduct(dst, left[i*area:(i+1)*area], right[j*area:(j+1)*area])
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *Matrix) pairs() [][2]int {
	var out [][2]int
	for i := range t.side {
		for j := i; j < t.side; j++ {
			out = append(out, [2]int{i, j})
		}
	}
	return out
}

// panels makes what tile row k contributes to column j: left = -A_jk and
// right = D A_kj, with D in the pivot tile.
func (t *Matrix) panels(k, j int, left, right []float32) {
	if j > k {
		transpose(left, t.tile(k, j))
	} else {
		copy(left, t.tile(j, k))
	}
	for n := range left {
		left[n] = -left[n]
	}
	// right = D * A_kj = (A_jk * D)' : the rows of -left are those of A_jk.
	product := make([]float32, Side*Side)
	addProduct(product, left, t.tile(k, k))
	transpose(right, product)
	for n := range right {
		right[n] = -right[n]
	}
}

// addProduct adds a . b to dst, all row-major tiles.
func addProduct(dst, a, b []float32) {
	for r := range Side {
		f32.CombineRows(dst[r*Side:(r+1)*Side], b, a[r*Side:(r+1)*Side])
	}
}

func transpose(dst, src []float32) {
	for r := range Side {
		for c, v := range src[r*Side : (r+1)*Side] {
			dst[c*Side+r] = v
		}
	}
}

// invertTile inverts a symmetric positive definite tile in place, by the sweep
// operator on single rows in float64, and reports whether it was one.
func invertTile(tile []float32) bool {
	const n = Side
	a := make([]float64, n*n)
	for i := range n {
		for j := range n {
			// The mean of the halves: rounding has made them differ.
			a[i*n+j] = (float64(tile[i*n+j]) + float64(tile[j*n+i])) / 2
		}
	}
	row := make([]float64, n)
	for k := range n {
		d := a[k*n+k]
		if !(d > 0) || d-d != 0 {
			return false
		}
		copy(row, a[k*n:(k+1)*n])
		for i := range n {
			if i == k {
				continue
			}
			f := row[i] / d
			dst := a[i*n : (i+1)*n]
			for j, v := range row {
				dst[j] -= f * v
			}
			dst[k] = f
		}
		for j := range n {
			a[k*n+j] = row[j] / d
		}
		a[k*n+k] = -1 / d
	}
	for i := range a {
		tile[i] = float32(-a[i])
	}
	return true
}
