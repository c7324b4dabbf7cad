package bridge

import (
	"errors"
	"testing"

	"vitrine/bridge/event"
)

func topicRecords(partition int32, offsets ...int64) []event.Record {
	out := make([]event.Record, len(offsets))
	for i, offset := range offsets {
		out[i] = event.Record{
			Kind:   event.KindEvent,
			Event:  event.Event{UserID: "u", ItemID: "i", Type: "view", Time: 1},
			Source: event.Source{Name: event.TopicSource("user-events", [16]byte{1}), Partition: partition, Offset: offset},
		}
	}
	return out
}

func TestTopicRecordsCountOnce(t *testing.T) {
	p := newPlaces()
	accepted := func(records []event.Record) int {
		n := 0
		for i := range records {
			if p.take(&records[i].Source, true) {
				n++
			}
		}
		return n
	}
	if n := accepted(topicRecords(3, 0, 1, 2, 2, 5)); n != 4 {
		t.Fatalf("%d of 5 records with one repeated offset taken, want 4", n)
	}
	p.settle(false, 0)
	if n := accepted(topicRecords(3, 0, 1, 2, 5)); n != 4 {
		t.Fatalf("%d taken after a frame that failed, want all 4", n)
	}
	p.settle(true, 0)
	place := Place{Name: event.TopicSource("user-events", [16]byte{1}), Partition: 3}
	if next, ok := p.position(place); next != 6 || !ok {
		t.Fatalf("position %d %v, want 6", next, ok)
	}
	if n := accepted(append(topicRecords(4, 0), topicRecords(3, 4, 5, 6)...)); n != 2 {
		t.Fatalf("%d taken, want the one of partition 4 and the one behind the position", n)
	}
	p.settle(true, 0)
	again := topicRecords(3, 0)
	again[0].Source.Name = event.TopicSource("user-events", [16]byte{2})
	if accepted(again) != 1 {
		t.Fatal("the first record of the topic that was created again is not taken")
	}
	for _, name := range []string{"http", "sales.csv", "a@b.csv", "@AAAAAAAAAAAAAAAAAAAAAA"} {
		s := event.Source{Name: name, Offset: 1}
		if first, second := p.take(&s, true), p.take(&s, true); !first || !second {
			t.Fatalf("%q is taken for a topic", name)
		}
	}
}

func TestPositionsSurviveAReplay(t *testing.T) {
	log := &memLog{}
	p := New(log, nil, Options{})
	run(t, p)
	ctx := t.Context()
	if res, err := p.Submit(ctx, topicRecords(1, 7, 8, 9)); err != nil || res.Accepted != 3 {
		t.Fatalf("%+v %v", res, err)
	}
	log.set(func() (bool, error) { return false, ErrBusFull }, nil)
	if _, err := p.Submit(ctx, topicRecords(1, 10)); !errors.Is(err, ErrBusFull) {
		t.Fatalf("err %v", err)
	}
	next := New(log, nil, Options{})
	if err := next.Replay(ctx, 0); err != nil {
		t.Fatal(err)
	}
	place := Place{Name: event.TopicSource("user-events", [16]byte{1}), Partition: 1}
	for name, pump := range map[string]*Pump{"running": p, "replayed": next} {
		if offset, ok := pump.Position(place); !ok || offset != 10 {
			t.Errorf("%s: position %d %v, want 10", name, offset, ok)
		}
	}
}

// TestFrameOfUnknownOutcomeCountsOnce hands the records of a frame whose
// append broke, though it got in, in again.
func TestFrameOfUnknownOutcomeCountsOnce(t *testing.T) {
	log := &memLog{}
	p := New(log, nil, Options{})
	run(t, p)
	submit(t, p, events("u", "before"), 1, 0)
	broken := errors.New("no answer")
	log.set(func() (bool, error) { return true, broken }, broken)
	if _, err := p.Submit(t.Context(), topicRecords(0, 0, 1)); err == nil {
		t.Fatal("accepted though nobody knows")
	}
	log.set(nil, nil)
	res, err := p.Submit(t.Context(), topicRecords(0, 0, 1, 2))
	if err != nil || res.Accepted != 1 || res.Duplicate != 2 {
		t.Fatalf("%+v %v, want 1 accepted and 2 known", res, err)
	}
	if got := len(log.records(t)); got != 4 {
		t.Fatalf("%d records in the log, want 4", got)
	}
}
