package als

import (
	"context"
	"math"
)

// loss computes L of the package documentation in float64. The sum over all
// cells is taken through the items' Gram matrix, so the cost is that of the
// observed cells plus one k x k product per row.
//
// It means nothing once ctx has ended.
func (t *trainer) loss(ctx context.Context) float64 {
	var gram []float64
	if !t.opt.explicit() {
		gram = t.itemGram(ctx)
	}
	total := t.sumRows(ctx, t.sides[userSide].cells.Rows, func(u int) float64 {
		if gram == nil {
			return t.missedRatings(u)
		}
		return t.missed(u, gram)
	})
	for which := range t.sides {
		total += t.penalty(ctx, which)
	}
	return total
}

// missed is what a user's row misses of the implicit loss's targets.
func (t *trainer) missed(u int, gram []float64) float64 {
	users, k := &t.sides[userSide], t.opt.columns()
	everywhere := float64(t.params.Alpha0) * quadratic(gram, users.factors[u*k:(u+1)*k])
	return float64(users.scale[u]) * (everywhere + t.missedCells(u))
}

// missedCells is what a user's row misses of his observed cells, without the
// user's scale.
func (t *trainer) missedCells(u int) float64 {
	users, items, k := &t.sides[userSide], &t.sides[itemSide], t.opt.columns()
	w, row := users.factors[u*k:(u+1)*k], 0.0
	cols, weights := users.cells.Row(u)
	for n, i := range cols {
		miss := 1 - dot64(w, items.factors[int(i)*k:(int(i)+1)*k])
		row += float64(items.scale[i]) * float64(weights[n]) * miss * miss
	}
	return row
}

// missedRatings is what a user's row misses of his ratings.
func (t *trainer) missedRatings(u int) float64 {
	users, items, k := &t.sides[userSide], &t.sides[itemSide], t.opt.columns()
	w, row := users.factors[u*k:(u+1)*k], 0.0
	cols, ratings := users.cells.Row(u)
	for n, i := range cols {
		miss := float64(ratings[n]) - float64(t.params.Mean) - dot64(w, items.factors[int(i)*k:(int(i)+1)*k])
		row += miss * miss
	}
	return row
}

// penalty is the regularization term of one side.
func (t *trainer) penalty(ctx context.Context, which int) float64 {
	return t.sumRows(ctx, t.sides[which].cells.Rows, func(r int) float64 { return t.rowPenalty(which, r) })
}

// rowPenalty is the regularization term of one row.
func (t *trainer) rowPenalty(which, r int) float64 {
	rows, k, columns, p := &t.sides[which], t.opt.Rank, t.opt.columns(), t.params
	row := rows.factors[r*columns : (r+1)*columns]
	term := float64(p.Lambda) * math.Pow(t.mass(which, r), float64(p.Nu)) * dot64(row[:k], row[:k])
	if p.Biases {
		bias := float64(row[k+which])
		term += float64(p.BiasLambda) * bias * bias
	}
	return float64(rows.scale[r]) * term
}

// mass is M of a row, or its number of ratings.
func (t *trainer) mass(which, r int) float64 {
	rows, other := &t.sides[which], &t.sides[1-which]
	if t.opt.explicit() {
		cols, _ := rows.cells.Row(r)
		return float64(len(cols))
	}
	mass := float64(t.params.Alpha0) * other.total
	if rows.rooted {
		row := rows.row(r)
		return mass + row.Squares()
	}
	cols, weights := rows.cells.Row(r)
	for n, c := range cols {
		mass += float64(weights[n]) * float64(other.scale[c])
	}
	return mass
}

// itemGram is sum_i f_i v_i v_i^T, the upper triangle.
func (t *trainer) itemGram(ctx context.Context) []float64 {
	const parts = 16
	items, k := &t.sides[itemSide], t.opt.columns()
	sums := make([]float64, parts*k*k)
	size := (len(items.scale) + parts - 1) / parts
	t.workers(ctx).Each(parts, func(part int) {
		g := sums[part*k*k : (part+1)*k*k]
		for r := part * size; r < min((part+1)*size, len(items.scale)) && ctx.Err() == nil; r++ {
			y := items.factors[r*k : (r+1)*k]
			for i, a := range y {
				a := float64(items.scale[r]) * float64(a)
				for j := i; j < k; j++ {
					g[i*k+j] += a * float64(y[j])
				}
			}
		}
	})
	for n, v := range sums[k*k:] {
		sums[n%(k*k)] += v
	}
	return sums[:k*k]
}

// quadratic is w^T g w of a symmetric g, of which only the upper triangle is read.
func quadratic(g []float64, w []float32) float64 {
	total := 0.0
	for i, a := range w {
		row := 0.0
		for j := i + 1; j < len(w); j++ {
			row += float64(w[j]) * g[i*len(w)+j]
		}
		total += float64(a) * (float64(a)*g[i*len(w)+i] + 2*row)
	}
	return total
}

func dot64(a, b []float32) float64 {
	total := 0.0
	for i, v := range a {
		total += float64(v) * float64(b[i])
	}
	return total
}
