package als_test

import (
	"math"
	"testing"

	"vitrine/als"
)

func TestSuggest(t *testing.T) {
	for _, c := range []struct {
		shape      als.Shape
		given      als.Options
		rank       int
		unobserved float64
	}{
		{als.Shape{Users: 4000, Items: 3500, Cells: 240_000}, als.Options{}, 64, 48},
		{als.Shape{Users: 16_000, Items: 12_000, Cells: 96_000}, als.Options{}, 64, 15.1875},
		{als.Shape{Users: 1_000_000, Items: 12_000, Cells: 1_000_000}, als.Options{}, 64, 4},
		{als.Shape{Users: 120, Items: 45, Cells: 4000}, als.Options{}, 16, 48},
		{als.Shape{Users: 9000, Items: 100, Cells: 400_000}, als.Options{}, 32, 48},
		{als.Shape{}, als.Options{}, 16, 4},
		{als.Shape{Users: 120, Items: 45, Cells: 400}, als.Options{Rank: 99, Unobserved: 7}, 99, 7},
		{als.Shape{Users: 900, Items: 450, Cells: 4000}, als.Options{Loss: als.LossExplicit}, 64, 48},
	} {
		got := als.Suggest(c.shape, c.given).WithDefaults()
		if got.Rank != c.rank || math.Abs(got.Unobserved-c.unobserved) > 1e-9 {
			t.Errorf("%+v: rank %d, unobserved %v", c, got.Rank, got.Unobserved)
		}
	}
	if got := als.Suggest(als.Shape{Users: 9, Items: 9, Cells: 20}, als.Options{Alpha0: .1}); got.Unobserved != 0 || got.Alpha0 != .1 {
		t.Errorf("a given alpha0 became %+v", got)
	}
	sparse := als.Suggest(als.Shape{Users: 1000, Items: 1000, Cells: 4000}, als.Options{})
	if math.Abs(sparse.Lambda-.005*3.8125) > 1e-9 || math.Abs(*sparse.FrequencyPower-.00625) > 1e-9 {
		t.Errorf("sparse: lambda %v, frequency power %v", sparse.Lambda, *sparse.FrequencyPower)
	}
	given := als.Suggest(als.Shape{Users: 1000, Items: 1000, Cells: 4000}, als.Options{Lambda: .3, FrequencyPower: new(.7)})
	if given.Lambda != .3 || *given.FrequencyPower != .7 {
		t.Errorf("given: lambda %v, frequency power %v", given.Lambda, *given.FrequencyPower)
	}
}
