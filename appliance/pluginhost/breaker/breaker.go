// Package breaker takes what keeps failing out of service for a while, and lets
// single calls probe it.
//
// It owns when that is, and for how long. It knows nothing of plugins, and imports
// nothing of this module.
package breaker

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// faultWindow is the time over which faults are counted.
	faultWindow = 10 * time.Second
	// faultCount and faultPercent trip the breaker when both are reached in
	// one window: few faults of a busy plugin do no harm, and a single one of
	// an idle plugin says nothing.
	faultCount   = 5
	faultPercent = 1
	// Quarantine lasts from firstBackoff, doubled at each relapse, to lastBackoff.
	firstBackoff = time.Second
	lastBackoff  = 5 * time.Minute
	// Forgiven is how long ago a quarantine must have ended that it no longer
	// doubles the next one.
	Forgiven = 10 * time.Minute
)

// Breaker takes a plugin that keeps failing out of the ranking, and lets
// single calls probe it after a growing wait.
type Breaker struct {
	// Now is the clock; it is set before the first call.
	Now func() time.Time
	// open is the fast path: false while nothing is wrong.
	open atomic.Bool
	// Calls are counted without the lock; the window they belong to is reset
	// with it.
	calls atomic.Int64

	mu          sync.Mutex
	windowStart time.Time
	faults      int64
	backoff     time.Duration
	until       time.Time
	probing     bool
	reason      string
}

// Allow says whether a call may be made now. While in quarantine, one call
// at a time is let through after the wait is over.
func (b *Breaker) Allow() bool {
	if !b.open.Load() {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open.Load() {
		return true
	}
	if b.probing || b.Now().Before(b.until) {
		return false
	}
	b.probing = true
	return true
}

// Abandon takes back an Allow whose call was not made.
func (b *Breaker) Abandon() {
	if !b.open.Load() {
		return
	}
	b.mu.Lock()
	b.probing = false
	b.mu.Unlock()
}

// Succeeded counts a good call; one in quarantine ends it.
func (b *Breaker) Succeeded() (recovered bool) {
	b.calls.Add(1)
	if !b.open.Load() {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open.Load() {
		return false
	}
	b.probing, b.faults = false, 0
	b.windowStart = b.Now()
	b.calls.Store(0)
	b.open.Store(false)
	return true
}

// Failed counts a fault and says whether it begins a quarantine, and how long
// that lasts.
func (b *Breaker) Failed(reason string) (tripped bool, wait time.Duration) {
	b.calls.Add(1)
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.Now()
	if b.open.Load() {
		// A failed probe. Calls that began before the quarantine end here too.
		if !b.probing {
			return false, 0
		}
		return true, b.trip(now, reason)
	}
	if now.Sub(b.windowStart) > faultWindow {
		b.windowStart, b.faults = now, 0
		b.calls.Store(1)
	}
	b.faults++
	if b.faults < faultCount || b.faults*100 < faultPercent*b.calls.Load() {
		return false, 0
	}
	return true, b.trip(now, reason)
}

// Exclude begins a quarantine at once.
func (b *Breaker) Exclude(reason string) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.trip(b.Now(), reason)
}

func (b *Breaker) trip(now time.Time, reason string) time.Duration {
	if now.Sub(b.until) > Forgiven {
		b.backoff = 0
	}
	b.backoff = min(max(2*b.backoff, firstBackoff), lastBackoff)
	b.until = now.Add(b.backoff)
	b.reason, b.probing = reason, false
	b.open.Store(true)
	return b.backoff
}

// Quarantine is the reason and the end of the wait; ok is false outside of it.
func (b *Breaker) Quarantine() (reason string, until time.Time, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.reason, b.until, b.open.Load()
}
