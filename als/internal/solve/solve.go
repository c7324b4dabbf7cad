// Package solve holds the normal equations of one row: what training and
// fold-in share, so that both give a user the same vector.
//
// It owns the per-row losses of als.Train's documentation and three ways to
// minimise them: exactly (Cholesky), by conjugate gradients from a warm start,
// and block by block. It may import als/internal/f32 only.
package solve

import (
	"errors"
	"math"

	"vitrine/als/internal/f32"
)

// Errors of a solve.
var (
	// ErrNotPositive reports normal equations that float32 cannot factor:
	// lambda is too small for the data, or a weight is not a finite positive
	// number.
	ErrNotPositive = errors.New("normal equations are not positive definite: raise lambda")
	// ErrStopped reports that Scratch.Done was closed; the row is unchanged.
	ErrStopped = errors.New("solve stopped")
)

// Loss are the parameters of the per-row loss.
type Loss struct {
	// Explicit fits the observed cells alone, whose weights are ratings.
	Explicit bool
	// Biased adds a bias of each row and column to the explicit loss; see
	// Config.Factors for where they lie.
	Biased bool
	// Mean is what a rating is measured from, with biases.
	Mean float32
	// Alpha0 weighs every cell, observed or not, of the implicit loss.
	Alpha0 float32
	// Lambda is the regularization, scaled per row by power Nu of the row's
	// mass: of its number of ratings in the explicit loss.
	Lambda, Nu float32
	// BiasLambda is the regularization of a bias, the same for every row.
	BiasLambda float32
}

// biasColumns are what a biased row holds behind its factors: the user's bias
// and the item's. In a user's row the latter, in an item's row the former is 1,
// so that the inner product of two rows is their rating without the mean.
const biasColumns = 2

// Config describes the side that is held fixed.
type Config struct {
	// Rank is the length of a row.
	Rank int
	// Factors are the rows, len(Scale) x Rank. The slice is kept; it may
	// change only between a solve and the next Refresh.
	Factors []float32
	// Scale holds f_j of every row, the implicit loss's frequency scales. In
	// the explicit loss only whether it is 0 counts.
	Scale []float32
	// Items tells that the fixed rows are the items.
	Items bool
	// Rooted tells that the weights of the rows to solve are sqrt(c_j f_j), not
	// c_j.
	Rooted bool
	// Half lets Gradient fetch the fixed rows in half precision.
	Half bool
	// Free is how many rows will be solved between two calls of Refresh, as far
	// as it is known: for many it pays to prepare more. Rows for Gradient then
	// must pass Enter before and Leave after.
	Free int
	Loss Loss
}

// Fixed is one side of the model, held fixed while rows of the other side are
// solved. It is safe for concurrent use between two calls of Refresh.
//
// In the implicit loss, with y_j the fixed rows, f_j their scales and c_j the
// weights of the cells observed in a row, the row's vector w minimises
//
//	sum_obs c_j f_j (1 - w.y_j)^2 + alpha0 sum_j f_j (w.y_j)^2
//	  + lambda (sum_obs c_j f_j + alpha0 sum_j f_j)^nu |w|^2
//
// In the explicit loss, with n ratings r_j, the vector and its bias b minimise
//
//	sum_obs (r_j - mean - b_j - b - w.y_j)^2 + lambda n^nu |w|^2 + biasLambda b^2
//
// where mean, b and b_j are 0 without biases. A bias is solved for like a factor
// whose partner is 1 in every row.
type Fixed struct {
	Config
	width  int       // the unknowns of a row and zeros up to whole vectors
	design []float32 // n x width: what the unknowns of a row multiply
	offset []float32 // n: mean and bias of a rating; nil without
	gram   []float32 // width x width: alpha0 sum_j f_j y_j y_j^T; nil when explicit
	mass   float64   // alpha0 sum_j f_j
	half   []uint16  // design in half precision, turned; nil when it is not to be used
	halves []uint16  // where half lies
	turn   *turn     // the basis of half and of rows for Gradient; nil: their own
	copied bool      // design is not Factors itself
}

// maxHalf is the largest number that is fetched in half precision: half the
// range, and numbers near 1 keep 11 bits.
const maxHalf = 1 << 15

// NewFixed prepares the rows of a side as the fixed side. The result does not
// depend on the number of goroutines.
func NewFixed(c Config, work Workers) *Fixed {
	f := &Fixed{Config: c}
	unknowns := c.Rank
	if c.Loss.Biased {
		unknowns = c.Rank - biasColumns + 1
	}
	f.width = (unknowns + f32.Lanes - 1) / f32.Lanes * f32.Lanes
	f.Factors = c.Factors[:len(c.Scale)*c.Rank]
	f.design = f.Factors
	f.copied = f.width != c.Rank || c.Loss.Biased
	if f.copied {
		f.design = Numbers[float32](len(c.Scale) * f.width)
	}
	if c.Loss.Biased {
		f.offset = make([]float32, len(c.Scale))
	}
	if !c.Loss.Explicit {
		f.gram = make([]float32, f.width*f.width)
	}
	if c.Half && f32.HasHalf() {
		f.halves = Numbers[uint16](len(f.design))
	}
	f.Refresh(work)
	return f
}

