package popularity_test

import (
	"math"
	"slices"
	"testing"

	"vitrine/als/neighbors/popularity"
)

func TestRank(t *testing.T) {
	scores := []float64{.75, .5, 3, 0, -1, math.NaN(), .5}
	r := popularity.Rank(scores, 100)
	if !slices.Equal(r.Items, []uint32{2, 0, 1, 6}) || !slices.Equal(r.Scores, []float32{3, .75, .5, .5}) {
		t.Errorf("got %v", r)
	}
	if one := popularity.Rank(scores, 1); !slices.Equal(one.Items, []uint32{2}) {
		t.Errorf("one place: %v", one)
	}
	if none := popularity.Rank(nil, 100); len(none.Items) != 0 {
		t.Errorf("no items: %v", none)
	}
	if err := r.Check(7); err != nil {
		t.Error(err)
	}
	if r.Check(2) == nil {
		t.Error("item 2 of 2: no error")
	}
	huge := popularity.Rank([]float64{math.Inf(1), 1e300, 1}, 100)
	if err := huge.Check(3); err != nil || !slices.Equal(huge.Items, []uint32{0, 1, 2}) {
		t.Errorf("sums beyond float32: %v, %v", huge, err)
	}
}

func TestTrendIsAgainstTheOwnPast(t *testing.T) {
	const now, halfLife, shortLife = 100_000, 10_000, 1000
	long, short := make([]float64, 4), make([]float64, 4)
	add := func(item, from, to, every int) {
		for at := from; at < to; at += every {
			long[item] += math.Exp2(-float64(now-at) / halfLife)
			short[item] += math.Exp2(-float64(now-at) / shortLife)
		}
	}
	add(0, 0, 100_000, 10)      // as popular as ever, most of all
	add(1, 0, 99_000, 500)      // rises in the end
	add(1, 99_000, 100_000, 20) //
	add(2, 0, 90_000, 10)       // falls
	add(3, 99_998, 100_000, 1)  // two clicks on something new
	popularity.Rise(short, long, float64(shortLife)/halfLife, popularity.DefaultTrendEvents)
	r := popularity.Rank(short, 1000)
	if len(r.Items) < 2 || r.Items[0] != 1 || slices.Contains(r.Items, 2) || r.Scores[0] < 3*r.Scores[1] {
		t.Errorf("trending: %v", r)
	}
}
