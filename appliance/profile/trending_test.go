package profile

import (
	"fmt"
	"testing"
	"time"

	"vitrine/appliance/frame"
	"vitrine/appliance/signal"
	"vitrine/bridge/event"
)

// TestTrending: what everybody has always bought is no trend, what rises
// against its own past is, and one click on something new is not much of one.
func TestTrending(t *testing.T) {
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
	// A ranking may be twenty times as old as it took to make.
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		f.Reset()
		s.Trending(1, &f)
		if f.Len() == 1 && nameOf(f.Items[0]) == "late" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("after another event: %v", f.Items)
		}
	}
}
