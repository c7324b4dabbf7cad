package neighbors

import (
	"context"
	"errors"
	"fmt"
	"math"

	"vitrine/als/dataset"
	"vitrine/als/neighbors/pairs"
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
	setDefault(&opt.RowLimit, DefaultRowLimit)
	users, err := pairs.Limit(ctx, data, opt.RowLimit)
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
	table := rowsOf{items: items.Rows, top: opt.Top, workers: opt.Workers}
	if opt.Measure == Conditional {
		table.row = func(item uint32, out *Scores) {
			rows, _ := items.Row(int(item))
			for _, u := range rows {
				cols, _ := users.Row(int(u))
				for _, other := range cols {
					out.Add(other, 1)
				}
			}
			for _, other := range out.Items() {
				out.sums[other] = float32(float64(out.sums[other]) / mass[item])
			}
		}
		return table.build(ctx)
	}
	table.masses = pairs.MassesOf(mass)
	table.pairs = func(item uint32, out *pairs.Sums) {
		rows, weights := items.Row(int(item))
		for n, u := range rows {
			cols, values := users.Row(int(u))
			out.Add(cols, values, weights[n])
		}
	}
	return table.build(ctx)
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
