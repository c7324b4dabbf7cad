package sandbox

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestTakeSaysThatItWaited(t *testing.T) { synctest.Test(t, takeSaysThatItWaited) }

func takeSaysThatItWaited(t *testing.T) {
	v := &Version{pool: make(chan *instance, 1)}
	if _, waited, err := v.take(Period{Start: time.Now(), Allowed: time.Millisecond}); err != errBusy || !waited {
		t.Errorf("waited %v, %v", waited, err)
	}
	go func() { time.Sleep(5 * time.Millisecond); v.put(&instance{}) }()
	if _, waited, err := v.take(Period{Start: time.Now(), Allowed: time.Minute}); err != nil || !waited {
		t.Errorf("waited %v, %v", waited, err)
	}
	v.put(&instance{})
	if _, waited, err := v.take(Period{Start: time.Now(), Allowed: time.Minute}); err != nil || waited {
		t.Errorf("waited %v, %v", waited, err)
	}
}

// What prepares an instance within a request gets no more fuel than the time
// that is left buys.
func TestPreparationHasTheRequestsTime(t *testing.T) {
	in := &instance{setupLeft: setupFuel}
	for left, want := range map[time.Duration]int64{2 * time.Millisecond: 2_000_000, time.Minute: setupFuel, -time.Second: 1} {
		err := in.within(left, func() error {
			if in.setupLeft != want {
				t.Errorf("%s left: %d units, want %d", left, in.setupLeft, want)
			}
			return errFuel
		})
		if early(err) != errCut || in.setupLeft != setupFuel {
			t.Errorf("%v, %d units afterwards", err, in.setupLeft)
		}
	}
}

// When every instance is lost, nobody waits for one.
func TestTakeDoesNotWaitForNobody(t *testing.T) {
	v := &Version{pool: make(chan *instance, 1)}
	v.lost.Store(1)
	// Within the test's own time, or it waits.
	if _, _, err := v.take(Period{Start: time.Now(), Allowed: 24 * time.Hour}); err != errBusy {
		t.Error(err)
	}
}
