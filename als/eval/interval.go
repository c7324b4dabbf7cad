package eval

import (
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/stat"
)

// PairedInterval returns the mean of a[n]-b[n] and its 95 % bootstrap interval
// (percentiles of the means of resampled differences). a and b hold one
// metric of the same users in the same order; without users all is NaN.
func PairedInterval(a, b []float64, resamples int, seed uint64) (mean, lo, hi float64) {
	difference := make([]float64, len(a))
	for n := range a {
		difference[n] = a[n] - b[n]
	}
	return Interval(difference, resamples, seed)
}

// normal95 is how many standard deviations to each side of a normal mean hold
// 95 %.
const normal95 = 1.959964

// manyValues is how many make the means of resamples so normal that drawing
// them tells nothing more: their percentiles differ from the normal ones by less
// than two runs of the bootstrap do, and cost a thousand times as much.
const manyValues = 20_000

// Interval returns the mean of values and its 95 % bootstrap interval; of more
// than manyValues the interval that the bootstrap tends to.
func Interval(values []float64, resamples int, seed uint64) (mean, lo, hi float64) {
	if len(values) == 0 || resamples < 1 {
		return math.NaN(), math.NaN(), math.NaN()
	}
	if len(values) > manyValues {
		mean, deviation := stat.PopMeanStdDev(values, nil)
		reach := normal95 * deviation / math.Sqrt(float64(len(values)))
		return mean, mean - reach, mean + reach
	}
	random := rand.New(rand.NewPCG(seed, 0))
	means := make([]float64, resamples)
	for i := range means {
		sum := 0.0
		for range values {
			sum += values[random.IntN(len(values))]
		}
		means[i] = sum / float64(len(values))
	}
	lo, hi = percentiles(means)
	return stat.Mean(values, nil), lo, hi
}
