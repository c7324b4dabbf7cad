package bridge

import (
	"errors"
	"testing"

	"vitrine/bridge/event"
)

// What of a topic was in a frame that the log has lost is wanted again, and
// nothing else; each record counts once, also over another start in between.
func TestLostFramesAreReadAgain(t *testing.T) {
	log := &memLog{}
	write := New(log, nil, Options{})
	stop := run(t, write)
	submit(t, write, append(topicRecords(1, 0, 1, 2, 3, 4), topicRecords(2, 0, 1)...), 7, 0)
	submit(t, write, topicRecords(1, 5, 6, 7), 3, 0)
	submit(t, write, append(topicRecords(1, 8, 9), topicRecords(2, 2)...), 3, 0)
	stop()
	var blank event.FrameBuilder
	log.frames[1] = blank.Seal() // the second is lost
	one, two := Place{event.TopicSource("user-events", [16]byte{1}), 1}, Place{event.TopicSource("user-events", [16]byte{1}), 2}

	p := New(log, nil, Options{})
	replayed := func() {
		t.Helper()
		if err := p.Replay(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		stop = run(t, p)
	}
	at := func(want1, want2 int64) {
		t.Helper()
		next1, _ := p.Position(one)
		next2, _ := p.Position(two)
		if next1 != want1 || next2 != want2 {
			t.Fatalf("positions %d and %d, want %d and %d", next1, next2, want1, want2)
		}
	}
	replayed()
	at(5, 3)
	submit(t, p, topicRecords(2, 2), 0, 1)
	log.set(func() (bool, error) { return false, ErrBusFull }, nil)
	if _, err := p.Submit(t.Context(), topicRecords(1, 5, 6)); !errors.Is(err, ErrBusFull) {
		t.Fatal(err)
	}
	log.set(nil, nil)
	at(5, 3)
	submit(t, p, topicRecords(1, 5), 1, 0)
	at(6, 3)
	submit(t, p, topicRecords(1, 5), 0, 1)
	stop()

	p = New(log, nil, Options{})
	replayed()
	at(6, 3)
	// 7 is not in the topic any more; 8 and 9 are in the log.
	submit(t, p, topicRecords(1, 6, 8, 9, 10), 2, 2)
	at(11, 3)
	submit(t, p, topicRecords(1, 6, 7, 8), 0, 3)
}

// A partition whose later records are all lost is read on where it was.
func TestLostEnd(t *testing.T) {
	log := &memLog{}
	write := New(log, nil, Options{})
	stop := run(t, write)
	submit(t, write, topicRecords(1, 0, 1), 2, 0)
	submit(t, write, topicRecords(1, 2, 3), 2, 0)
	stop()
	var blank event.FrameBuilder
	log.frames[1] = blank.Seal()
	p := New(log, nil, Options{})
	if err := p.Replay(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	run(t, p)
	submit(t, p, topicRecords(1, 2, 3, 5), 3, 0)
	submit(t, p, topicRecords(1, 3, 4, 5), 0, 3)
}
