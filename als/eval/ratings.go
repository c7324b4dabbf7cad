package eval

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"

	"vitrine/als/dataset"
	"vitrine/als/internal/f32"
	"vitrine/als/model"
)

// Predictor writes into dst the ratings that it expects of a user for items.
// Ratings calls it from several goroutines. NaN says that it cannot tell.
type Predictor func(user int, items []uint32, dst []float32)

// RatingResult says how far predicted ratings are from the given ones.
type RatingResult struct {
	// RMSE is the root of the mean squared difference, MAE the mean absolute
	// one; NaN when there is nothing to compare.
	RMSE, MAE float64
	// Cells is how many were compared, Skipped how many had no prediction.
	Cells, Skipped int
	// Users are the rows with compared cells, ascending; Squared their mean
	// squared differences and Counts their cells, for intervals and paired
	// comparisons.
	Users   []int
	Squared []float64
	Counts  []int
}

// Ratings compares the ratings in test with what predict expects, on so many
// goroutines (0 is GOMAXPROCS), which do not change the outcome. A cancelled
// run returns ctx.Err().
func Ratings(ctx context.Context, test *dataset.CSR, predict Predictor, workers int) (*RatingResult, error) {
	if test == nil || predict == nil || workers < 0 {
		return nil, fmt.Errorf("evaluate ratings: no ratings or no predictor, or workers %d below 0", workers)
	}
	if workers == 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	rows := make([]rowError, test.Rows)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			var buf []float32
			for user := int(next.Add(1)) - 1; user < test.Rows && ctx.Err() == nil; user = int(next.Add(1)) - 1 {
				items, ratings := test.Row(user)
				if len(buf) < len(items) {
					buf = make([]float32, 2*len(items))
				}
				predict(user, items, buf[:len(items)])
				rows[user] = differ(buf[:len(items)], ratings)
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	r := &RatingResult{}
	var squared, absolute float64
	for user, row := range rows {
		r.Cells += row.cells
		r.Skipped += row.skipped
		squared += row.squared
		absolute += row.absolute
		if row.cells > 0 {
			r.Users = append(r.Users, user)
			r.Squared = append(r.Squared, row.squared/float64(row.cells))
			r.Counts = append(r.Counts, row.cells)
		}
	}
	r.RMSE, r.MAE = math.Sqrt(squared/float64(r.Cells)), absolute/float64(r.Cells)
	return r, nil
}

// rowError is what one user's predictions miss.
type rowError struct {
	squared, absolute float64
	cells, skipped    int
}

func differ(predicted, ratings []float32) rowError {
	var e rowError
	for n, p := range predicted {
		if p != p {
			e.skipped++
			continue
		}
		miss := float64(p) - float64(ratings[n])
		e.cells++
		e.squared += miss * miss
		e.absolute += math.Abs(miss)
	}
	return e
}

// Predictions are an explicit model's own. A model without biases cannot tell
// about users and items it has seen nothing of, as Spark's cannot ("drop").
func Predictions(m *model.Model) Predictor {
	biases := m.Params.Biases
	known := func(row []float32) bool { return biases || f32.Dot(row, row) > 0 }
	return func(user int, items []uint32, dst []float32) {
		w := m.Users[user*m.Rank : (user+1)*m.Rank]
		told := known(w)
		for n, item := range items {
			if !told || !(biases || m.ItemScale[item] > 0) {
				dst[n] = float32(math.NaN())
				continue
			}
			dst[n] = m.Params.Mean + m.Score(user, int(item))
		}
	}
}

// Within bounds predictions to the scale that ratings are given on.
func Within(lowest, highest float32, predict Predictor) Predictor {
	return func(user int, items []uint32, dst []float32) {
		predict(user, items, dst)
		for n, v := range dst {
			if v == v {
				dst[n] = min(max(v, lowest), highest)
			}
		}
	}
}
