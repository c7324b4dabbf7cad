package sandbox

import (
	"sync"
	"sync/atomic"
	"time"
)

// A plugin may log a burst of lines, then one per interval.
const (
	lineBurst    = 10
	lineInterval = time.Second
)

// limiter bounds how often something is logged.
type limiter struct {
	mu      sync.Mutex
	tokens  float64
	last    time.Time
	dropped int64
}

// allow says whether a line may be logged now, and how many were dropped
// since the last one that was.
func (l *limiter) allow() (ok bool, dropped int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.last.IsZero() {
		l.tokens = lineBurst
	} else {
		l.tokens = min(l.tokens+float64(now.Sub(l.last))/float64(lineInterval), lineBurst)
	}
	l.last = now
	if l.tokens < 1 {
		l.dropped++
		return false, 0
	}
	l.tokens--
	dropped, l.dropped = l.dropped, 0
	return true, dropped
}

// faultInterval is the least time between two log lines about failed calls of
// one plugin.
const faultInterval = 10 * time.Second

// sparse lets the first of something through, then one per faultInterval.
type sparse struct{ next atomic.Int64 }

func (s *sparse) allow(now time.Time) bool {
	next := s.next.Load()
	return now.UnixNano() >= next && s.next.CompareAndSwap(next, now.Add(faultInterval).UnixNano())
}

// Counters are a plugin's totals since the host was opened. They outlive the
// versions of the plugin, so that what scrapes them never sees them fall.
type Counters struct {
	calls, faults, skipped, quarantines atomic.Int64
	nanos, fuel                         atomic.Int64
	// Denied counts requests that the plugin's owner had emptied for it.
	Denied atomic.Int64
}

// Stats are the totals of one plugin.
type Stats struct {
	Name string
	// Calls were made, Faults of them failed; Skipped were not made, for want
	// of time or in quarantine; Denied dropped every candidate.
	Calls, Faults, Skipped, Denied, Quarantines int64
	// Time was spent in calls, Fuel was used by them.
	Time time.Duration
	Fuel int64
}

// Stats reads the totals of the plugin of that name.
func (c *Counters) Stats(name string) Stats {
	return Stats{
		Name: name, Calls: c.calls.Load(), Faults: c.faults.Load(), Skipped: c.skipped.Load(),
		Denied: c.Denied.Load(), Quarantines: c.quarantines.Load(),
		Time: time.Duration(c.nanos.Load()), Fuel: c.fuel.Load(),
	}
}
