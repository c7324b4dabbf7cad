package main

import (
	"slices"
	"testing"

	"vitrine/plugins/internal/sample"
	"vitrine/sdk"
	"vitrine/sdk/abi"
)

func TestPriceBand(t *testing.T) {
	for name, c := range map[string]struct {
		config         map[string]any
		prices, scores []float32
		want           []float32
	}{
		"defaults":        {nil, []float32{49, 50, 500, 500.5}, []float32{1, 2, 3, 4}, []float32{1, 6, 9, 4}},
		"both edges":      {map[string]any{"low": 10, "high": 20, "boost": 1}, []float32{10, 20, 9, 21}, []float32{1, 1, 1, 1}, []float32{2, 2, 1, 1}},
		"no price":        {nil, []float32{sdk.Absent(), 60}, []float32{1, 1}, []float32{1, 3}},
		"negative score":  {nil, []float32{60, 10}, []float32{-2, -2}, []float32{2, -2}},
		"lowers":          {map[string]any{"boost": -0.5}, []float32{60, 10}, []float32{2, 2}, []float32{1, 2}},
		"band of nothing": {map[string]any{"low": 5, "high": 5}, []float32{5, 5.1}, []float32{2, 2}, []float32{6, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := sdk.NewHarness(define, c.config)
			if err != nil {
				t.Fatal(err)
			}
			got, err := h.Score(sdk.Rows{Scores: c.scores, Item: map[string]any{"price": c.prices}})
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("scores %v, %v; want %v", got, err, c.want)
			}
			if n := testing.AllocsPerRun(100, func() { h.Call(abi.Scorer) }); n != 0 {
				t.Errorf("%v allocations a call", n)
			}
		})
	}
}

func TestAShopWithoutPricesKeepsItsRanking(t *testing.T) {
	h, err := sdk.NewHarness(define, nil)
	if err != nil {
		t.Fatal(err)
	}
	scores := []float32{3, 1, 2}
	got, err := h.Score(sdk.Rows{Scores: scores})
	if err != nil || !slices.Equal(got, scores) {
		t.Errorf("scores %v, %v", got, err)
	}
}

func TestABandTheWrongWayRoundIsRefused(t *testing.T) {
	if _, err := sdk.NewHarness(define, map[string]any{"low": 9, "high": 3}); err == nil {
		t.Error("low 9, high 3 was taken")
	}
}

func TestSampleAgrees(t *testing.T) { sample.Agrees(t, define, "price-band.toml") }
