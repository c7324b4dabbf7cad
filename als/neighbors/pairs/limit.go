package pairs

import (
	"context"
	"math"
	"slices"

	"vitrine/als/dataset"
	"vitrine/als/internal/keys"
)

// stopRows is how many rows are gone through between two looks at a context.
const stopRows = 1024

// Limit returns data with at most limit cells in every row; data itself
// when no row is longer. A longer one has a fixed pseudo-random choice of its cells.
func Limit(ctx context.Context, data *dataset.CSR, limit int) (*dataset.CSR, error) {
	long := false
	for row := range data.Rows {
		long = long || data.Indptr[row+1]-data.Indptr[row] > int64(limit)
	}
	if !long {
		return data, nil
	}
	out := &dataset.CSR{Rows: data.Rows, Cols: data.Cols, Indptr: make([]int64, 1, data.Rows+1)}
	var hashes []uint64
	for row := range data.Rows {
		cols, weights := data.Row(row)
		// The cells with the smallest hashes stay: a choice that depends on
		// the row and the columns alone.
		hashes = hashes[:0]
		if row%stopRows == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		for n, col := range cols {
			hashes = append(hashes, mix(uint64(row)<<32|uint64(col))<<32|uint64(n))
		}
		bar := uint64(math.MaxUint64)
		if len(cols) > limit {
			_, bar = keys.Best(slices.Clone(hashes), limit)
		}
		for n, col := range cols {
			if hashes[n] <= bar {
				out.Indices = append(out.Indices, col)
				out.Weights = append(out.Weights, weights[n])
			}
		}
		out.Indptr = append(out.Indptr, int64(len(out.Indices)))
	}
	return out, nil
}

// mix scatters the bits of x (the finalizer of SplitMix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
