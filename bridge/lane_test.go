package bridge

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"vitrine/bridge/event"
)

// TestLane sends batches without waiting, one of which is not kept: those
// behind it must not be kept either, though the log would take them, and a new
// lane takes all of them.
func TestLane(t *testing.T) {
	appends := 0
	log := &memLog{}
	log.fault = func() (bool, error) {
		if appends++; appends == 2 {
			return false, ErrBusFull
		}
		return true, nil
	}
	p := New(log, nil, Options{FrameBytes: 40}) // a frame for each batch
	batch := func(n int) []event.Record {
		out := make([]event.Record, 2)
		for i := range out {
			out[i] = topical(int64(2*n + i))
		}
		return out
	}
	lane := p.Lane()
	var under []*Pending
	for n := range 5 {
		under = append(under, lane.Send(t.Context(), batch(n)))
	}
	run(t, p)
	for n, b := range under {
		res, err := b.Wait(t.Context())
		if kept := n == 0; kept != (err == nil) || kept != (res.Accepted == 2) || !kept && !errors.Is(err, ErrBusFull) {
			t.Errorf("batch %d: %+v %v", n, res, err)
		}
	}
	if next, ok := p.Position(Place{Name: topicName, Partition: 1}); next != 2 || !ok {
		t.Errorf("the position is %d after a batch of offsets 0 and 1", next)
	}
	lane, under = p.Lane(), nil
	for n := range 5 {
		under = append(under, lane.Send(t.Context(), batch(n)))
	}
	for n, b := range under {
		if _, err := b.Wait(t.Context()); err != nil {
			t.Errorf("batch %d again: %v", n, err)
		}
	}
	if got := log.records(t); len(got) != 10 {
		t.Errorf("%d records in the log, want 10: %v", len(got), got)
	}
}

// TestLaneWithdrawn lets a batch be withdrawn that the pump has not come to.
func TestLaneWithdrawn(t *testing.T) {
	log := &memLog{}
	p := New(log, nil, Options{FrameBytes: 40})
	lane := p.Lane()
	first, second := lane.Send(t.Context(), []event.Record{topical(0)}), lane.Send(t.Context(), []event.Record{topical(1)})
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := first.Wait(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("withdrawn: %v", err)
	}
	run(t, p)
	if _, err := second.Wait(t.Context()); !errors.Is(err, errWithdrawn) {
		t.Errorf("behind a withdrawn one: %v", err)
	}
	if got := log.records(t); len(got) != 0 {
		t.Errorf("in the log: %v", got)
	}
}

// TestLaneLarge sends more than a frame holds at once, and a record that none
// holds.
func TestLaneLarge(t *testing.T) {
	log := &memLog{}
	p := New(log, nil, Options{})
	run(t, p)
	large := make([]event.Record, 3)
	for i := range large {
		large[i] = topical(int64(i))
		large[i].Event.Props = strings.Repeat("x", defaultCall/2)
	}
	lane := p.Lane()
	if res, err := lane.Send(t.Context(), large).Wait(t.Context()); err != nil || res.Accepted != 3 {
		t.Errorf("%+v %v", res, err)
	}
	too := []event.Record{topical(3)}
	too[0].Event.Props = strings.Repeat("x", defaultCall)
	if _, err := lane.Send(t.Context(), too).Wait(t.Context()); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a record that no frame holds: %v", err)
	}
	if _, err := lane.Send(t.Context(), []event.Record{topical(4)}).Wait(t.Context()); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a batch behind it: %v", err)
	}
}

// topicName is that of a topic.
var topicName = event.TopicSource("clicks", [16]byte{1})

// topical is a record of the topic.
func topical(offset int64) event.Record {
	return event.Record{
		Kind: event.KindEvent, Source: event.Source{Name: topicName, Partition: 1, Offset: offset},
		Event: event.Event{UserID: fmt.Sprint("u", offset), ItemID: "i", Type: "view", Time: 1},
	}
}
