package solve

import "vitrine/als/internal/f32"

// Row is what one row of the other side observed of the fixed one.
type Row struct {
	// Cols are fixed rows, and behind the row's own, as far as they are known,
	// those of the next row to be solved: the memory is asked for them ahead,
	// and nothing else depends on them.
	Cols []uint32
	// Weights of the row's own cells; ratings in an explicit loss.
	Weights []float32
	// Halves, where Config.Rooted is set, may stand for Weights: the same in half
	// precision, as multiples of Unit.
	Halves []uint16
	Unit   float32
	// Mass is what Mass returns for the row, when it is known.
	Mass float64
}

// observed is how many cells the row has.
func (r *Row) observed() int { return max(len(r.Weights), len(r.Halves)) }

// from is the row from cell lo on, n cells of it and all hints.
func (r *Row) from(lo, n int) Row {
	part := Row{Cols: r.Cols[lo:], Unit: r.Unit}
	if r.Halves != nil {
		part.Halves = r.Halves[lo : lo+n]
	} else {
		part.Weights = r.Weights[lo : lo+n]
	}
	return part
}

// cells is a chunk of a row with its fixed rows gathered, each multiplied by
// the root of its weight: the row's loss is sum_r (target[r] - w.x_r)^2 over
// the rows x_r of panel.
type cells struct {
	panel          []float32
	roots, targets []float32
}

// gather copies the fixed rows of a row's cells from number lo on into c, as
// many as it has room for, and computes their roots and targets beside them.
// With half they come by way of half precision, where that is prepared.
func (f *Fixed) gather(c cells, row Row, lo int, half bool) {
	row = row.from(lo, len(c.roots))
	cols := row.Cols
	f.weigh(row, c)
	if half && f.half != nil {
		f32.GatherHalf(c.panel, f.half, cols, c.roots)
		return
	}
	f32.Gather(c.panel, f.design, cols, c.roots, f.width)
}

// room is where n gathered rows lie in s, from its row at on. In the implicit
// loss the target of a cell is 1 times the root of its weight.
func (f *Fixed) room(s *Scratch, at, n int) cells {
	c := cells{panel: s.panel[at*f.width : (at+n)*f.width], roots: s.roots[at : at+n], targets: s.roots[at : at+n]}
	if f.Loss.Explicit {
		c.roots, c.targets = s.ones[at:at+n], s.targets[at:at+n]
	}
	return c
}

// weigh computes the roots and targets of a row's cells.
func (f *Fixed) weigh(row Row, c cells) {
	values, cols := row.Weights, row.Cols[:len(row.Weights)]
	switch {
	case row.Halves != nil:
		f32.FromHalf(c.roots, row.Halves, row.Unit)
	case f.offset != nil:
		for i, col := range cols {
			c.targets[i] = values[i] - f.offset[col]
		}
	case f.Loss.Explicit:
		copy(c.targets, values)
	case f.Rooted:
		copy(c.roots, values)
	default:
		for i, col := range cols {
			c.roots[i] = values[i] * f.Scale[col]
		}
		f32.Root(c.roots, c.roots)
	}
}

// Mass is what the cells that a row observed weigh: the sum of c_j f_j, or the
// number of ratings.
func (f *Fixed) Mass(row Row) float64 {
	if f.Loss.Explicit {
		return float64(row.observed())
	}
	if f.Rooted {
		return row.Squares()
	}
	// Four sums, because one would wait for each addition.
	var sums [4]float64
	for i, v := range row.Weights {
		sums[i%4] += float64(v * f.Scale[row.Cols[i]])
	}
	return sums[0] + sums[1] + sums[2] + sums[3]
}

// Squares is the sum of the squares of a row's weights: its mass where they are
// rooted.
func (r *Row) Squares() float64 {
	var buf [64]float32
	sum := 0.0
	for lo, n := 0, r.observed(); lo < n; lo += len(buf) {
		roots := buf[:min(len(buf), n-lo)]
		if r.Halves != nil {
			f32.FromHalf(roots, r.Halves[lo:lo+len(roots)], r.Unit)
		} else {
			roots = r.Weights[lo : lo+len(roots)]
		}
		for _, v := range roots {
			sum += float64(v) * float64(v)
		}
	}
	return sum
}

// penalties returns the regularization of a row's factors, and how much more
// that of its bias is.
func (f *Fixed) penalties(row Row) (lambda, more float32) {
	mass := row.Mass
	if mass == 0 {
		mass = f.Mass(row)
	}
	lambda = f.Regularization(mass)
	if f.Loss.Biased {
		more = f.Loss.BiasLambda - lambda
	}
	return lambda, more
}

// biasUnknown is the place of the bias among the unknowns.
func (f *Fixed) biasUnknown() int { return f.Rank - biasColumns }

// empty makes the row that has observed nothing: no factors, no bias.
func (f *Fixed) empty(dst []float32) {
	clear(dst)
	if f.Loss.Biased {
		dst[f.fixedBias()] = 1
	}
}
