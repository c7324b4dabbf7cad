// Package cores spreads pieces of work over goroutines. It is a leaf.
package cores

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

// Workers is the number of goroutines that n asks for: 0 and less is all
// processors.
func Workers(n int) int {
	if n <= 0 {
		return runtime.GOMAXPROCS(0)
	}
	return n
}

// Each calls fn for 0 to n-1, each once and in any order, on as many goroutines as
// Workers says, until ctx ends, whose error it returns.
func Each(ctx context.Context, workers, n int, fn func(i int)) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(Workers(workers), n) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				fn(i)
			}
		})
	}
	wg.Wait()
	return ctx.Err()
}
