package main

import (
	"slices"
	"testing"

	"vitrine/plugins/internal/sample"
	"vitrine/sdk"
	"vitrine/sdk/abi"
)

func TestStockRegion(t *testing.T) {
	none := sdk.Absent()
	for name, c := range map[string]struct {
		config  map[string]any
		stock   []float32
		regions []string
		user    map[string]any
		want    []bool
	}{
		"stock":                 {nil, []float32{1, 0, -1, 0.5}, nil, nil, []bool{true, false, false, true}},
		"no stock is sold out":  {nil, []float32{none, 3}, nil, nil, []bool{false, true}},
		"no stock may be kept":  {map[string]any{"unknown_stock": true}, []float32{none, 3, 0}, nil, nil, []bool{true, true, false}},
		"region":                {nil, []float32{1, 1, 1, 0}, []string{"north", "south", "", "north"}, map[string]any{"region": "north"}, []bool{true, false, true, false}},
		"user without region":   {nil, []float32{1, 1}, []string{"north", "south"}, map[string]any{}, []bool{true, true}},
		"unknown visitor":       {nil, []float32{1, 1}, []string{"north", "south"}, nil, []bool{true, true}},
		"region nobody sells":   {nil, []float32{1, 1}, []string{"north", ""}, map[string]any{"region": "moon"}, []bool{false, true}},
		"region is not a text":  {nil, []float32{1, 1}, []string{"north", "south"}, map[string]any{"region": 7}, []bool{true, true}},
		"items without regions": {nil, []float32{1, 0}, nil, map[string]any{"region": "north"}, []bool{true, false}},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := sdk.NewHarness(define, c.config)
			if err != nil {
				t.Fatal(err)
			}
			items := map[string]any{"stock": c.stock}
			if c.regions != nil {
				items["region"] = c.regions
			}
			got, err := h.Filter(sdk.Rows{Item: items, User: c.user})
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("kept %v, %v; want %v", got, err, c.want)
			}
			if n := testing.AllocsPerRun(100, func() { h.Call(abi.Filter) }); n != 0 {
				t.Errorf("%v allocations a call", n)
			}
		})
	}
}

func TestWhatWasDroppedStaysDropped(t *testing.T) {
	h, err := sdk.NewHarness(define, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := h.Filter(sdk.Rows{Item: map[string]any{"stock": []float32{5, 5}}, Dropped: []bool{true, false}})
	if want := []bool{false, true}; err != nil || !slices.Equal(got, want) {
		t.Errorf("kept %v, %v; want %v", got, err, want)
	}
}

func TestSampleAgrees(t *testing.T) { sample.Agrees(t, define, "stock-region.toml") }
