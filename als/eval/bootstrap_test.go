package eval_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"vitrine/als/eval"
)

func TestIntervalsAgreeWithInterval(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	values := make([][]float64, 3)
	for m := range values {
		values[m] = make([]float64, 400)
		for n := range values[m] {
			values[m][n] = random.Float64() * float64(m+1)
		}
	}
	got := eval.Intervals(values, 2000, 7)
	for m := range values {
		mean, lo, hi := eval.Interval(values[m], 2000, 9)
		width := hi - lo
		if math.Abs(got[m].Mean-mean) > 1e-12 || math.Abs(got[m].Lo-lo) > width/5 || math.Abs(got[m].Hi-hi) > width/5 {
			t.Errorf("metric %d: %+v, one by one %v [%v, %v]", m, got[m], mean, lo, hi)
		}
	}
	if none := eval.Intervals([][]float64{{}}, 100, 1)[0]; !math.IsNaN(none.Mean) {
		t.Errorf("without users: %+v", none)
	}
}

// missed is a fold of so many users.
func missed(users int) *eval.RatingResult {
	random := rand.New(rand.NewPCG(2, 1))
	fold := &eval.RatingResult{}
	squared, cells := 0.0, 0
	for user := range users {
		n := 1 + random.IntN(20)
		miss := random.ExpFloat64()
		fold.Users, fold.Squared, fold.Counts = append(fold.Users, user), append(fold.Squared, miss), append(fold.Counts, n)
		squared += miss * float64(n)
		cells += n
	}
	fold.RMSE = math.Sqrt(squared / float64(cells))
	return fold
}

func TestRMSEInterval(t *testing.T) {
	fold := missed(500)
	lo, hi := eval.RMSEInterval([]*eval.RatingResult{fold}, 1000, 1)
	if !(lo < fold.RMSE && fold.RMSE < hi) || hi-lo > .2*fold.RMSE {
		t.Errorf("[%v, %v] around %v", lo, hi, fold.RMSE)
	}
	if lo, hi := eval.RMSEInterval(nil, 100, 1); !math.IsNaN(lo) || !math.IsNaN(hi) {
		t.Errorf("of nothing: %v, %v", lo, hi)
	}
}

// TestRMSEIntervalOfManyUsers: from some number of users on nothing is drawn, and
// the interval is the same.
func TestRMSEIntervalOfManyUsers(t *testing.T) {
	drawn, limit := missed(5_000), missed(5_001)
	lo, hi := eval.RMSEInterval([]*eval.RatingResult{drawn, drawn}, 2000, 1)
	limitLo, limitHi := eval.RMSEInterval([]*eval.RatingResult{limit, limit}, 2000, 1)
	if width := hi - lo; math.Abs(lo-limitLo) > width/12 || math.Abs(hi-limitHi) > width/12 {
		t.Errorf("[%v, %v], drawn [%v, %v]", limitLo, limitHi, lo, hi)
	}
}
