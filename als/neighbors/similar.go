package neighbors

import (
	"context"
	"errors"
	"fmt"
	"math"

	"vitrine/als/dataset"
	"vitrine/als/neighbors/keys"
)

// Measure is how the common users of two items become a score.
type Measure int

const (
	// Cosine is sum_u a_ui a_uj / sqrt((|a_i|^2 + s) (|a_j|^2 + s)), s being
	// the shrinkage: few common users are little evidence.
	Cosine Measure = iota
	// Conditional is |users of i and j| / (|users of i| + s), the share of i's
	// users who have j; weights do not count.
	Conditional
)

// DefaultShrink is the shrinkage of item similarities and transitions.
const DefaultShrink = 10

// DefaultRowLimit is how many items of one user count in SimilarOptions.
const DefaultRowLimit = 500

// SimilarOptions say how item-to-item scores are built. The zero value means
// the documented defaults.
type SimilarOptions struct {
	Measure Measure
	// Shrink is s of the measures; 0 is DefaultShrink, negative is none.
	Shrink float64
	// Top is the number of neighbours kept per item; 0 is DefaultTop.
	Top int
	// RowLimit bounds the items of one user that count, because pairs grow
	// with their square; 0 is DefaultRowLimit. A user who has more (a robot,
	// a wholesaler) counts with a fixed pseudo-random choice of that many.
	RowLimit int
	// Workers is the number of goroutines; 0 is GOMAXPROCS.
	Workers int
}

// Similar builds the item-to-item table of a users x items matrix.
func Similar(ctx context.Context, data *dataset.CSR, opt SimilarOptions) (*Table, error) {
	if opt.Measure != Cosine && opt.Measure != Conditional {
		return nil, fmt.Errorf("build similar items: unknown measure %d", opt.Measure)
	}
	if opt.Top < 0 || opt.RowLimit < 0 || opt.Workers < 0 || math.IsNaN(opt.Shrink) {
		return nil, fmt.Errorf("build similar items: negative number in %+v", opt)
	}
	if err := checkData(ctx, data, opt.Workers); err != nil {
		return nil, stopped(ctx, fmt.Errorf("build similar items: %w", err))
	}
	users, err := limitRows(ctx, data, opt.RowLimit)
	if err != nil {
		return nil, err
	}
	items, err := users.TransposeWith(ctx, opt.Workers)
	if err != nil {
		return nil, err
	}
	mass := make([]float64, items.Rows)
	for i := range mass {
		_, weights := items.Row(i)
		for _, w := range weights {
			if opt.Measure == Conditional {
				w = 1
			}
			mass[i] += float64(w) * float64(w)
		}
		mass[i] += shrinkage(opt.Shrink)
	}
	count := func(item uint32, out *Scores) {
		rows, weights := items.Row(int(item))
		for n, u := range rows {
			cols, values := users.Row(int(u))
			out.addAll(cols, values, weights[n])
		}
		for at, other := range out.Items() {
			out.sums[at] = float32(float64(out.sums[at]) / math.Sqrt(mass[item]*mass[other]))
		}
	}
	if opt.Measure == Conditional {
		count = func(item uint32, out *Scores) {
			rows, _ := items.Row(int(item))
			for _, u := range rows {
				cols, _ := users.Row(int(u))
				for _, other := range cols {
					out.Add(other, 1)
				}
			}
			for at := range out.Items() {
				out.sums[at] = float32(float64(out.sums[at]) / mass[item])
			}
		}
	}
	return rowsOf{
		items: items.Rows, top: opt.Top, workers: opt.Workers,
		row: count,
	}.build(ctx)
}

// shrinkage is the value of a Shrink field.
func shrinkage(s float64) float64 {
	switch {
	case s == 0:
		return DefaultShrink
	case s < 0:
		return 0
	default:
		return s
	}
}

// limitRows returns data with at most limit cells in every row; data itself
// when no row is longer.
func limitRows(ctx context.Context, data *dataset.CSR, limit int) (*dataset.CSR, error) {
	if limit == 0 {
		limit = DefaultRowLimit
	}
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
			for _, key := range keys.Smallest(append([]uint64(nil), hashes...), limit) {
				if bar == math.MaxUint64 || key > bar {
					bar = key
				}
			}
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

// stopRows is how many rows are gone through between two looks at a context.
const stopRows = 1024

// checkData reports the first fault of a matrix, or that ctx was cancelled.
func checkData(ctx context.Context, data *dataset.CSR, workers int) error {
	if data == nil {
		return errors.New("no data")
	}
	return data.Check(ctx, workers)
}

// stopped is the error that ended a computation: that of ctx where it did.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// mix scatters the bits of x (the finalizer of SplitMix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
