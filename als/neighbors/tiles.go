package neighbors

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"vitrine/als/internal/f32"
)

// tileSize is the side of a tile: 64 KiB, three of which fit the second-level
// cache. Half of it makes the passes over a large matrix wait for memory.
const tileSize = 128

// tiles is a symmetric matrix of which the tiles on and above the diagonal are
// kept, each row-major. Rows that only fill up the last tile are those of the
// identity.
type tiles struct {
	n    int // rows of the matrix
	side int // tiles per side
	data []float32
}

func newTiles(n int) *tiles {
	t := &tiles{n: n, side: (n + tileSize - 1) / tileSize}
	t.data = make([]float32, t.side*(t.side+1)/2*tileSize*tileSize)
	for i := n; i < t.side*tileSize; i++ {
		*t.cell(i, i) = 1
	}
	return t
}

// tile returns tile (i, j), i <= j.
func (t *tiles) tile(i, j int) []float32 {
	at := (i*t.side - i*(i-1)/2 + j - i) * tileSize * tileSize
	return t.data[at : at+tileSize*tileSize]
}

// cell points at element (i, j), i <= j or both in one tile.
func (t *tiles) cell(i, j int) *float32 {
	return &t.tile(i/tileSize, j/tileSize)[i%tileSize*tileSize+j%tileSize]
}

// at returns element (i, j).
func (t *tiles) at(i, j int) float32 {
	if i > j {
		i, j = j, i
	}
	return *t.cell(i, j)
}

// negateInverse replaces the matrix by minus its inverse, by the sweep
// operator on tiles (Goodnight 1979). With D the inverse of the pivot tile k,
// a step makes
//
//	A_ij -= A_ik D A_kj    for all i, j other than k
//	A_kj  = D A_kj         A_kk = -D
//
// which keeps the matrix symmetric, so that the upper half is enough: n^3/2
// multiply-adds, as many as by Cholesky, in one loop whose tiles do not depend
// on each other. Only the pivot tiles are inverted in float64.
func (t *tiles) negateInverse(ctx context.Context, workers int) error {
	area := tileSize * tileSize
	left := make([]float32, t.side*area)  // -A_jk, row-major
	right := make([]float32, t.side*area) // D A_kj
	pairs := t.pairs()
	for k := range t.side {
		pivot := t.tile(k, k)
		if !invertTile(pivot) {
			return fmt.Errorf("rows %d to %d are not positive definite: raise lambda", k*tileSize, min((k+1)*tileSize, t.n)-1)
		}
		err := parallel(ctx, workers, t.side, func(j int) {
			if j != k {
				t.panels(k, j, left[j*area:(j+1)*area], right[j*area:(j+1)*area])
			}
		})
		if err != nil {
			return err
		}
		err = parallel(ctx, workers, len(pairs), func(n int) {
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

func (t *tiles) pairs() [][2]int {
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
func (t *tiles) panels(k, j int, left, right []float32) {
	if j > k {
		transpose(left, t.tile(k, j))
	} else {
		copy(left, t.tile(j, k))
	}
	for n := range left {
		left[n] = -left[n]
	}
	// right = D * A_kj = (A_jk * D)' : the rows of -left are those of A_jk.
	product := make([]float32, tileSize*tileSize)
	addProduct(product, left, t.tile(k, k))
	transpose(right, product)
	for n := range right {
		right[n] = -right[n]
	}
}

// addProduct adds a . b to dst, all row-major tiles.
func addProduct(dst, a, b []float32) {
	for r := range tileSize {
		f32.CombineRows(dst[r*tileSize:(r+1)*tileSize], b, a[r*tileSize:(r+1)*tileSize])
	}
}

func transpose(dst, src []float32) {
	for r := range tileSize {
		for c, v := range src[r*tileSize : (r+1)*tileSize] {
			dst[c*tileSize+r] = v
		}
	}
}

// invertTile inverts a symmetric positive definite tile in place, by the sweep
// operator on single rows in float64, and reports whether it was one.
func invertTile(tile []float32) bool {
	const n = tileSize
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

func workersByDefault() int { return runtime.GOMAXPROCS(0) }

// parallel calls fn for 0 to n-1, in any order, on the given number of
// goroutines (0 is GOMAXPROCS).
func parallel(ctx context.Context, workers, n int, fn func(int)) error {
	if workers == 0 {
		workers = workersByDefault()
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(workers, n) {
		wg.Go(func() {
			for at := int(next.Add(1)) - 1; at < n && ctx.Err() == nil; at = int(next.Add(1)) - 1 {
				fn(at)
			}
		})
	}
	wg.Wait()
	return ctx.Err()
}
