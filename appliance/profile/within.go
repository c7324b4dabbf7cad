package profile

import (
	"math"
	"slices"
	"sync"
	"time"

	"vitrine/appliance/frame"
)

// windowPasts is how many windows before a window tell what it lets expect.
const windowPasts = 4

// maxWindows bounds the windows that are remembered; the API has nine.
const maxWindows = 16

// windows are the rankings of what happened of late, by how late.
type windows struct {
	mu       sync.Mutex
	byWindow map[time.Duration]*lately
}

// lately are the two rankings of a window.
type lately struct{ popular, rising rankings }

// of is what is remembered of a window.
func (w *windows) of(window time.Duration) *lately {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byWindow == nil {
		w.byWindow = map[time.Duration]*lately{}
	}
	l := w.byWindow[window]
	if l == nil {
		if len(w.byWindow) >= maxWindows {
			clear(w.byWindow)
		}
		l = new(lately)
		w.byWindow[window] = l
	}
	return l
}

// Within adds to dst the n items that most was done with in the window before
// the newest event, best first: the sum of what signal makes of each event
// alone, without decay. Those that are rising instead are ordered by how far
// that exceeds what the four windows before let expect, in standard deviations
// of a Poisson count, as Trending has it. Events that fell to the cap of a
// user's history do not count. An answer may be as old as it takes to compute
// twenty of them.
func (s *Store) Within(window time.Duration, rising bool, n int, dst *frame.Frame) {
	l := s.windows.of(window)
	cache := &l.popular
	if rising {
		cache = &l.rising
	}
	cache.top(n, s.popular.version.Load(), func(n int) *ranking {
		version := s.popular.version.Load()
		r := best(s.sums(window.Milliseconds(), rising), n)
		r.version = version
		return r
	}).add(n, dst)
}

// sums adds up the events of a window by item.
func (s *Store) sums(window int64, rising bool) []float64 {
	newest := s.newest.Load()
	since, reach := newest-window, newest-window
	if rising {
		reach -= windowPasts * window
	}
	var now, past []float64
	for k := range s.shards {
		sh := &s.shards[k]
		sh.mu.RLock()
		for j := range sh.histories {
			events := sh.histories[j].events
			for i := range slices.Backward(events) {
				in := &events[i]
				if in.Time <= reach {
					break
				}
				if need := int(in.Item) + 1; need > len(now) {
					now = slices.Grow(now, need-len(now))[:need]
					past = slices.Grow(past, need-len(past))[:need]
				}
				if strength := s.sig.Strength(in); in.Time > since {
					now[in.Item] += strength
				} else {
					past[in.Item] += strength
				}
			}
		}
		sh.mu.RUnlock()
	}
	if rising {
		for item := range now {
			expected := past[item] / windowPasts
			now[item] = (now[item] - expected) / math.Sqrt(expected+trendPrior)
		}
	}
	return now
}
