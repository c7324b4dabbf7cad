package popularity_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"vitrine/als/neighbors"
	"vitrine/als/neighbors/popularity"
)

func TestPopularDecays(t *testing.T) {
	e := popularity.Events{Items: []uint32{0, 0, 0, 1, 2, 3}, Times: []int64{0, 0, 0, 100, 200, 900}, Weights: []float32{1, 1, 1, 1, 3, 0}}
	r, err := popularity.Popular(context.Background(), e, popularity.Options{Items: 5, HalfLife: 100, Now: 200})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r.Items, []uint32{2, 0, 1}) || !slices.Equal(r.Scores, []float32{3, .75, .5}) {
		t.Errorf("got %v", r)
	}
	if r, err = popularity.Popular(context.Background(), e, popularity.Options{Items: 5, HalfLife: 100, Top: 1}); err != nil || !slices.Equal(r.Items, []uint32{2}) {
		t.Errorf("newest event as now, one place: %v, %v", r, err)
	}
	if err := r.Check(5); err != nil {
		t.Error(err)
	}
	if r.Check(2) == nil {
		t.Error("item 2 of 2: no error")
	}
}

func TestTrendingIsAgainstTheOwnPast(t *testing.T) {
	var e popularity.Events
	add := func(item uint32, from, to, every int64) {
		for at := from; at < to; at += every {
			e.Items = append(e.Items, item)
			e.Times = append(e.Times, at)
		}
	}
	add(0, 0, 100_000, 10)      // as popular as ever, most of all
	add(1, 0, 99_000, 500)      // rises in the end
	add(1, 99_000, 100_000, 20) //
	add(2, 0, 90_000, 10)       // falls
	add(3, 99_998, 100_000, 1)  // two clicks on something new
	opt := popularity.Options{Items: 4, HalfLife: 10_000, ShortLife: 1000, Now: 100_000}
	r, err := popularity.Trending(context.Background(), e, opt)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Items) < 2 || r.Items[0] != 1 || slices.Contains(r.Items, 2) || r.Scores[0] < 3*r.Scores[1] {
		t.Errorf("trending: %v", r)
	}
	opt.ShortLife = 10_000
	if _, err := popularity.Trending(context.Background(), e, opt); err == nil {
		t.Error("short life as long as the half-life: no error")
	}
}

func TestRankedDoesNotDependOnWorkers(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 0))
	var e popularity.Events
	for n := range 20_000 {
		e.Items = append(e.Items, uint32(100*math.Pow(random.Float64(), 3)))
		e.Times = append(e.Times, int64(n*n%100_003))
	}
	opt := popularity.Options{Items: 100, HalfLife: 30_000, ShortLife: 1000, Workers: 1}
	for name, build := range map[string]func(context.Context, popularity.Events, popularity.Options) (*neighbors.Ranked, error){
		"popular": popularity.Popular, "trending": popularity.Trending,
	} {
		one, err := build(context.Background(), e, opt)
		if err != nil {
			t.Fatal(err)
		}
		many := opt
		many.Workers = 5
		if r, err := build(context.Background(), e, many); err != nil || !slices.Equal(r.Items, one.Items) || !slices.Equal(r.Scores, one.Scores) {
			t.Errorf("%s: 5 workers give another list (%v)", name, err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := build(ctx, e, opt); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: cancelled: %v", name, err)
		}
	}
}

func TestPopularRefuses(t *testing.T) {
	for name, e := range map[string]popularity.Events{
		"no times":        {Items: []uint32{1}},
		"item":            {Items: []uint32{2}, Times: []int64{1}},
		"NaN weight":      {Items: []uint32{1}, Times: []int64{1}, Weights: []float32{float32(math.NaN())}},
		"negative weight": {Items: []uint32{1}, Times: []int64{1}, Weights: []float32{-1}},
	} {
		if _, err := popularity.Popular(context.Background(), e, popularity.Options{Items: 2}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	far := popularity.Events{Items: []uint32{0, 1}, Times: []int64{math.MinInt64, math.MaxInt64}}
	if r, err := popularity.Popular(context.Background(), far, popularity.Options{Items: 2}); err != nil || r.Items[0] != 1 {
		t.Errorf("times at the ends: %v, %v", r, err)
	}
	if r, err := popularity.Popular(context.Background(), popularity.Events{}, popularity.Options{}); err != nil || len(r.Items) != 0 {
		t.Errorf("no events: %v, %v", r, err)
	}
}
