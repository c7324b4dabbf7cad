package training

import (
	"math"
	"runtime"
	"sync"
	"time"

	"vitrine/als"
)

// streamFloats of each core are 64 MiB: more than the caches.
const streamFloats = 16 << 20

// StreamBandwidth measures the other reference of training: MiB a second that
// all cores together read from memory, one behind the other. It is the best of
// a few passes.
func StreamBandwidth() float64 {
	const passes, piece = 4, 1 << 12
	cores := runtime.GOMAXPROCS(0)
	data := make([][]float32, cores)
	for c := range data {
		data[c] = make([]float32, streamFloats)
		for i := range data[c] {
			data[c][i] = 1
		}
	}
	best := 0.0
	sums := make([]float32, cores)
	for range passes {
		start := time.Now()
		var wg sync.WaitGroup
		for c := range cores {
			wg.Go(func() {
				const half = streamFloats / 2
				for at := 0; at < half; at += piece {
					sums[c] += als.ReferenceDot(data[c][at:at+piece], data[c][half+at:half+at+piece])
				}
			})
		}
		wg.Wait()
		best = max(best, float64(cores)*streamFloats*4/(1<<20)/time.Since(start).Seconds())
	}
	if sums[0] != sums[0] {
		return math.NaN() // never, but the compiler cannot know: the work is needed
	}
	return best
}
