package als

import (
	"context"
	"math"
	"slices"

	"vitrine/als/dataset"
	"vitrine/als/internal/f32"
)

// sideways makes the items' side of the data, without its scale and factors.
//
// It is the trainer's own, so in the implicit loss its weights become what the
// solvers need, once for all half-steps: multiplied by the scales of their
// users, and the root of that. Gradients multiply them with factors fetched in
// half precision, so half precision does for them too, and a tenth of the memory
// of a large training is saved.
func (t *trainer) sideways(ctx context.Context) (side, error) {
	users := &t.sides[userSide]
	if t.opt.explicit() {
		cells, err := users.cells.TransposeWith(ctx, t.opt.Workers)
		return side{cells: cells}, err
	}
	s := side{rooted: true}
	var err error
	if t.opt.halves() {
		if unit := t.unitOfHalves(ctx); unit > 0 {
			s.unit = unit
			s.cells, s.halves, err = dataset.TransposeInto(ctx, users.cells, t.opt.Workers, t.halvesOf(unit))
			return s, err
		}
		if err := t.opt.checkMemory(users.cells, false); err != nil {
			return s, err
		}
	}
	cells, weights, err := dataset.TransposeInto(ctx, users.cells, t.opt.Workers, func() func(int, []float32) []float32 { return t.rootsOf(1) })
	if err != nil {
		return s, err
	}
	s.cells, cells.Weights = cells, weights
	return s, nil
}

// rootsOf makes a function that turns the weights of a user into the roots of
// what they are with his scale, as multiples of unit.
func (t *trainer) rootsOf(unit float32) func(user int, weights []float32) []float32 {
	var roots []float32
	return func(user int, weights []float32) []float32 {
		// Whole vectors, for halvesOf.
		if n := (len(weights) + f32.Lanes - 1) / f32.Lanes * f32.Lanes; len(roots) < n {
			roots = make([]float32, 2*n)
		}
		scale := t.sides[userSide].scale[user]
		for i, w := range weights {
			roots[i] = w * scale / (unit * unit)
		}
		f32.Root(roots[:len(weights)], roots[:len(weights)])
		return roots[:len(weights)]
	}
}

// halvesOf makes functions like that of rootsOf, in half precision.
func (t *trainer) halvesOf(unit float32) func() func(user int, weights []float32) []uint16 {
	return func() func(user int, weights []float32) []uint16 {
		rootsOf := t.rootsOf(unit)
		var halves []uint16
		return func(user int, weights []float32) []uint16 {
			roots := rootsOf(user, weights)
			n := (len(roots) + f32.Lanes - 1) / f32.Lanes * f32.Lanes
			if len(halves) < n {
				halves = make([]uint16, cap(roots))
			}
			f32.ToHalf(halves[:n], roots[:n])
			return halves[:len(roots)]
		}
	}
}

// Numbers from 2^leastHalf to below 2^mostHalf keep 11 bits in half precision.
const (
	leastHalf = -14
	mostHalf  = 15
)

// unitOfHalves is the power of two of which the roots of all weights with their
// scales are multiples that keep their bits in half precision; 0 where they lie
// too far apart.
func (t *trainer) unitOfHalves(ctx context.Context) float32 {
	users := &t.sides[userSide]
	type span struct{ least, most float32 }
	spans := make([]span, (users.cells.Rows+unitRows-1)/unitRows)
	t.workers(ctx).Each(len(spans), func(part int) {
		s := span{math.MaxFloat32, 0}
		for user := part * unitRows; user < min((part+1)*unitRows, users.cells.Rows); user++ {
			_, weights := users.cells.Row(user)
			if len(weights) > 0 {
				scale := users.scale[user]
				s.least, s.most = min(s.least, slices.Min(weights)*scale), max(s.most, slices.Max(weights)*scale)
			}
		}
		spans[part] = s
	})
	all := spans[0]
	for _, s := range spans[1:] {
		all.least, all.most = min(all.least, s.least), max(all.most, s.most)
	}
	least, most := math.Sqrt(float64(all.least)), math.Sqrt(float64(all.most))
	unit := math.Ldexp(1, math.Ilogb(most)+1-mostHalf)
	if !(least/unit >= math.Ldexp(1, leastHalf)) || unit*unit < 0x1p-100 || unit*unit > 0x1p100 {
		return 0
	}
	return float32(unit)
}
