package profile

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/appliance/frame"
	"vitrine/appliance/signal"
	"vitrine/bridge/event"
)

// TestWithin: a window counts what happened in it, and rising is what did not
// happen before; new events count as they come, and the windows that are
// remembered are bounded.
func TestWithin(t *testing.T) { synctest.Test(t, within) }

func within(t *testing.T) {
	codes := newTable()
	s := New(newSignal(t, signal.Config{}), codes)
	const day = 24 * time.Hour
	now := 100 * day.Milliseconds()
	users := 0
	add := func(item string, daysAgo, times int) {
		var records []event.Record
		for range times {
			users++
			records = append(records, record(fmt.Sprint("u", users), item, "view", now-int64(daysAgo)*day.Milliseconds()))
		}
		s.Apply(1, records)
	}
	for d := range 50 {
		add("evergreen", d, 10)
	}
	add("old", 20, 500)
	add("week", 3, 60)
	add("today", 0, 9)
	top := func(window time.Duration, rising bool) (names []string) {
		var f frame.Frame
		s.Within(window, rising, 2, &f)
		for _, code := range f.Items {
			for name, c := range codes.items {
				if c == code {
					names = append(names, name)
				}
			}
		}
		return names
	}
	for _, c := range []struct {
		window time.Duration
		rising bool
		want   []string
	}{
		{day, false, []string{"evergreen", "today"}},
		{7 * day, false, []string{"evergreen", "week"}},
		{30 * day, false, []string{"old", "evergreen"}},
		{day, true, []string{"today", "evergreen"}},
		{7 * day, true, []string{"week", "today"}},
	} {
		if got := top(c.window, c.rising); !slices.Equal(got, c.want) && (!c.rising || got[0] != c.want[0]) {
			t.Errorf("%v, rising %v: %v, want %v", c.window, c.rising, got, c.want)
		}
	}
	add("today", 0, 50)
	time.Sleep(time.Millisecond) // an answer may be as old as twenty of them take, here not at all
	if got := top(day, false); got[0] != "today" {
		t.Fatalf("new events do not count: %v", got)
	}
	for n := range 100 {
		top(time.Duration(n+1)*time.Minute, false)
	}
	if n := len(s.windows.byWindow); n > maxWindows {
		t.Errorf("%d windows are remembered", n)
	}
	s.take("u1")
	top(day, false)
}

// BenchmarkWithin looks through the newest events of 100,000 users with 80 each
// for a week. The limit is a walk to memory for each user, 10 ms.
func BenchmarkWithin(b *testing.B) {
	codes := newTable()
	s := New(newSignal(b, signal.Config{}), codes)
	var records []event.Record
	for u := range 100_000 {
		for n := range 80 {
			records = append(records, record(fmt.Sprint("u", u), fmt.Sprint("i", (u+n*n)%5000), "view", int64(n)*24*time.Hour.Milliseconds()))
		}
		s.Apply(1, records)
		records = records[:0]
	}
	for b.Loop() {
		s.sums((7 * 24 * time.Hour).Milliseconds(), false)
	}
}
