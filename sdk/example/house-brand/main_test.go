package main

import (
	"slices"
	"testing"

	"vitrine/sdk"
	"vitrine/sdk/abi"
)

func TestRaisesHouseBrands(t *testing.T) {
	config := map[string]any{"brands": []string{"Ahorn", "Buche"}, "boost": 1}
	h, err := sdk.NewHarness(define, config, "Ahorn", "Buche")
	if err != nil {
		t.Fatal(err)
	}
	scores, err := h.Score(sdk.Rows{
		Scores: []float32{1, 2, 3, 4},
		Item:   map[string]any{"brand": []string{"Ahorn", "Esche", "", "Buche"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []float32{2, 2, 3, 5}; !slices.Equal(scores, want) {
		t.Errorf("scores %v, want %v", scores, want)
	}
	if n := testing.AllocsPerRun(100, func() { h.Call(abi.Scorer) }); n != 0 {
		t.Errorf("%v allocations a call", n)
	}
}

func TestABrandThatNoItemHasChangesNothing(t *testing.T) {
	h, err := sdk.NewHarness(define, map[string]any{"brands": []string{"Nobody"}})
	if err != nil {
		t.Fatal(err)
	}
	scores, err := h.Score(sdk.Rows{Item: map[string]any{"brand": []string{"Ahorn", ""}}})
	if err != nil {
		t.Fatal(err)
	}
	if want := []float32{1, 1}; !slices.Equal(scores, want) {
		t.Errorf("scores %v, want %v", scores, want)
	}
}

func TestBrandsMustBeGiven(t *testing.T) {
	if _, err := sdk.NewHarness(define, nil); err == nil {
		t.Error("started without brands")
	}
}
