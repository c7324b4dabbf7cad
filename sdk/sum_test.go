package sdk

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"vitrine/sdk/abi"
)

// TestAddWeighted holds the unrolled loops against the plain one, for numbers
// of rows and columns with and without rests.
func TestAddWeighted(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, columns := range []int{0, 1, 3, 4, 5, 8, 11, 16} {
		for _, n := range []int{1, 3, 4, 5, 15, 16, 17, 200} {
			t.Run(fmt.Sprintf("%dx%d", n, columns), func(t *testing.T) {
				weights := make([]float32, columns)
				h, err := NewHarness(func(p *Plugin) {
					p.Describe("sum", "1.0.0", "")
					read := make([]Column[float32], columns)
					for i := range read {
						read[i] = p.ItemF32(fmt.Sprintf("f%d", i))
						weights[i] = rng.Float32() - 0.5
					}
					p.Scorer(func(b *Batch) { b.AddWeighted(b.Scores(), read, weights) })
				}, nil)
				if err != nil {
					t.Fatal(err)
				}
				rows := Rows{Scores: make([]float32, n), Item: map[string]any{}}
				want := make([]float64, n)
				for i := range want {
					rows.Scores[i] = rng.Float32()
					want[i] = float64(rows.Scores[i])
				}
				for c := range columns {
					values := make([]float32, n)
					for i := range values {
						values[i] = rng.Float32() - 0.5
						want[i] += float64(weights[c]) * float64(values[i])
					}
					rows.Item[fmt.Sprintf("f%d", c)] = values
				}
				got, err := h.Score(rows)
				if err != nil {
					t.Fatal(err)
				}
				for i := range want {
					if math.Abs(float64(got[i])-want[i]) > 1e-5 {
						t.Errorf("row %d: %v, want %v", i, got[i], want[i])
					}
				}
				if a := testing.AllocsPerRun(100, func() { h.Call(abi.Scorer) }); a != 0 {
					t.Errorf("%v allocations a call", a)
				}
			})
		}
	}
}

func TestAddWeightedRefusesOtherLengths(t *testing.T) {
	for name, add := range map[string]func(b *Batch, c Column[float32]){
		"rows":    func(b *Batch, c Column[float32]) { b.AddWeighted(b.Scores()[1:], []Column[float32]{c}, []float32{1}) },
		"weights": func(b *Batch, c Column[float32]) { b.AddWeighted(b.Scores(), []Column[float32]{c}, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			h, err := NewHarness(func(p *Plugin) {
				p.Describe("sum", "1.0.0", "")
				c := p.ItemF32("f")
				p.Scorer(func(b *Batch) { add(b, c) })
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			_, _ = h.Score(Rows{Scores: []float32{1, 2}, Item: map[string]any{"f": []float32{1, 1}}})
		})
	}
}
