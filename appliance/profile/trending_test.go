package profile

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/appliance/frame"
	"vitrine/appliance/signal"
	"vitrine/bridge/event"
)

// TestTrending: what everybody has always bought is no trend, what rises
// against its own past is, and one click on something new is not much of one.
func TestTrending(t *testing.T) { synctest.Test(t, trending) }

func trending(t *testing.T) {
	codes := newTable()
	s := New(newSignal(t, signal.Config{}), codes)
	nameOf := func(code uint32) string {
		for name, c := range codes.items {
			if c == code {
				return name
			}
		}
		return ""
	}
	day := (24 * time.Hour).Milliseconds()
	now := 200 * day
	var records []event.Record
	add := func(item string, at int64) {
		records = append(records, record(fmt.Sprint("u", len(records)), item, "view", at))
	}
	for d := range int64(200) {
		for range 5 {
			add("evergreen", now-d*day)
		}
		add("sleeper", now-d*day)
	}
	for range 30 {
		add("sleeper", now)
	}
	for range 12 {
		add("newcomer", now)
	}
	add("seen once", now)
	s.Apply(1, records)
	var f frame.Frame
	s.Trending(10, &f)
	var got []string
	for _, code := range f.Items {
		got = append(got, nameOf(code))
	}
	if len(got) < 3 || got[0] != "sleeper" || got[1] != "newcomer" {
		t.Errorf("%v %v", got, f.Scores)
	}
	for j, name := range got {
		if name == "evergreen" && f.Scores[j] > 2 { // its last day ends just now
			t.Errorf("evergreen rises by %v", f.Scores[j])
		}
	}
	late := record("x", "late", "purchase", now)
	late.Event.Value, late.Event.HasValue = 1000, true
	s.Apply(2, []event.Record{late})
	// A ranking may be twenty times as old as it took to make, here not at all.
	time.Sleep(time.Millisecond)
	f.Reset()
	if s.Trending(1, &f); f.Len() != 1 || nameOf(f.Items[0]) != "late" {
		t.Fatalf("after another event: %v", f.Items)
	}
}

// TestRankingsStay: a ranking stays for twenty times what it costs to make, and
// not for that of a time in which the machine stood still.
func TestRankingsStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c rankings
		version, made, takes := uint64(0), 0, time.Duration(0)
		next := func() {
			version++
			for before := made; made == before; time.Sleep(time.Millisecond) {
				c.top(1, version, func(int) *ranking {
					time.Sleep(takes)
					made++
					return &ranking{complete: true, version: version}
				})
			}
		}
		// stays is the time from the beginning of one that costs so much to that of
		// the next, with news all the time.
		stays := func(cost time.Duration) time.Duration {
			takes = cost
			next()
			begun := time.Now()
			next()
			return time.Since(begun)
		}
		for _, g := range []struct{ cost, want time.Duration }{
			{time.Minute, time.Minute}, // not for 20 minutes
			{10 * time.Millisecond, 200 * time.Millisecond},
			{40 * time.Millisecond, 800 * time.Millisecond},
			{time.Hour, time.Hour},
		} {
			if got := stays(g.cost); got < g.want || got > g.want+10*time.Millisecond {
				t.Errorf("one that took %v is given for %v, want %v", g.cost, got, g.want)
			}
		}
		got := time.Duration(0)
		for range 4 {
			got = stays(time.Second)
		}
		if got < 20*time.Second || got > 20*time.Second+10*time.Millisecond {
			t.Errorf("one that always takes a second is given for %v", got)
		}
	})
}
