package main

import (
	"math"
	"testing"

	"vitrine/plugins/internal/sample"
	"vitrine/sdk"
	"vitrine/sdk/abi"
)

const (
	now = 1_800_000_000 // seconds
	day = 24 * 60 * 60
)

func start(t *testing.T, config map[string]any) *sdk.Harness {
	t.Helper()
	h, err := sdk.NewHarness(define, config)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestFeature(t *testing.T) {
	h := start(t, map[string]any{"half_days": 10})
	for name, c := range map[string]struct{ listed, want float64 }{
		"now":             {now, 1},
		"in the future":   {now + 5*day, 1},
		"half":            {now - 10*day, 0.5},
		"a third":         {now - 20*day, 1. / 3},
		"very old":        {0, 10 * day / (10*day + float64(now))},
		"before the year": {-1e9, 10 * day / (10*day + now + 1e9)},
	} {
		out, err := h.Features(sdk.Rows{
			Item: map[string]any{"listed_at": []float32{float32(c.listed)}}, Now: now * 1000,
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		// A float32 holds today's Unix seconds to within 64.
		if got := float64(out["recency"].([]float32)[0]); math.Abs(got-c.want) > 1e-3 {
			t.Errorf("%s: recency %v, want %v", name, got, c.want)
		}
	}
}

func TestAnItemThatDoesNotSayIsLeftAlone(t *testing.T) {
	h := start(t, nil)
	rows := sdk.Rows{
		Scores: []float32{2, 2, -2},
		Item:   map[string]any{"listed_at": []float32{sdk.Absent(), now, now}},
		Now:    now * 1000,
	}
	out, err := h.Features(rows)
	if err != nil {
		t.Fatal(err)
	}
	if f := out["recency"].([]float32); !sdk.IsAbsent(f[0]) || sdk.IsAbsent(f[1]) {
		t.Errorf("recency %v", f)
	}
	rows.Feature = out
	scores, err := h.Score(rows)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []float64{2, 2.6, -1.4} {
		if math.Abs(float64(scores[i])-want) > 1e-3 {
			t.Errorf("score %d is %v, want %v", i, scores[i], want)
		}
	}
}

func TestWithoutTheColumnScoresStay(t *testing.T) {
	scores, err := start(t, nil).Score(sdk.Rows{Scores: []float32{1, 2}})
	if err != nil || scores[0] != 1 || scores[1] != 2 {
		t.Errorf("scores %v, %v", scores, err)
	}
}

func TestHalfDaysMustBeAboveZero(t *testing.T) {
	for _, half := range []float64{0, -1} {
		if _, err := sdk.NewHarness(define, map[string]any{"half_days": half}); err == nil {
			t.Errorf("half_days = %v was taken", half)
		}
	}
}

func TestCallsAllocateNothing(t *testing.T) {
	h := start(t, nil)
	for _, k := range []abi.Kind{abi.Feature, abi.Scorer} {
		if err := h.Fill(k, sdk.Rows{Scores: make([]float32, 200)}); err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(100, func() { h.Call(k) }); n != 0 {
			t.Errorf("%s: %v allocations a call", k, n)
		}
	}
}

func TestSampleAgrees(t *testing.T) { sample.Agrees(t, define, "recency.toml") }
