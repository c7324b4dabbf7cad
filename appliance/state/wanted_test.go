package state

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"vitrine/bridge"
	"vitrine/bridge/archive"
	"vitrine/bridge/archive/follow"
	"vitrine/bridge/event"
	"vitrine/bridge/event/frames"
	"vitrine/bridge/parquet"
)

var wantedPlace = bridge.Place{Name: event.TopicSource("user-events", [16]byte{1}), Partition: 3}

// of are records of a topic.
func of(offsets ...int64) (out []event.Record) {
	for _, offset := range offsets {
		out = append(out, event.Record{
			Kind:   event.KindEvent,
			Event:  event.Event{UserID: fmt.Sprint("u", offset), ItemID: "i", Type: "view", Time: firstEvent + offset},
			Source: event.Source{Name: wantedPlace.Name, Partition: wantedPlace.Partition, Offset: offset},
		})
	}
	return out
}

// framed puts frames on the bus; one without records is the mark of a lost one.
func (w *world) framed(each ...[]event.Record) {
	w.t.Helper()
	for _, records := range each {
		_, last, err := w.bus.Bounds(w.t.Context())
		if err != nil {
			w.t.Fatal(err)
		}
		var b frames.Builder
		for i := range records {
			b.Add(&records[i])
		}
		if _, err := w.bus.Append(w.t.Context(), b.Seal(), last); err != nil {
			w.t.Fatal(err)
		}
	}
}

// life opens the state with a follower that keeps what is wanted.
func (w *world) life() *State {
	w.t.Helper()
	s := w.open(w.options("a"))
	w.follower = follow.New(w.archive, w.bus, follow.Options{Before: s.Keep})
	return s
}

// submit lets records come, and says how many were new.
func (w *world) submit(s *State, records []event.Record) int {
	w.t.Helper()
	ctx, stop := context.WithCancel(w.t.Context())
	var run sync.WaitGroup
	run.Go(func() { _ = s.Pump.Run(ctx) })
	res, err := s.Pump.Submit(ctx, records)
	if err != nil {
		w.t.Fatal(err)
	}
	stop()
	run.Wait()
	return res.Accepted
}

