package sandbox

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
	// A quarantine that ended longer ago than forgiven no longer doubles the
	// next one.
	forgiven = 10 * time.Minute
)

// breaker takes a plugin that keeps failing out of the ranking, and lets
// single calls probe it after a growing wait.
type breaker struct {
	now func() time.Time
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

// allow says whether a call may be made now. While in quarantine, one call
// at a time is let through after the wait is over.
func (b *breaker) allow() bool {
	if !b.open.Load() {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open.Load() {
		return true
	}
	if b.probing || b.now().Before(b.until) {
		return false
	}
	b.probing = true
	return true
}

// abandon takes back an allow whose call was not made.
func (b *breaker) abandon() {
	if !b.open.Load() {
		return
	}
	b.mu.Lock()
	b.probing = false
	b.mu.Unlock()
}

// succeeded counts a good call; one in quarantine ends it.
func (b *breaker) succeeded() (recovered bool) {
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
	b.windowStart = b.now()
	b.calls.Store(0)
	b.open.Store(false)
	return true
}

// failed counts a fault and says whether it begins a quarantine, and how long
// that lasts.
func (b *breaker) failed(reason string) (tripped bool, wait time.Duration) {
	b.calls.Add(1)
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
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

// exclude begins a quarantine at once.
func (b *breaker) exclude(reason string) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.trip(b.now(), reason)
}

func (b *breaker) trip(now time.Time, reason string) time.Duration {
	if now.Sub(b.until) > forgiven {
		b.backoff = 0
	}
	b.backoff = min(max(2*b.backoff, firstBackoff), lastBackoff)
	b.until = now.Add(b.backoff)
	b.reason, b.probing = reason, false
	b.open.Store(true)
	return b.backoff
}

// quarantine is the reason and the end of the wait; ok is false outside of it.
func (b *breaker) quarantine() (reason string, until time.Time, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.reason, b.until, b.open.Load()
}
