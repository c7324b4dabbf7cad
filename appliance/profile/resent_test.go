package profile

import (
	"testing"

	"vitrine/appliance/signal"
	"vitrine/bridge/event"
)

// TestResentEventCountsOnce: ingest forgets an event id after its window; the
// same event with the same time still adds nothing here, while real repeats
// and events without an id count.
func TestResentEventCountsOnce(t *testing.T) {
	sig, err := signal.New(signal.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s := New(sig, newTable())
	e := func(id string, ts int64) event.Record {
		return event.Record{Kind: event.KindEvent, Event: event.Event{UserID: "u", ItemID: "i", Type: "view", Time: ts, EventID: id}}
	}
	s.Apply(1, []event.Record{e("a", 5), e("b", 5), e("", 5), e("c", 9)})
	s.Apply(2, []event.Record{e("a", 5), e("b", 5), e("c", 9)}) // sent again
	if h, _ := s.History(0, nil); len(h) != 4 {
		t.Errorf("%d events, want 4", len(h))
	}
	s.Apply(3, []event.Record{e("", 5), e("a", 6)}) // no id; another time
	if h, _ := s.History(0, nil); len(h) != 6 {
		t.Errorf("%d events, want 6", len(h))
	}
}
