package solve

import (
	"sync"
	"sync/atomic"
)

// Workers is how work is spread over goroutines.
type Workers struct {
	// N is the number of goroutines.
	N int
	// Done, when closed, ends the work early.
	Done <-chan struct{}
}

// Each calls fn for 0..n-1, each once and in any order, until it is stopped.
func (w Workers) Each(n int, fn func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(max(w.N, 1), n) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && !w.stopped(); i = int(next.Add(1)) - 1 {
				fn(i)
			}
		})
	}
	wg.Wait()
}

// stopped reports whether Done is closed.
func (w Workers) stopped() bool {
	select {
	case <-w.Done:
		return true
	default:
		return false
	}
}
