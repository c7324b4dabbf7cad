package neighbors_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"vitrine/als/neighbors"
)

func TestPopularDecays(t *testing.T) {
	e := neighbors.Events{Items: []uint32{0, 0, 0, 1, 2, 3}, Times: []int64{0, 0, 0, 100, 200, 900}, Weights: []float32{1, 1, 1, 1, 3, 0}}
	r, err := neighbors.Popular(context.Background(), e, neighbors.PopularOptions{Items: 5, HalfLife: 100, Now: 200})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r.Items, []uint32{2, 0, 1}) || !slices.Equal(r.Scores, []float32{3, .75, .5}) {
		t.Errorf("got %v", r)
	}
	if r, err = neighbors.Popular(context.Background(), e, neighbors.PopularOptions{Items: 5, HalfLife: 100, Top: 1}); err != nil || !slices.Equal(r.Items, []uint32{2}) {
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
	var e neighbors.Events
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
	opt := neighbors.PopularOptions{Items: 4, HalfLife: 10_000, ShortLife: 1000, Now: 100_000}
	r, err := neighbors.Trending(context.Background(), e, opt)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Items) < 2 || r.Items[0] != 1 || slices.Contains(r.Items, 2) || r.Scores[0] < 3*r.Scores[1] {
		t.Errorf("trending: %v", r)
	}
	opt.ShortLife = 10_000
	if _, err := neighbors.Trending(context.Background(), e, opt); err == nil {
		t.Error("short life as long as the half-life: no error")
	}
}

func TestRankedDoesNotDependOnWorkers(t *testing.T) {
	q := randomSequences(2, 3000, 100, 5)
	e := neighbors.Events{Items: q.Items}
	for n := range q.Items {
		e.Times = append(e.Times, int64(n*n%100_003))
	}
	opt := neighbors.PopularOptions{Items: 100, HalfLife: 30_000, ShortLife: 1000, Workers: 1}
	for name, build := range map[string]func(context.Context, neighbors.Events, neighbors.PopularOptions) (*neighbors.Ranked, error){
		"popular": neighbors.Popular, "trending": neighbors.Trending,
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
	for name, e := range map[string]neighbors.Events{
		"no times":        {Items: []uint32{1}},
		"item":            {Items: []uint32{2}, Times: []int64{1}},
		"NaN weight":      {Items: []uint32{1}, Times: []int64{1}, Weights: []float32{float32(math.NaN())}},
		"negative weight": {Items: []uint32{1}, Times: []int64{1}, Weights: []float32{-1}},
	} {
		if _, err := neighbors.Popular(context.Background(), e, neighbors.PopularOptions{Items: 2}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	far := neighbors.Events{Items: []uint32{0, 1}, Times: []int64{math.MinInt64, math.MaxInt64}}
	if r, err := neighbors.Popular(context.Background(), far, neighbors.PopularOptions{Items: 2}); err != nil || r.Items[0] != 1 {
		t.Errorf("times at the ends: %v, %v", r, err)
	}
	if r, err := neighbors.Popular(context.Background(), neighbors.Events{}, neighbors.PopularOptions{}); err != nil || len(r.Items) != 0 {
		t.Errorf("no events: %v, %v", r, err)
	}
}
