package cores

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
)

func TestEach(t *testing.T) {
	for _, workers := range []int{-1, 0, 1, 7} {
		var calls [100]atomic.Int64
		if err := Each(t.Context(), workers, len(calls), func(i int) { calls[i].Add(1) }); err != nil {
			t.Fatal(err)
		}
		for i := range calls {
			if n := calls[i].Load(); n != 1 {
				t.Fatalf("%d workers: %d is called %d times", workers, i, n)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	err := Each(ctx, 1, 10, func(int) {
		calls++
		cancel()
	})
	if !errors.Is(err, context.Canceled) || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
	if Workers(0) != runtime.GOMAXPROCS(0) || Workers(3) != 3 {
		t.Error("workers")
	}
}
