package state

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"vitrine/bridge"
	"vitrine/bridge/archive"
	"vitrine/bridge/archive/follow"
	"vitrine/bridge/event"
	"vitrine/bridge/parquet"
)

// lives are those of a state whose log has lost frames of two partitions, of which
// not all offsets are there.
type lives struct {
	*world
	rng    *rand.Rand
	places [2]bridge.Place
	topic  map[bridge.Place][]int64
	// marks are the sequences of the lost frames.
	marks []uint64

	state *State
	// next is where each partition is read.
	next map[bridge.Place]int64
	end  func()
	// broken is where a commit ends: 1 before it is kept what is wanted, 2 behind that.
	broken int
	story  strings.Builder
}

// TestLives: however often and wherever a life ends, in the end each record of the
// topics is in the archive and in memory once.
func TestLives(t *testing.T) {
	for seed := range uint64(30) { // of old, 1 in 24 failed
		l := newLives(newWorld(t), seed)
		l.begin()
		for range 14 {
			l.happen()
		}
		for _, place := range l.places {
			for l.read(place, 5) {
			}
		}
		if err := l.follower.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		l.end()
		if l.once(); t.Failed() {
			t.Fatalf("seed %d%s", seed, &l.story)
		}
	}
}

func newLives(w *world, seed uint64) *lives {
	l := &lives{world: w, rng: rand.New(rand.NewPCG(seed, 7)), topic: map[bridge.Place][]int64{}, next: map[bridge.Place]int64{}, end: func() {}}
	given := map[bridge.Place]int{}
	for i := range l.places {
		l.places[i] = bridge.Place{Name: event.TopicSource("user-events", [16]byte{1}), Partition: int32(i)}
		for offset := range int64(24) {
			if l.rng.IntN(5) > 0 {
				l.topic[l.places[i]] = append(l.topic[l.places[i]], offset)
			}
		}
	}
	for seq := range uint64(4 + l.rng.IntN(8)) {
		place := l.places[l.rng.IntN(2)]
		all := l.topic[place][given[place]:]
		n := min(1+l.rng.IntN(4), len(all))
		records := l.records(place, all[:n])
		if given[place] += n; n == 0 || l.rng.IntN(3) == 0 {
			records = nil
			l.marks = append(l.marks, seq+1)
		}
		l.framed(records)
	}
	return l
}

func user(place bridge.Place, offset int64) string { return fmt.Sprint(place.Partition, "-", offset) }

func (l *lives) records(place bridge.Place, offsets []int64) []event.Record {
	out := of(offsets...)
	for i := range out {
		out[i].Source.Name, out[i].Source.Partition = place.Name, place.Partition
		out[i].Event.UserID = user(place, offsets[i])
	}
	return out
}

// begin ends a life by a kill, and begins the next one.
func (l *lives) begin() {
	l.end()
	opt := l.options("a")
	if i := slices.IndexFunc(l.marks, func(seq uint64) bool { return seq > l.archive.Position() }); i >= 0 {
		opt.Lost = l.marks[i]
	}
	opt.Begun = map[bridge.Place]int64{}
	for _, place := range l.places {
		if !slices.ContainsFunc(l.archive.Topics(), func(t archive.TopicPosition) bool { return t.Partition == place.Partition }) {
			opt.Begun[place] = 0
		}
	}
	s := l.open(opt)
	ctx, stop := context.WithCancel(l.t.Context())
	var run sync.WaitGroup
	run.Go(func() { _ = s.Pump.Run(ctx) })
	l.state, l.end = s, func() { stop(); run.Wait() }
	l.follower = follow.New(l.archive, l.bus, follow.Options{Before: l.before})
	for _, place := range l.places {
		l.next[place], _ = s.Pump.Position(place)
	}
	fmt.Fprintf(&l.story, "\nlife at %d, snapshot %d, wanted %v, read from %v:", l.archive.Position(), s.position.Load(), s.wanted.holes, l.next)
}

var errBroken = errors.New("broken")

func (l *lives) before(ctx context.Context, last uint64) error {
	if l.broken == 1 {
		return errBroken
	}
	if err := l.state.Keep(ctx, last); err != nil || l.broken == 0 {
		return err
	}
	return errBroken
}

// happen lets one thing happen.
func (l *lives) happen() {
	l.t.Helper()
	switch l.rng.IntN(6) {
	case 0:
		l.begin()
	case 1:
		fmt.Fprint(&l.story, " snapshot;")
		if err := l.state.Save(l.t.Context()); err != nil {
			l.t.Fatal(err)
		}
	case 2:
		l.broken = l.rng.IntN(3)
		fmt.Fprintf(&l.story, " commit broken at %d;", l.broken)
		err := l.follower.Flush(l.t.Context())
		switch {
		case l.broken > 0:
			l.begin()
		case err != nil:
			l.t.Fatal(err)
		}
		l.broken = 0
	default:
		l.read(l.places[l.rng.IntN(2)], 1+l.rng.IntN(4))
	}
}

// read takes the next n records of a partition, and is false where there are none.
func (l *lives) read(place bridge.Place, n int) bool {
	l.t.Helper()
	from, _ := slices.BinarySearch(l.topic[place], l.next[place])
	left := l.topic[place][from:]
	left = left[:min(n, len(left))]
	if len(left) == 0 {
		return false
	}
	res, err := l.state.Pump.Submit(l.t.Context(), l.records(place, left))
	if err != nil {
		l.t.Fatal(err)
	}
	l.next[place] = left[len(left)-1] + 1
	fmt.Fprintf(&l.story, " %v of %d, %d new;", left, place.Partition, res.Accepted)
	return true
}

// once looks for each record in the archive and in memory.
func (l *lives) once() {
	l.t.Helper()
	found := map[string]int{}
	if err := l.archive.ScanEvents(l.t.Context(), parquet.UserID, func(b *archive.EventBatch) error {
		for i := range b.Len {
			found[b.UserID.At(i)]++
		}
		return nil
	}); err != nil {
		l.t.Fatal(err)
	}
	for place, offsets := range l.topic {
		for _, offset := range offsets {
			id := user(place, offset)
			code, _ := l.state.Catalog.UserCode(id)
			if held, _ := l.state.Profile.History(code, nil); found[id] != 1 || len(held) != 1 {
				l.t.Errorf("%s is %d times in the archive and %d times in memory", id, found[id], len(held))
			}
		}
	}
}
