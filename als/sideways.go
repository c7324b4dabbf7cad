package als

import (
	"context"
	"math"

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
		if t.rootsFitHalf(ctx) {
			s.cells, s.halves, err = dataset.TransposeInto(ctx, users.cells, t.opt.Workers, t.halvesOf)
			return s, err
		}
		if err := t.opt.checkMemory(users.cells, false); err != nil {
			return s, err
		}
	}
	cells, weights, err := dataset.TransposeInto(ctx, users.cells, t.opt.Workers, t.rootsOf)
	if err != nil {
		return s, err
	}
	s.cells, cells.Weights = cells, weights
	return s, nil
}

// rootsOf makes functions that turn the weights of a user into the roots of what
// they are with his scale.
func (t *trainer) rootsOf() func(user int, weights []float32) []float32 {
	var roots []float32
	return func(user int, weights []float32) []float32 {
		// Whole vectors, for halvesOf.
		if n := (len(weights) + f32.Lanes - 1) / f32.Lanes * f32.Lanes; len(roots) < n {
			roots = make([]float32, 2*n)
		}
		for i, w := range weights {
			roots[i] = w * t.sides[userSide].scale[user]
		}
		f32.Root(roots[:len(weights)], roots[:len(weights)])
		return roots[:len(weights)]
	}
}

// halvesOf is rootsOf in half precision.
func (t *trainer) halvesOf() func(user int, weights []float32) []uint16 {
	rootsOf := t.rootsOf()
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

// Numbers from leastHalf to mostHalf keep 11 bits in half precision.
const (
	leastHalf = 0x1p-14
	mostHalf  = 0x1p15
)

// rootsFitHalf reports whether the roots of all weights with their scales lie
// where half precision has all its bits.
func (t *trainer) rootsFitHalf(ctx context.Context) bool {
	s := &t.sides[userSide]
	outside := t.sumRows(ctx, s.cells.Rows, func(user int) float64 {
		_, weights := s.cells.Row(user)
		least, most := float32(math.Inf(1)), float32(0)
		for _, w := range weights {
			least, most = min(least, w), max(most, w)
		}
		if scale := s.scale[user]; len(weights) > 0 && (least*scale < leastHalf*leastHalf || most*scale > mostHalf*mostHalf) {
			return 1
		}
		return 0
	})
	return outside == 0
}
