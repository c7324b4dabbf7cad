package follow

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vitrine/bridge/archive"
	"vitrine/bridge/event"
	"vitrine/bridge/event/frames"
	"vitrine/bridge/parquet"
)

const day0 = 1_700_006_400_000 // 2023-11-15, midnight

var errCrash = errors.New("crash")

func open(t testing.TB, dir string) *archive.Archive { t.Helper(); return openWith(t, dir, nil) }

// openWith opens an archive whose steps can fail.
func openWith(t testing.TB, dir string, step func(string) error) *archive.Archive {
	t.Helper()
	a, err := archive.Open(context.Background(), archive.Options{Dir: dir, Step: step})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func view(user, item, id string, ts int64) event.Record {
	return event.Record{Kind: event.KindEvent, Event: event.Event{UserID: user, ItemID: item, Type: "view", Time: ts, EventID: id}}
}

func put(item string, price float64) event.Record {
	return event.Record{Kind: event.KindItemPut, Item: event.Item{ID: item, Time: day0, Attributes: []event.Attribute{
		{Name: "price", Value: event.Value{Kind: event.Number, Num: price}},
	}}}
}

// eventIDs scans the archive and gives the ids in order.
func eventIDs(t testing.TB, a *archive.Archive) (ids []string) {
	t.Helper()
	if err := a.ScanEvents(context.Background(), parquet.EventID, func(b *archive.EventBatch) error {
		ids = append(ids, b.EventID...)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return ids
}

func itemIDs(t testing.TB, a *archive.Archive) (ids []string) {
	t.Helper()
	if err := a.ScanItems(context.Background(), func(r *event.Record) error {
		ids = append(ids, r.Item.ID)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return ids
}

func equal(t testing.TB, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

// fakeBus is a bus in memory.
type fakeBus struct {
	mu     sync.Mutex
	first  uint64
	frames [][]byte
	// failTrim makes that many calls of Trim fail.
	failTrim int
}

func newFakeBus() *fakeBus { return &fakeBus{first: 1} }

func (b *fakeBus) append(records ...event.Record) {
	var builder frames.Builder
	for i := range records {
		builder.Add(&records[i])
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.frames = append(b.frames, slices.Clone(builder.Seal()))
}

func (b *fakeBus) Read(ctx context.Context, from uint64, fn func(uint64, []byte) error) (uint64, error) {
	b.mu.Lock()
	first, frames := b.first, slices.Clone(b.frames)
	b.mu.Unlock()
	for i, frame := range frames {
		if seq := first + uint64(i); seq >= from {
			if err := fn(seq, frame); err != nil {
				return seq, fmt.Errorf("read frame %d: %w", seq, err)
			}
		}
	}
	return first + uint64(len(frames)), ctx.Err()
}

func (b *fakeBus) Bounds(context.Context) (first, last uint64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.first, b.first + uint64(len(b.frames)) - 1, nil
}

func (b *fakeBus) Trim(_ context.Context, upTo uint64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failTrim > 0 {
		b.failTrim--
		return errors.New("the bus is away")
	}
	for b.first <= upTo && len(b.frames) > 0 {
		b.first++
		b.frames = b.frames[1:]
	}
	return nil
}

func (b *fakeBus) len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.frames)
}

func TestFlushArchivesAndTrims(t *testing.T) {
	a, bus := open(t, t.TempDir()), newFakeBus()
	f := New(a, bus, Options{})
	if err := f.Flush(t.Context()); err != nil {
		t.Fatal("empty bus:", err)
	}
	bus.append(view("u", "i", "e1", day0), put("i", 1))
	bus.append(view("u", "i", "e2", day0))
	if err := f.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := f.Flush(t.Context()); err != nil {
		t.Fatal("nothing new:", err)
	}
	equal(t, "events", eventIDs(t, a), []string{"e1", "e2"})
	equal(t, "items", itemIDs(t, a), []string{"i"})
	s := f.Stats()
	if s.Position != 2 || s.Commits != 1 || s.Records != 3 || s.LastError != "" || bus.len() != 0 {
		t.Fatalf("stats %+v, %d frames left", s, bus.len())
	}
}

// TestRolls takes turns by hand under a clock of its own.
func TestRolls(t *testing.T) {
	a, bus := open(t, t.TempDir()), newFakeBus()
	now := time.Unix(1_700_000_000, 0)
	f := New(a, bus, Options{RollBytes: 2000, Now: func() time.Time { return now }})
	turn := func(want uint64) {
		t.Helper()
		if err := f.turn(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if p := a.Position(); p != want {
			t.Fatalf("position %d, want %d", p, want)
		}
	}
	bus.append(view("u", "i", "e1", day0))
	turn(0)
	now = now.Add(DefaultRollEvery - time.Second)
	bus.append(view("u", "i", "e2", day0))
	turn(0)
	now = now.Add(time.Second)
	turn(2)
	now = now.Add(time.Hour)
	bus.append(view("u", "i", "e3", day0))
	turn(2) // its age counts from now
	const size = 500
	for i := range 10 {
		bus.append(view("u", "i", strings.Repeat("x", size)+fmt.Sprint(i), day0))
	}
	turn(11) // two rolls at once, each closed by its fourth long frame; what is less than one waits
	if s := f.Stats(); s.Commits != 3 || s.Records != 11 || !s.LastCommit.Equal(now) {
		t.Fatalf("stats %+v", s)
	}
	if err := f.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(eventIDs(t, a)); n != 13 || bus.len() != 0 {
		t.Fatalf("%d events in the archive, %d frames on the bus", n, bus.len())
	}
}

// busyBus gets a new frame whenever it is read.
type busyBus struct{ *fakeBus }

func (b busyBus) Read(ctx context.Context, from uint64, fn func(uint64, []byte) error) (uint64, error) {
	b.append(view("u", "i", "more", day0))
	return b.fakeBus.Read(ctx, from, fn)
}

// TestFlushEndsWhileMoreComes: what came after the call is not waited for.
func TestFlushEndsWhileMoreComes(t *testing.T) {
	a, bus := open(t, t.TempDir()), busyBus{newFakeBus()}
	for range 5 {
		bus.append(view("u", "i", "e", day0))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := New(a, bus, Options{RollBytes: 1}).Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if p := a.Position(); p != 5 {
		t.Errorf("position %d", p)
	}
}

// eventually waits for Run, which works by the real clock.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never came: " + what)
		}
	}
}

func TestRunOutlivesErrorsThatPass(t *testing.T) {
	var full atomic.Bool
	var tries atomic.Int64
	full.Store(true)
	a, bus := openWith(t, t.TempDir(), func(string) error {
		if full.Load() {
			tries.Add(1)
			return errors.New("no space left")
		}
		return nil
	}), newFakeBus()
	bus.failTrim = 1
	var said bytes.Buffer
	f := New(a, bus, Options{RollEvery: 10 * time.Millisecond, Log: slog.New(slog.NewTextHandler(&said, nil))})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- f.Run(ctx) }()
	bus.append(view("u", "i", "e1", day0))
	eventually(t, "the error", func() bool { return strings.Contains(f.Stats().LastError, "no space left") && tries.Load() >= 3 })
	full.Store(false)
	bus.append(view("u", "i", "e2", day0))
	eventually(t, "the commit", func() bool {
		s := f.Stats()
		return s.LastError == "" && s.Position == 2 && bus.len() == 0
	})
	cancel()
	if err := <-done; err != context.Canceled {
		t.Fatal(err)
	}
	if tried, told, well := tries.Load(), strings.Count(said.String(), "level=ERROR"), strings.Count(said.String(), "takes events again"); tried < 3 || told != 1 || well != 1 {
		t.Errorf("%d tries:\n%s", tried, &said)
	}
	equal(t, "events", eventIDs(t, a), []string{"e1", "e2"})
}

func TestGapIsNamed(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(b *fakeBus)
		want  string
	}{
		{"trimmed too far", func(b *fakeBus) { b.first = 5 }, "bus sequences 3 to 4 are neither"},
		{"emptied", func(b *fakeBus) { b.frames, b.first = nil, 1 }, "the bus ends at 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, bus := open(t, t.TempDir()), newFakeBus()
			bus.append(view("u", "i", "e1", day0))
			bus.append(view("u", "i", "e2", day0))
			if err := New(a, bus, Options{}).Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			bus.append(view("u", "i", "e3", day0))
			c.spoil(bus)
			err := New(a, bus, Options{}).Run(t.Context())
			var gap *GapError
			if !errors.As(err, &gap) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestCorruptFrameKeepsWhatIsBeforeIt(t *testing.T) {
	a, bus := open(t, t.TempDir()), newFakeBus()
	bus.append(view("u", "i", "e1", day0))
	bus.append(view("u", "i", "e2", day0))
	bus.frames[1][len(bus.frames[1])-1] ^= 1
	err := New(a, bus, Options{}).Flush(t.Context())
	var frame *FrameError
	if !errors.As(err, &frame) || frame.Seq != 2 {
		t.Fatalf("got %v", err)
	}
	equal(t, "events", eventIDs(t, a), []string{"e1"})
	if a.Position() != 1 || bus.len() != 1 {
		t.Fatalf("position %d, %d frames left", a.Position(), bus.len())
	}
}

// TestCrashLoop kills the follower at random steps of its commits while the
// bus grows, and compares the archive with what was sent.
func TestCrashLoop(t *testing.T) {
	dir, bus := t.TempDir(), newFakeBus()
	var sent []string
	for round := range 30 {
		for range 3 {
			id := fmt.Sprintf("e%03d", len(sent))
			sent = append(sent, id)
			bus.append(view("u", "i", id, day0), view("u", "i", id, day0))
		}
		steps := 0
		a := openWith(t, dir, func(string) error {
			if steps++; steps == round%13 {
				return errCrash
			}
			return nil
		})
		if err := New(a, bus, Options{}).Flush(t.Context()); err != nil && !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
	}
	a := open(t, dir)
	if err := New(a, bus, Options{}).Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	equal(t, "events", eventIDs(t, a), sent)
	if sum, err := a.Summary(t.Context()); err != nil || sum.Events != int64(2*len(sent)) {
		t.Fatalf("%+v %v: rows were stored twice or lost", sum, err)
	}
}

// TestBefore: what belongs before a commit is done before it, and keeps it from
// being made where it fails.
func TestBefore(t *testing.T) {
	bus, a := newFakeBus(), open(t, t.TempDir())
	bus.append(view("u", "i", "1", day0))
	bus.append(view("u", "i", "2", day0))
	refused := errors.New("refused")
	told, fail := []uint64{}, refused
	f := New(a, bus, Options{Before: func(_ context.Context, last uint64) error {
		if a.Position() != 0 {
			t.Errorf("the archive is at %d already", a.Position())
		}
		told = append(told, last)
		return fail
	}})
	if err := f.Flush(t.Context()); !errors.Is(err, refused) || a.Position() != 0 || bus.len() != 2 {
		t.Fatalf("%v, the archive is at %d, %d frames are left", err, a.Position(), bus.len())
	}
	fail = nil
	if err := f.Flush(t.Context()); err != nil || !slices.Equal(told, []uint64{2, 2}) {
		t.Fatalf("%v, told %v", err, told)
	}
	equal(t, "archived", eventIDs(t, a), []string{"1", "2"})
}
