package bridge

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"vitrine/bridge/event"
	"vitrine/bridge/event/frames"
)

// What is wanted again and does not come is told and listed, of each frame and
// partition once, and when the frame is on disk.
func TestMissed(t *testing.T) {
	name := event.TopicSource("user-events", [16]byte{1})
	one, two := Place{name, 1}, Place{name, 2}
	log := &memLog{}
	write := New(log, nil, Options{})
	stop := run(t, write)
	submit(t, write, topicRecords(1, 0, 1), 2, 0)
	submit(t, write, append(topicRecords(1, 2, 3, 4, 5, 6, 7), topicRecords(2, 4, 5)...), 8, 0)
	submit(t, write, topicRecords(1, 8, 9), 2, 0)
	stop()
	var blank frames.Builder
	log.frames[1] = bytes.Clone(blank.Seal())

	var said bytes.Buffer
	now := time.UnixMilli(1_760_000_000_000)
	p := New(log, nil, Options{Log: slog.New(slog.NewTextHandler(&said, nil)), Now: func() time.Time { return now }})
	p.Begun(two, 4)
	if err := p.Replay(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	stop = run(t, p)
	misses := func(want ...Missed) {
		t.Helper()
		got, _ := p.Missed()
		for i := range want {
			want[i].At = now
		}
		if !slices.Equal(got, want) || strings.Count(said.String(), "not read again") != len(want) {
			t.Fatalf("missed %v, want %v; said: %s", got, want, &said)
		}
	}
	log.set(func() (bool, error) { return false, ErrBusFull }, nil)
	if _, err := p.Submit(t.Context(), topicRecords(1, 6)); !errors.Is(err, ErrBusFull) {
		t.Fatal(err)
	}
	log.set(nil, nil)
	misses()
	submit(t, p, topicRecords(1, 3, 6), 2, 0)
	first := Missed{Hole: Hole{one, 2, 6}, Offsets: 3, Why: Passed}
	misses(first)
	submit(t, p, topicRecords(1, 8), 0, 1) // none of a frame
	second := Missed{Hole: Hole{one, 7, 8}, Offsets: 1, Why: Passed}
	misses(first, second)

	var given []Hole
	if err := p.Between(t.Context(), func(uint64) {
		given = p.GiveUp(func(at Place) bool { return at == two }, GivenUp)
	}); err != nil {
		t.Fatal(err)
	}
	third := Missed{Hole: Hole{two, 4, 4}, Why: GivenUp}
	misses(first, second, third)
	if wanted, _ := p.Wanted(); len(wanted) > 0 || !slices.Equal(given, []Hole{{two, 4, 4}}) {
		t.Errorf("given up %v, still wanted %v", given, wanted)
	}
	stop()

	p.opt.Log = slog.New(slog.DiscardHandler)
	for range missedMost {
		p.miss([]Hole{{one, 7, 8}}, Passed)
	}
	if list, unlisted := p.Missed(); len(list) != missedMost || unlisted != 3 {
		t.Errorf("%d listed, %d not", len(list), unlisted)
	}
}

// Of a hole that is given up nothing is wanted, and of others all.
func TestGiveUp(t *testing.T) {
	name := event.TopicSource("user-events", [16]byte{1})
	one, two := Place{name, 1}, Place{name, 2}
	p := New(&memLog{}, nil, Options{})
	for _, place := range []Place{one, two} {
		p.Passed(place, 9)
		p.Want(Hole{place, 2, 4})
		p.Want(Hole{place, 6, 7})
	}
	p.Passed(Place{name, 3}, 4)
	p.Want(Hole{Place{name, 3}, 4, 4})
	p.Want(Hole{Place{name, 3}, 3, 3}) // what has come of it is known
	if holes, _ := p.Wanted(); !slices.Contains(holes, Hole{Place{name, 3}, 4, 4}) || len(holes) != 5 {
		t.Errorf("wanted %v", holes)
	}
	run(t, p)
	if err := p.Between(t.Context(), func(uint64) {
		p.GiveUp(func(at Place) bool { return at == one }, TopicDeleted)
	}); err != nil {
		t.Fatal(err)
	}
	if next, _ := p.Position(one); next != 9 {
		t.Errorf("the partition is wanted from %d", next)
	}
	submit(t, p, topicRecords(1, 2, 3, 6), 0, 3)
	submit(t, p, topicRecords(2, 2, 3, 6), 3, 0)
}
