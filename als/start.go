package als

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"

	"vitrine/als/dataset"
	"vitrine/als/internal/solve"
)

// initialDeviation is the standard deviation of a random start, before it is
// divided by sqrt(rank) (Rendle et al. 2021). Ratings start from vectors of
// about unit length, as Spark's do: a model of them is not near zero.
const (
	initialDeviation  = 0.1
	explicitDeviation = 1.0
)

// startRows is how many rows share one random stream. A fixed number, so that
// the start does not depend on the number of workers.
const startRows = 1024

// start begins one side from Options.Init where it has the row, and from small
// random numbers elsewhere. A row that is zero there had observed nothing and
// starts random as well: users and items that have met only each other would
// pull each other to zero for ever. That rows which observed nothing start
// random too does no harm: their scale is 0, and their half-step clears them.
func (t *trainer) start(ctx context.Context, cells *dataset.CSR, which int) []float32 {
	opt, columns := t.opt, t.opt.columns()
	factors := solve.Numbers[float32](cells.Rows * columns)
	var known []float32
	if opt.Init != nil {
		known = [2][]float32{userSide: opt.Init.Users, itemSide: opt.Init.Items}[which]
	}
	deviation := initialDeviation
	if opt.explicit() {
		deviation = explicitDeviation
	}
	deviation /= math.Sqrt(float64(opt.Rank))
	t.workers(ctx).Each((cells.Rows+startRows-1)/startRows, func(unit int) {
		random := rand.New(rand.NewPCG(opt.Seed, uint64(which)<<32|uint64(unit)))
		for r := unit * startRows; r < min((unit+1)*startRows, cells.Rows); r++ {
			row := factors[r*columns : (r+1)*columns]
			for i := range opt.Rank {
				row[i] = float32(random.NormFloat64() * deviation)
			}
			if opt.Biases {
				// A user's own bias comes first, an item's second; see model.Params.
				row[opt.Rank+1-which] = 1
			}
			if (r+1)*columns <= len(known) {
				from := known[r*columns : (r+1)*columns]
				if slices.ContainsFunc(from[:opt.Rank], func(v float32) bool { return v != 0 }) {
					copy(row, from)
				}
			}
		}
	})
	return factors
}

// scale returns the scale of every row of a side.
func (t *trainer) scale(cells *dataset.CSR) []float32 {
	power := 0.0
	if !t.opt.explicit() {
		power = float64(float32(*t.opt.FrequencyPower))
	}
	return frequencyScale(cells, power)
}

// frequencyScale returns (n_r / mean n)^-power for every row, 0 for rows that
// observed nothing; the mean is over the others.
func frequencyScale(cells *dataset.CSR, power float64) []float32 {
	scale := make([]float32, cells.Rows)
	used := 0
	for row := range cells.Rows {
		if cells.Indptr[row+1] > cells.Indptr[row] {
			used++
		}
	}
	mean := float64(cells.NNZ()) / float64(max(used, 1))
	for row := range scale {
		if n := cells.Indptr[row+1] - cells.Indptr[row]; n > 0 {
			scale[row] = float32(math.Pow(float64(n)/mean, -power))
		}
	}
	return scale
}

// density is the mean weight of a cell, unobserved ones counting 0, each cell
// scaled by g_u f_i.
func (t *trainer) density(ctx context.Context) float64 {
	users, items := &t.sides[userSide], &t.sides[itemSide]
	observed := t.sumRows(ctx, users.cells.Rows, func(u int) float64 {
		sum := 0.0
		cols, weights := users.cells.Row(u)
		for n, i := range cols {
			sum += float64(items.scale[i]) * float64(weights[n])
		}
		return float64(users.scale[u]) * sum
	})
	return observed / (users.total * items.total)
}

// sumRows adds fn of every row, in an order that does not depend on the number
// of workers.
func (t *trainer) sumRows(ctx context.Context, rows int, fn func(row int) float64) float64 {
	parts := make([]float64, (rows+unitRows-1)/unitRows)
	t.workers(ctx).Each(len(parts), func(part int) {
		for row := part * unitRows; row < min((part+1)*unitRows, rows); row++ {
			parts[part] += fn(row)
		}
	})
	total := 0.0
	for _, v := range parts {
		total += v
	}
	return total
}

func sum(v []float32) float64 {
	total := 0.0
	for _, x := range v {
		total += float64(x)
	}
	return total
}
