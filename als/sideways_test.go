package als

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"vitrine/als/dataset"
	"vitrine/als/internal/f32"
)

// scaled is data with its weights multiplied; the first by much more, if it is
// not 1.
func scaled(data *dataset.CSR, by, first float32) *dataset.CSR {
	m := *data
	m.Weights = slices.Clone(data.Weights)
	for i := range m.Weights {
		m.Weights[i] *= by
	}
	m.Weights[0] *= first
	return &m
}

// TestWeightsTakeHalfTheMemory: by gradients the items' side keeps its weights in
// half precision, and the model is as good as with whole ones; weights that do
// not fit stay whole, and their memory is asked for.
func TestWeightsTakeHalfTheMemory(t *testing.T) {
	if !f32.HasHalf() {
		t.Skip("no half precision on this machine or build")
	}
	data := tiny(t, 400, 60)
	shape := Shape{Users: data.Rows, Items: data.Cols, Cells: data.NNZ()}
	for name, c := range map[string]struct {
		data   *dataset.CSR
		halves bool
	}{
		"as they are": {data, true},
		"small":       {scaled(data, 1e-7, 1), true},
		"large":       {scaled(data, 1e7, 1), true},
		"one old":     {scaled(data, 1, 1e-15), true},
		"one tiny":    {scaled(data, 1, 1e-19), false},
		"one huge":    {scaled(data, 1, 1e19), false},
	} {
		opt := Options{Rank: 8, Iterations: 12}
		tr := start(t, c.data, opt)
		if items := tr.sides[itemSide]; (items.halves != nil) != c.halves || (items.cells.Weights == nil) != c.halves {
			t.Errorf("%s: halves %v", name, items.halves != nil)
		}
		opt.MemoryLimit = Bytes(shape, opt)
		_, _, err := Train(context.Background(), c.data, opt)
		if refused := errors.Is(err, ErrMemory); refused == c.halves || err != nil && !refused {
			t.Errorf("%s: with the memory of halves: %v", name, err)
		}
		if !c.halves {
			continue
		}
		opt.MemoryLimit, opt.TrackLoss = 0, true
		_, got, err := Train(context.Background(), c.data, opt)
		if err != nil {
			t.Fatal(err)
		}
		opt.Solver = SolverCholesky // never in half precision
		_, want, err := Train(context.Background(), c.data, opt)
		if err != nil {
			t.Fatal(err)
		}
		if g, w := got.Loss[11], want.Loss[11]; math.Abs(g-w) > 1e-3*w {
			t.Errorf("%s: loss %v, exactly %v", name, g, w)
		}
	}
}
