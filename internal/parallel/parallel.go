// Package parallel does pieces of work side by side, until one fails. It is a leaf.
package parallel

import (
	"errors"
	"sync"
	"sync/atomic"
)

// Each calls fn for 0..n-1 from several goroutines and returns all errors.
// After an error no further call begins.
func Each(workers, n int, fn func(i int) error) error {
	var (
		next   atomic.Int64
		failed atomic.Bool
		wait   sync.WaitGroup
		errs   = make([]error, min(workers, n))
	)
	for w := range errs {
		wait.Go(func() {
			for !failed.Load() {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := fn(i); err != nil {
					errs[w] = err
					failed.Store(true)
				}
			}
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}
