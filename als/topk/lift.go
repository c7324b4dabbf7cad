package topk

import (
	"math"
	"math/bits"
	"slices"
)

// Lifted is a set of rows whose scores count Factor times as much.
type Lifted struct {
	// Positions has bit p%64 of word p/64 for the row at position p, as in
	// Mask.HidePositions.
	Positions []uint64
	// Factor is 1 or more.
	Factor float64
}

// mostCoded is the largest factor that codes are lifted by: products of the
// largest norms that have codes stay below the largest float32.
const mostCoded = 64

// Lift is an index's codes with scores that count for more: what a scan
// multiplies by and its bounds have the factors in them, so that a search for
// lifted scores takes no more time than one for plain ones. It takes eight bytes
// a row, is never changed, and is safe for concurrent use.
type Lift struct {
	ix       *Index
	factors  []float32 // by position
	most     float64
	measure  measure
	ceilings []float64
}

// NewLift makes the lift of sets; a row of several has the product of their
// factors.
func (ix *Index) NewLift(sets []Lifted) *Lift {
	blocks := len(ix.ceilings)
	l := &Lift{ix: ix, factors: make([]float32, blocks*blockRows), most: 1, ceilings: make([]float64, blocks)}
	if ix.coded {
		l.measure = measure{scales: slices.Clone(ix.product.scales), bounds: slices.Clone(ix.product.bounds)}
	}
	ceiling := 0.0
	for b := blocks - 1; b >= 0; b-- {
		most := l.liftBlock(b, sets)
		l.most = max(l.most, most)
		ceiling = max(ceiling, slices.Max(ix.norms[b*blockRows:min((b+1)*blockRows, len(ix.rows))])*most*up)
		l.ceilings[b] = ceiling
	}
	return l
}

// liftBlock fills in what there is of a block and returns its largest factor.
func (l *Lift) liftBlock(b int, sets []Lifted) float64 {
	var factors [blockRows]float64
	for r := range factors {
		factors[r] = 1
	}
	for _, set := range sets {
		if !(set.Factor >= 1) {
			panic("topk: a lift's factor is below 1")
		}
		if b < len(set.Positions) {
			for word := set.Positions[b]; word != 0; word &= word - 1 {
				factors[bits.TrailingZeros64(word)] *= set.Factor
			}
		}
	}
	most := slices.Max(factors[:])
	for r, f := range factors {
		l.factors[b*blockRows+r] = float32(f)
		if l.ix.coded {
			l.measure.scales[b*blockRows+r] *= float32(f)
		}
	}
	if l.ix.coded {
		for i := range l.measure.bounds[2*b : 2*b+2] {
			l.measure.bounds[2*b+i] = float32(float64(l.measure.bounds[2*b+i]) * most * up)
		}
	}
	return most
}

// lifted turns the scores of rows at positions into those that count.
func (r *search) lifted(positions []uint32) {
	for i, at := range positions {
		score := r.s.dots[i]
		if !(score > 0) {
			r.s.dots[i] = float32(math.NaN()) // which is not found
			continue
		}
		r.s.dots[i] = float32(float64(score) * float64(r.lift.factors[at]))
	}
}
