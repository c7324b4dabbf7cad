package pace

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestClock: each stage has its share, the last all, and without a deadline there
// is no end.
func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := Start(t.Context())
		ctx := &Until{Context: t.Context(), At: time.Now().Add(time.Second)}
		c := Start(ctx)
		before := time.Duration(0)
		for _, s := range Stages() {
			end := c.End(s).Sub(c.begun)
			if end <= before || end > time.Second {
				t.Errorf("%v ends after %v, the one before after %v", s, end, before)
			}
			before = end
			time.Sleep(time.Until(c.End(s)))
			if err := c.Check(s); err != nil {
				t.Errorf("%v at its end: %v", s, err)
			}
			time.Sleep(time.Nanosecond)
			var late *Late
			if err := c.Check(s); !errors.As(err, &late) || late.Stage != s || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v past its end: %v", s, err)
			}
			if free.Over(s) || !free.End(s).IsZero() {
				t.Errorf("%v ends though there is no deadline", s)
			}
		}
		if before != time.Second {
			t.Errorf("the last stage ends after %v", before)
		}
	})
}

// BenchmarkCheck: one reading of the monotonic clock, some 25 ns, is the limit.
func BenchmarkCheck(b *testing.B) {
	c := Start(&Until{Context: b.Context(), At: time.Now().Add(time.Hour)})
	for b.Loop() {
		if c.Check(Page) != nil {
			b.Fatal("an hour is over")
		}
	}
}

func TestDeadlineWithoutATimer(t *testing.T) {
	early, cancel := context.WithDeadline(t.Context(), time.Unix(5, 0))
	defer cancel()
	late := &Until{Context: early, At: time.Unix(9, 0)}
	if at, ok := late.Deadline(); !ok || at.Unix() != 5 || late.Err() == nil {
		t.Error("the caller's own deadline is not kept")
	}
	own := &Until{Context: t.Context(), At: time.Now().Add(time.Hour)}
	if own.Err() != nil {
		t.Error(own.Err())
	}
	if own.At = time.Now(); !errors.Is(own.Err(), context.DeadlineExceeded) {
		t.Error(own.Err())
	}
	none := &Until{Context: t.Context()}
	if at, ok := none.Deadline(); ok || none.Err() != nil {
		t.Errorf("the zero time ends it at %v: %v", at, none.Err())
	}
	none.Context = early
	if at, ok := none.Deadline(); !ok || at.Unix() != 5 || none.Err() == nil {
		t.Error("beside the zero time the caller's own deadline is not kept")
	}
}
