package retrieval

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"vitrine/als/topk"
	"vitrine/appliance/bench/report"
)

func options() Options {
	return Options{Repetitions: 1, Dot: func() float64 { return 8 }, Cost: func(do func()) time.Duration {
		start := time.Now()
		do()
		return time.Since(start)
	}}
}

func TestSearchAgreesWithANaiveScan(t *testing.T) {
	for _, p := range []*Profile{Skewed(3000), Flat(2000)} {
		p.Queries, p.Bar = p.Queries[:checked], 1e9
		figures, wrong, err := Measure(t.Context(), p, options())
		if err != nil || wrong != 0 {
			t.Errorf("%s: %d mismatches, %v", p.Name, wrong, err)
		}
		names := map[string]report.Figure{}
		for _, f := range figures {
			if !(f.Value > 0) || f.Unit == "us" && f.Ratio == nil {
				t.Errorf("%+v", f)
			}
			names[strings.TrimPrefix(f.Name, "retrieve."+p.Name+".")] = f
		}
		for _, name := range []string{"top20", "top100", "top100_batch", "similar20", "scanned", "norm_p99", "build", "index"} {
			if _, ok := names[name]; !ok {
				t.Errorf("%s: no figure %s", p.Name, name)
			}
		}
		for _, kernels := range topk.Kernels()[1:] {
			if _, ok := names["top100_"+kernels]; !ok {
				t.Errorf("%s: no figure of %s", p.Name, kernels)
			}
		}
		if f := names["top100"]; topk.Kernels()[0] != "generic" && (f.Met == nil || !*f.Met) {
			t.Errorf("%s: a bar of 1000 s is not met: %+v", p.Name, f)
		}
	}
}

func TestMeasureStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := Measure(ctx, Flat(100), options()); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// A profile that needs a look at every item gets no dearer bar, one that does
// not is held to the lower.
func TestGowallaHasTheNormsOfGowalla(t *testing.T) {
	p := Gowalla()
	norms := p.norms(0.5, 0.99, 1)
	if math.Abs(norms[0]-0.78) > 0.02 || math.Abs(norms[1]-2.06) > 0.1 || norms[2] < 3.5 || norms[2] > 6 {
		t.Errorf("median, 99th percentile and maximum %v, want .78, 2.06 and 4.7", norms)
	}
}

// A search that is wrong in any way must be noticed.
func TestMismatchesAreNoticed(t *testing.T) {
	p := Flat(500)
	q := p.Queries[0]
	exact := naiveScores(p.Items, q)
	hits := topk.New(p.Items, p.N, Rank).Search(q, 20, nil, nil, nil)
	if !sameTop(exact, hits, 20) {
		t.Fatal("the right answer is called wrong")
	}
	more := topk.New(p.Items, p.N, Rank).Search(q, 21, nil, nil, nil)
	breaks := map[string]func(h []topk.Hit) []topk.Hit{
		"short":     func(h []topk.Hit) []topk.Hit { return h[:19] },
		"order":     func(h []topk.Hit) []topk.Hit { h[3], h[4] = h[4], h[3]; return h },
		"twice":     func(h []topk.Hit) []topk.Hit { h[19] = h[18]; return h },
		"not a top": func(h []topk.Hit) []topk.Hit { h[19] = more[20]; return h },
		"score":     func(h []topk.Hit) []topk.Hit { h[0].Score *= 1.001; return h },
		"NaN":       func(h []topk.Hit) []topk.Hit { h[0].Score = float32(math.NaN()); return h },
	}
	for name, broken := range breaks {
		if sameTop(exact, broken(slices.Clone(hits)), 20) {
			t.Errorf("%s: not noticed", name)
		}
	}
}
