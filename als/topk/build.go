package topk

import (
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"vitrine/als/internal/f32"
	"vitrine/als/internal/keys"
)

// New builds the index of n rows of the given rank, on all cores. It keeps
// items, which must not be changed while the index is used.
func New(items []float32, n, rank int) *Index {
	if len(items) != n*rank {
		panic("topk: items are not n x rank")
	}
	ix := &Index{rank: rank, items: items, kernels: f32.BestKernels(), position: make([]int32, n)}
	ix.order()
	ix.infinite, _ = slices.BinarySearchFunc(ix.norms, math.MaxFloat64, func(n, limit float64) int {
		if n > limit {
			return -1
		}
		return 1
	})
	ix.zero, _ = slices.BinarySearchFunc(ix.norms, 0, func(n, limit float64) int {
		if n > limit {
			return -1
		}
		return 0
	})
	if rows := len(ix.rows); rows > 0 {
		ix.steep = 6*ix.norms[rows/2] < ix.norms[0]
	}
	switch {
	case rank == 0:
	case ix.kernels == f32.Generic:
		ix.arrange()
	default:
		ix.encode()
	}
	return ix
}

// arrange copies the factors in scan order: without vector instructions codes
// are no faster than floats, and floats that do not lie in a row cost twice.
func (ix *Index) arrange() {
	k := ix.rank
	ix.ordered = make([]float32, len(ix.rows)*k)
	inParallel(len(ix.rows), func(lo, hi int) {
		for at := lo; at < hi; at++ {
			copy(ix.ordered[at*k:(at+1)*k], ix.items[int(ix.rows[at])*k:])
		}
	})
}

// order sorts the rows by norm and fills what is in scan order.
func (ix *Index) order() {
	n, k := len(ix.position), ix.rank
	all := make([]float64, n)
	// Norms as float32 order the scan well enough: ceilings make up for it.
	sorted := make([]uint64, n)
	inParallel(n, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			all[r] = norm(ix.items[r*k : (r+1)*k])
			switch n := all[r]; {
			case n != n:
				sorted[r] = math.MaxUint64
			case math.IsInf(n, 1):
				sorted[r] = keys.Of(float32(n), uint32(r))
			default:
				sorted[r] = keys.Of(float32(min(n, math.MaxFloat32)), uint32(r))
			}
			ix.position[r] = -1
		}
	})
	slices.Sort(sorted)
	last, _ := slices.BinarySearch(sorted, math.MaxUint64)
	sorted = sorted[:last]
	ix.rows = make([]uint32, len(sorted))
	ix.norms = make([]float64, len(sorted))
	inParallel(len(sorted), func(lo, hi int) {
		for at := lo; at < hi; at++ {
			_, row := keys.Split(sorted[at])
			ix.rows[at], ix.norms[at] = row, all[row]
			ix.position[row] = int32(at)
		}
	})
	ix.ceilings = make([]float64, (len(sorted)+blockRows-1)/blockRows)
	ceiling := 0.0
	for b := len(ix.ceilings) - 1; b >= 0; b-- {
		ceiling = max(ceiling, slices.Max(ix.norms[b*blockRows:min((b+1)*blockRows, len(sorted))]))
		ix.ceilings[b] = ceiling
	}
}

// norm is the Euclidean length in float64: no float32 row overflows it.
func norm(x []float32) float64 {
	var sum float64
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	return math.Sqrt(sum)
}

// turn is how many rows are worked on at a time, some 100 us.
const turn = 1 << 10

// inParallel calls do for parts of 0 to n on all cores. Where requests are
// answered beside it, those that wait come first between two parts.
func inParallel(n int, do func(lo, hi int)) {
	workers := max(1, min(runtime.GOMAXPROCS(0), n/turn))
	var next atomic.Int64
	work := func() {
		for lo := int(next.Add(turn)) - turn; lo < n; lo = int(next.Add(turn)) - turn {
			do(lo, min(lo+turn, n))
			runtime.Gosched()
		}
	}
	var wg sync.WaitGroup
	for range workers - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
}
