package als

import "math"

// loss computes L of the package documentation in float64. The sum over all
// cells is taken through the items' Gram matrix, so the cost is that of the
// observed cells plus one k x k product per row.
func (t *trainer) loss() float64 {
	users, items := &t.sides[userSide], &t.sides[itemSide]
	p, k := t.params, t.opt.Rank
	gram := weightedGram(items.factors, items.scale, k)
	total := 0.0
	for u := range users.cells.Rows {
		w := users.factors[u*k : (u+1)*k]
		row := float64(p.Alpha0) * quadratic(gram, w)
		cols, weights := users.cells.Row(u)
		for n, i := range cols {
			miss := 1 - dot64(w, items.factors[int(i)*k:(int(i)+1)*k])
			row += float64(items.scale[i]) * float64(weights[n]) * miss * miss
		}
		total += float64(users.scale[u]) * row
	}
	for which := range t.sides {
		total += float64(p.Lambda) * t.penalty(which)
	}
	return total
}

// penalty is the regularization term of one side without lambda.
func (t *trainer) penalty(which int) float64 {
	rows, other := &t.sides[which], &t.sides[1-which]
	p, k := t.params, t.opt.Rank
	everywhere := float64(p.Alpha0) * sum(other.scale)
	total := 0.0
	for r := range rows.cells.Rows {
		mass := everywhere
		cols, weights := rows.cells.Row(r)
		for n, c := range cols {
			mass += float64(weights[n]) * float64(other.scale[c])
		}
		w := rows.factors[r*k : (r+1)*k]
		total += float64(rows.scale[r]) * math.Pow(mass, float64(p.Nu)) * dot64(w, w)
	}
	return total
}

func weightedGram(rows, scale []float32, k int) []float64 {
	g := make([]float64, k*k)
	for r, s := range scale {
		y := rows[r*k : (r+1)*k]
		for i, a := range y {
			for j, b := range y {
				g[i*k+j] += float64(s) * float64(a) * float64(b)
			}
		}
	}
	return g
}

// quadratic is w^T g w.
func quadratic(g []float64, w []float32) float64 {
	total := 0.0
	for i, a := range w {
		for j, b := range w {
			total += float64(a) * float64(b) * g[i*len(w)+j]
		}
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
