package parallel

import (
	"errors"
	"sync/atomic"
	"testing"
)

func TestEach(t *testing.T) {
	for _, workers := range []int{1, 7, 200} {
		var calls [100]atomic.Int64
		if err := Each(workers, len(calls), func(i int) error { calls[i].Add(1); return nil }); err != nil {
			t.Fatal(err)
		}
		for i := range calls {
			if n := calls[i].Load(); n != 1 {
				t.Fatalf("%d workers: %d is called %d times", workers, i, n)
			}
		}
	}
	full, calls := errors.New("full"), 0
	err := Each(1, 10, func(i int) error {
		if calls++; i == 3 {
			return full
		}
		return nil
	})
	if !errors.Is(err, full) || calls != 4 {
		t.Errorf("%d calls, %v", calls, err)
	}
}
