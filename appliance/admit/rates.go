package admit

import (
	"math"
	"sync"
	"time"
)

// maxCallers bounds the table of Rates: about 1 MB. Callers beyond it share one
// bucket, so that nobody gains by inventing names.
const maxCallers = 1 << 14

// Rates is a token bucket for each caller: so many requests a second, and as
// many at once after a second of rest. It is kept as the virtual time up to
// which a caller has used his share (GCRA, after ITU-T I.371): one number each.
type Rates struct {
	every time.Duration // one request's share
	depth time.Duration // how far the virtual time may run ahead

	mu      sync.Mutex
	callers map[string]time.Time
	others  time.Time
	// looked is when those who rest were last forgotten: not for every new name,
	// or inventing names would cost more than it is worth.
	looked time.Time
}

// NewRates allows every caller perSecond requests a second; nil, which allows
// everything, when it is not positive.
func NewRates(perSecond float64) *Rates {
	if perSecond <= 0 {
		return nil
	}
	every := time.Duration(math.Ceil(float64(time.Second) / perSecond))
	return &Rates{every: every, depth: every * time.Duration(max(1, math.Round(perSecond))), callers: map[string]time.Time{}}
}

// Allow takes one request of a caller, or says how long he has to wait.
func (r *Rates) Allow(caller string, now time.Time) (wait time.Duration, ok bool) {
	if r == nil {
		return 0, true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	used, known := r.callers[caller]
	if !known && len(r.callers) >= maxCallers {
		if now.Sub(r.looked) >= time.Second {
			r.forget(now)
			r.looked = now
		}
		if len(r.callers) >= maxCallers {
			var next time.Time
			if next, wait = r.take(r.others, now); wait == 0 {
				r.others = next
			}
			return wait, wait == 0
		}
	}
	if used, wait = r.take(used, now); wait > 0 {
		return wait, false
	}
	r.callers[caller] = used
	return 0, true
}

// take moves the virtual time on by one request, if it may.
func (r *Rates) take(used, now time.Time) (time.Time, time.Duration) {
	if used.Before(now) {
		used = now
	}
	used = used.Add(r.every)
	return used, max(0, used.Sub(now)-r.depth)
}

// forget drops those who have rested: a new caller is as they are.
func (r *Rates) forget(now time.Time) {
	for caller, used := range r.callers {
		if !used.After(now) {
			delete(r.callers, caller)
		}
	}
}