// Refresh takes in what changed in Factors. When work is stopped early the
// Fixed is of no use.
func (f *Fixed) Refresh(work Workers) {
	if f.copied {
		f.parts(work, func(_, lo, hi int) { f.spread(lo, hi) })
	}
	f.turn = nil
	if !f.Loss.Explicit {
		gram(f.gram, f.design, f.Scale, f.width, work)
		for i := range f.gram {
			f.gram[i] *= f.Loss.Alpha0
		}
		var sum float64
		for _, s := range f.Scale {
			sum += float64(s)
		}
		f.mass = float64(f.Loss.Alpha0) * sum
		if f.turns() {
			f.turn = newTurn(f.gram, f.width)
		}
	}
	f.half = nil
	if f.halves == nil {
		return
	}
	if f.halve(work) <= maxHalf {
		f.half = f.halves
	} else {
		f.turn = nil
	}
}

// halve fills halves and returns the largest number that went into it.
func (f *Fixed) halve(work Workers) float32 {
	largest := make([]float32, len(f.Scale)/max(1, prepareFloats/f.width)+1)
	f.parts(work, func(part, lo, hi int) {
		var s Scratch
		step := hi - lo
		if f.turn != nil {
			step = turnedRows
			s.roomFor(step * f.width)
		}
		for ; lo < hi; lo += step {
			rows := f.design[lo*f.width : min(lo+step, hi)*f.width]
			to := f.halves[lo*f.width:][:len(rows)]
			if f.turn != nil {
				f32.Times(s.panel[:len(rows)], rows, f.turn.into, f.width)
				rows = s.panel[:len(rows)]
			}
			// Written so that NaN counts as too large.
			if v := f32.ToHalf(to, rows); !(v <= largest[part]) {
				largest[part] = v
			}
		}
	})
	most := float32(0)
	for _, v := range largest {
		if !(v <= most) {
			most = v
		}
	}
	return most
}

// parts calls fn for all fixed rows, lo to hi-1 of them at a time.
func (f *Fixed) parts(work Workers, fn func(part, lo, hi int)) {
	n, size := len(f.Scale), max(1, prepareFloats/f.width)
	work.Each((n+size-1)/size, func(part int) { fn(part, part*size, min((part+1)*size, n)) })
}

// prepareFloats is about how much one part of the preparation covers.
const prepareFloats = 1 << 18

// spread writes rows lo to hi-1 of design and offset.
func (f *Fixed) spread(lo, hi int) {
	k := f.Rank
	if f.Loss.Biased {
		k -= biasColumns
	}
	for r := lo; r < hi; r++ {
		from, to := f.Factors[r*f.Rank:(r+1)*f.Rank], f.design[r*f.width:(r+1)*f.width]
		copy(to, from[:k])
		if f.Loss.Biased {
			to[k] = 1
			f.offset[r] = f.Loss.Mean + from[f.fixedBias()]
		}
	}
}

// fixedBias and freeBias are the columns of the bias of a fixed row and of a
// row to be solved.
func (f *Fixed) fixedBias() int {
	if f.Items {
		return f.Rank - 1
	}
	return f.Rank - 2
}

func (f *Fixed) freeBias() int { return 2*f.Rank - 3 - f.fixedBias() }

// Len is the number of fixed rows.
func (f *Fixed) Len() int { return len(f.Scale) }

// applyGram adds gram . p to q: the share of all cells, weighed alpha0.
func (f *Fixed) applyGram(q, p []float32) {
	if f.gram != nil {
		f32.CombineRows(q, f.gram, p)
	}
}

// Regularization is the factor of |w|^2 for a row whose observed cells have
// the given mass.
func (f *Fixed) Regularization(observed float64) float32 {
	return float32(float64(f.Loss.Lambda) * math.Pow(observed+f.mass, float64(f.Loss.Nu)))
}

// load reads a row into the unknowns x, of length width.
func (f *Fixed) load(x, row []float32) {
	clear(x)
	if !f.Loss.Biased {
		copy(x, row)
		return
	}
	k := f.Rank - biasColumns
	copy(x, row[:k])
	x[k] = row[f.freeBias()]
}

// store writes the unknowns x into a row.
func (f *Fixed) store(row, x []float32) {
	if !f.Loss.Biased {
		copy(row, x)
		return
	}
	k := f.Rank - biasColumns
	copy(row, x[:k])
	row[f.freeBias()], row[f.fixedBias()] = x[k], 1
}

// Everywhere is alpha0 sum_j f_j (w.y_j)^2, what a row's vector w costs in all
// cells of the implicit loss, observed or not.
func (f *Fixed) Everywhere(w []float32) float64 {
	total := 0.0
	for i, v := range w {
		total += float64(v) * float64(f32.Dot(f.gram[i*f.width:i*f.width+len(w)], w))
	}
	return total
}