// TestWanted: what the log has lost of a topic is wanted again also in lives that
// begin when the archive has passed the mark of it, each record once.
func TestWanted(t *testing.T) {
	w := newWorld(t)
	file := filepath.Join(w.dir, "a", "wanted.json")
	at := func(what string, s *State, want int64) {
		t.Helper()
		if next, _ := s.Pump.Position(wantedPlace); next != want {
			t.Fatalf("%s: the topic is wanted from %d, want %d", what, next, want)
		}
	}
	flush := func() {
		t.Helper()
		if err := w.follower.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	w.framed(of(0, 1), nil, of(5, 6))
	at("after the loss", w.life(), 2)
	flush()
	s := w.life()
	at("behind the archive", s, 2)
	if n := w.submit(s, of(2, 3)); n != 2 {
		t.Fatalf("%d of 2 lost records are new", n)
	}
	if err := s.Save(t.Context()); err != nil {
		t.Fatal(err)
	}
	s = w.life()
	if at("with the rest in the log", s, 4); s.position.Load() != 0 || !strings.Contains(w.log.String(), "ahead of the archive") {
		t.Errorf("the snapshot of %d is used, or nothing says why not: %s", s.position.Load(), &w.log)
	}
	flush()
	s = w.life()
	at("with the rest in the archive", s, 4)
	if n := w.submit(s, of(2, 3, 4, 5)); n != 1 {
		t.Fatalf("%d records are new, want the one that was still lost", n)
	}
	if _, err := os.Stat(file); err != nil {
		t.Errorf("nothing is kept before the commit: %v", err)
	}
	flush()
	if _, err := os.Stat(file); err == nil {
		t.Error("what was wanted is still kept")
	}
	at("after all", w.life(), 7)
	w.archivedOnce(7)
}

// archivedOnce looks for the records of the topic in the archive.
func (w *world) archivedOnce(want int) {
	w.t.Helper()
	found := map[string]int{}
	if err := w.archive.ScanEvents(w.t.Context(), parquet.UserID, func(b *archive.EventBatch) error {
		for i := range b.Len {
			found[b.UserID.At(i)]++
		}
		return nil
	}); err != nil {
		w.t.Fatal(err)
	}
	for offset := range want {
		if n := found[fmt.Sprint("u", offset)]; n != 1 {
			w.t.Errorf("the record at %d is %d times in the archive", offset, n)
		}
	}
}

// TestWantedIsKeptFirst: where it cannot be written what is wanted, the archive does
// not pass the mark of it.
func TestWantedIsKeptFirst(t *testing.T) {
	w := newWorld(t)
	w.framed(of(0, 1), nil, of(5, 6))
	s := w.life()
	w.submit(s, of(2))
	path := s.wanted.path
	s.wanted.path = filepath.Join(w.dir, "none", "wanted.json")
	if err := w.follower.Flush(t.Context()); err == nil || w.archive.Position() != 0 {
		t.Fatalf("the archive is at %d, %v", w.archive.Position(), err)
	}
	s.wanted.path = path
	if err := w.follower.Flush(t.Context()); err != nil || w.archive.Position() != 4 {
		t.Fatalf("the archive is at %d, %v", w.archive.Position(), err)
	}
}

// TestGiveUp: what is given up when the archive has passed the mark of it is wanted in
// no later life, and a snapshot is used again.
func TestGiveUp(t *testing.T) {
	w := newWorld(t)
	w.framed(of(0, 1), nil, of(5, 6))
	s := w.life()
	if err := w.follower.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var run sync.WaitGroup
	run.Go(func() { _ = s.Pump.Run(ctx) })
	for _, tc := range []struct {
		of   func(bridge.Place) bool
		want []bridge.Hole
	}{
		{func(bridge.Place) bool { return false }, nil},
		{func(at bridge.Place) bool { return at == wantedPlace }, []bridge.Hole{{Place: wantedPlace, From: 2, To: 5}}},
	} {
		if given, err := s.GiveUp(t.Context(), tc.of, bridge.GivenUp); err != nil || !slices.Equal(given, tc.want) {
			t.Fatalf("given up %v, %v; want %v", given, err, tc.want)
		}
		if _, err := os.Stat(s.wanted.path); (err == nil) != (tc.want == nil) {
			t.Errorf("what is wanted is kept: %v", err)
		}
	}
	stop()
	run.Wait()
	s = w.life()
	w.submit(s, of(7))
	if err := s.Save(t.Context()); err != nil {
		t.Fatal(err)
	}
	s = w.life()
	if next, _ := s.Pump.Position(wantedPlace); next != 8 || s.position.Load() != 4 {
		t.Errorf("the topic is wanted from %d, the snapshot is of %d", next, s.position.Load())
	}
}

// TestWantedDamaged: a damaged file keeps nobody from starting.
func TestWantedDamaged(t *testing.T) {
	w := newWorld(t)
	opt := w.options("a")
	opt.Wanted = filepath.Join(w.dir, "wanted.json")
	if err := os.WriteFile(opt.Wanted, []byte(`{"wanted":[{"to`), 0o600); err != nil {
		t.Fatal(err)
	}
	if holes, _ := w.open(opt).Pump.Wanted(); len(holes) > 0 || !strings.Contains(w.log.String(), opt.Wanted) {
		t.Errorf("%v are wanted: %s", holes, &w.log)
	}
	w.log.Reset()
	if w.open(opt); strings.Contains(w.log.String(), "WARN") {
		t.Errorf("it is told again: %s", &w.log)
	}
}

// TestWantedBetween: the archive is brought up to the log also while no frame may
// come.
func TestWantedBetween(t *testing.T) {
	w := newWorld(t)
	w.framed(of(0, 1), nil, of(5, 6))
	s := w.life()
	ctx, stop := context.WithCancel(t.Context())
	var run sync.WaitGroup
	run.Go(func() { _ = s.Pump.Run(ctx) })
	if _, err := s.Pump.Submit(ctx, of(2)); err != nil {
		t.Fatal(err)
	}
	err := s.Pump.Between(ctx, func(uint64) {
		if err := w.follower.Flush(ctx); err != nil {
			t.Error(err)
		}
	})
	if err != nil || w.archive.Position() != 4 {
		t.Errorf("the archive is at %d, %v", w.archive.Position(), err)
	}
	stop()
	run.Wait()
}

// TestWantedIsNotAhead: a frame that the pump does not know of yet is not archived.
func TestWantedIsNotAhead(t *testing.T) {
	w := newWorld(t)
	w.framed(of(0, 1), nil, of(5, 6))
	synctest.Test(t, func(t *testing.T) {
		s := &State{opt: w.options("a"), wanted: wanted{at: 3, holes: []bridge.Hole{{Place: wantedPlace, From: 2, To: 5}}}}
		s.Pump = bridge.New(w.bus, nil, bridge.Options{})
		if err := s.Keep(t.Context(), 3); err != nil {
			t.Error(err)
		}
		if err := s.Keep(t.Context(), 4); err == nil || !strings.Contains(err.Error(), "frame 4") {
			t.Errorf("%v, want an error with the frame", err)
		}
	})
}
