package bridge

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"vitrine/bridge/event"
	"vitrine/bridge/event/frames"
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
	var blank frames.Builder
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
	var blank frames.Builder
	log.frames[1] = blank.Seal()
	p := New(log, nil, Options{})
	if err := p.Replay(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	run(t, p)
	submit(t, p, topicRecords(1, 2, 3, 5), 3, 0)
	submit(t, p, topicRecords(1, 3, 4, 5), 0, 3)
}

// What was in the first frame of a partition is wanted from where it began, and
// where that is not known, or nothing is lost, from where the log says.
func TestLostBeginning(t *testing.T) {
	name := event.TopicSource("user-events", [16]byte{1})
	for _, tc := range []struct {
		what  string
		lost  []int
		begun map[int32]int64
		// known are the positions of the archive; want those of the partitions 1
		// and 2 after the start, -1 where there is none.
		known map[int32]int64
		want  [2]int64
	}{
		{"nothing", nil, map[int32]int64{1: 3, 2: 0}, nil, [2]int64{9, 2}},
		{"the first of both", []int{0, 1}, map[int32]int64{1: 3, 2: 0}, nil, [2]int64{3, 0}},
		{"the first of 1", []int{0}, map[int32]int64{1: 3, 2: 0}, nil, [2]int64{3, 2}},
		{"the first of 2", []int{1}, map[int32]int64{1: 3, 2: 0}, nil, [2]int64{9, 0}},
		{"the only one of 2, and the last", []int{1, 2}, map[int32]int64{1: 3, 2: 0}, nil, [2]int64{7, 0}},
		{"all", []int{0, 1, 2}, map[int32]int64{1: 3, 2: 0}, nil, [2]int64{3, 0}},
		{"all, not known where one began", []int{0, 1, 2}, map[int32]int64{1: 3}, nil, [2]int64{3, -1}},
		{"the first of both, in a topic that the archive has", []int{0, 1}, map[int32]int64{1: 3, 2: 0}, map[int32]int64{1: 5}, [2]int64{5, 0}},
	} {
		log := &memLog{}
		write := New(log, nil, Options{})
		stop := run(t, write)
		submit(t, write, topicRecords(1, 5, 6), 2, 0)
		submit(t, write, topicRecords(2, 0, 1), 2, 0)
		submit(t, write, topicRecords(1, 7, 8), 2, 0)
		stop()
		var blank frames.Builder
		for _, i := range tc.lost {
			log.frames[i] = bytes.Clone(blank.Seal())
		}
		p := New(log, nil, Options{})
		for partition, from := range tc.begun {
			p.Begun(Place{name, partition}, from)
		}
		for partition, next := range tc.known {
			p.Passed(Place{name, partition}, next)
		}
		if err := p.Replay(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		for i, want := range tc.want {
			next, ok := p.Position(Place{name, int32(i + 1)})
			if !ok {
				next = -1
			}
			if next != want {
				t.Errorf("lost %s: partition %d is wanted from %d, want %d", tc.what, i+1, next, want)
			}
		}
	}
}

// What is wanted again is the same in a life that begins behind the marks of the
// lost frames, and in one that comes to them once more.
func TestWantedInAnotherLife(t *testing.T) {
	name := event.TopicSource("user-events", [16]byte{1})
	one, two := Place{name, 1}, Place{name, 2}
	log := &memLog{}
	write := New(log, nil, Options{})
	stop := run(t, write)
	submit(t, write, topicRecords(1, 0, 1), 2, 0)
	submit(t, write, append(topicRecords(1, 2, 3, 4), topicRecords(2, 7, 8)...), 5, 0)
	submit(t, write, topicRecords(1, 5, 6), 2, 0)
	stop()
	var blank frames.Builder
	log.frames[1] = bytes.Clone(blank.Seal())

	life := func(from uint64, wanted []Hole, passed map[Place]int64) *Pump {
		t.Helper()
		p := New(log, nil, Options{})
		p.Begun(two, 7)
		for place, next := range passed {
			p.Passed(place, next)
		}
		for _, h := range wanted {
			p.Want(h)
		}
		if err := p.Replay(t.Context(), from); err != nil {
			t.Fatal(err)
		}
		return p
	}
	wants := func(what string, p *Pump, want ...Hole) {
		t.Helper()
		if got, _ := p.Wanted(); !slices.Equal(got, want) {
			t.Errorf("%s: wanted %v, want %v", what, got, want)
		}
	}
	p := life(0, nil, nil)
	all := []Hole{{one, 2, 5}, {two, 7, 7}}
	wants("after the loss", p, all...)
	wants("behind the archive", life(4, all, map[Place]int64{one: 7}), all...)
	stop = run(t, p)
	log.set(func() (bool, error) {
		if got, seq := p.Wanted(); !slices.Equal(got, all) || seq != 3 {
			t.Errorf("while a frame is on its way: wanted %v as of frame %d, want %v of 3", got, seq, all)
		}
		return true, nil
	}, nil)
	submit(t, p, topicRecords(1, 2), 1, 0)
	log.set(nil, nil)
	stop()
	if _, seq := p.Wanted(); seq != 4 {
		t.Errorf("wanted as of frame %d, want 4", seq)
	}
	some := []Hole{{one, 3, 5}, {two, 7, 7}}
	wants("after a record", p, some...)
	wants("behind the archive, which has not got it", life(4, all, map[Place]int64{one: 7}), some...)
	wants("behind the archive, which has it", life(5, some, map[Place]int64{one: 7}), some...)
	wants("with the mark in the log", life(2, some, map[Place]int64{one: 2}), some...)

	p = life(5, some, map[Place]int64{one: 7})
	stop = run(t, p)
	submit(t, p, topicRecords(1, 2, 3, 4, 5), 2, 2)
	submit(t, p, topicRecords(2, 7, 8), 2, 0)
	stop()
	wants("after all", p)
	wants("after all, with all in the log", life(0, nil, nil))
	wants("after all, with the mark in the log", life(2, some, map[Place]int64{one: 2}))
	wants("after all, behind the archive", life(5, some, map[Place]int64{one: 7}))
}

// A record of the log in the middle of a hole leaves those behind it as they are.
func TestHoleInTwo(t *testing.T) {
	var h holes
	place := Place{"t", 1}
	for _, s := range []span{{0, 4}, {6, 9}, {11, 15}} {
		h.add(place, s)
	}
	for _, offset := range []int64{1, 12} {
		if !h.fill(place, offset, false) {
			t.Errorf("%d is not wanted", offset)
		}
	}
	if got, want := h.spans[place], []span{{0, 1}, {2, 4}, {6, 9}, {11, 12}, {13, 15}}; !slices.Equal(got, want) {
		t.Errorf("%v are left, want %v", got, want)
	}
}
