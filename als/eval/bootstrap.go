package eval

import (
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat"
)

// Estimate is a mean with its 95 % interval.
type Estimate struct{ Mean, Lo, Hi float64 }

// Intervals is Interval for several metrics of the same users: all are
// resampled together, so the draws, which are most of the work, are made once.
// Every element of values has one number a user.
func Intervals(values [][]float64, resamples int, seed uint64) []Estimate {
	out := make([]Estimate, len(values))
	if len(values) == 0 {
		return out
	}
	users := len(values[0])
	if users == 0 || resamples < 1 || users > manyValues {
		for m := range values {
			out[m].Mean, out[m].Lo, out[m].Hi = Interval(values[m], resamples, seed)
		}
		return out
	}
	means := make([][]float64, len(values))
	resample(users, resamples, seed, func(drawn []float64) {
		for m, of := range values {
			sum := 0.0
			for u, times := range drawn {
				sum += times * of[u]
			}
			means[m] = append(means[m], sum/float64(users))
		}
	})
	for m, of := range values {
		out[m].Mean = stat.Mean(of, nil)
		out[m].Lo, out[m].Hi = percentiles(means[m])
	}
	return out
}

// resample calls fn with how often each of n was drawn in n draws, so many
// times.
func resample(n, times int, seed uint64, fn func(drawn []float64)) {
	draw := drawer{rand.NewPCG(seed, 0), uint64(n)}
	drawn := make([]float64, n)
	for range times {
		clear(drawn)
		for at := 0; at < n; at += 2 {
			one, other := draw.two()
			drawn[one]++
			if at+1 < n {
				drawn[other]++
			}
		}
		fn(drawn)
	}
}

// percentiles bound the middle 95 % of values, which it sorts.
func percentiles(values []float64) (lo, hi float64) {
	slices.Sort(values)
	return stat.Quantile(0.025, stat.Empirical, values, nil), stat.Quantile(0.975, stat.Empirical, values, nil)
}

// RMSEInterval is the 95 % bootstrap interval of the mean RMSE of several
// folds (one is none). Users are drawn, with all their ratings: those of one
// user are not independent. It is NaN when there is nothing to compare, and with
// more than manyValues users in a fold the interval that the bootstrap tends to.
func RMSEInterval(folds []*RatingResult, resamples int, seed uint64) (lo, hi float64) {
	if len(folds) == 0 || resamples < 1 {
		return math.NaN(), math.NaN()
	}
	most := 0
	for _, f := range folds {
		if len(f.Users) == 0 {
			return math.NaN(), math.NaN()
		}
		most = max(most, len(f.Users))
	}
	if most > manyValues {
		return rmseLimit(folds)
	}
	means := make([]float64, resamples)
	for _, f := range folds {
		at := 0
		resample(len(f.Users), resamples, seed, func(drawn []float64) {
			squared, cells := 0.0, 0.0
			for u, times := range drawn {
				squared += times * f.Squared[u] * float64(f.Counts[u])
				cells += times * float64(f.Counts[u])
			}
			means[at] += math.Sqrt(squared/cells) / float64(len(folds))
			at++
		})
		seed++
	}
	return percentiles(means)
}

// rmseLimit is RMSEInterval by the delta method: with S and C a fold's squared
// errors and ratings, s_u and c_u those of a user, and R = S/C,
//
//	variance(RMSE) = sum_u (s_u - R c_u)^2 / C^2 / (4 R)
func rmseLimit(folds []*RatingResult) (lo, hi float64) {
	mean, variance := 0.0, 0.0
	for _, f := range folds {
		squared, cells, spread := 0.0, 0.0, 0.0
		for u, n := range f.Counts {
			squared += f.Squared[u] * float64(n)
			cells += float64(n)
		}
		ratio := squared / cells
		for u, n := range f.Counts {
			off := (f.Squared[u] - ratio) * float64(n)
			spread += off * off
		}
		mean += math.Sqrt(ratio) / float64(len(folds))
		if ratio > 0 {
			variance += spread / (cells * cells) / (4 * ratio) / float64(len(folds)*len(folds))
		}
	}
	reach := normal95 * math.Sqrt(variance)
	return mean - reach, mean + reach
}
