package bridge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/bridge/event"
	"vitrine/bridge/event/frames"
)

// memLog is a log in memory whose appends can be made to fail.
type memLog struct {
	mu     sync.Mutex
	first  uint64
	frames [][]byte
	// fault, when set, is asked before an append; stored tells that the frame
	// gets in although the append fails.
	fault func() (stored bool, err error)
	// down is what every other call answers.
	down error
	// delay is the time of a fsync.
	delay time.Duration
}

func (l *memLog) Append(_ context.Context, frame []byte, expectLast uint64) (uint64, error) {
	if l.delay > 0 {
		time.Sleep(l.delay)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	last := l.last()
	if expectLast != last {
		return 0, fmt.Errorf("append: %w", ErrFenced)
	}
	var err error
	stored := true
	if l.fault != nil {
		stored, err = l.fault()
	}
	if err == nil || stored {
		l.frames = append(l.frames, bytes.Clone(frame))
	}
	return last + 1, err
}

func (l *memLog) last() uint64 { return max(l.first, 1) + uint64(len(l.frames)) - 1 }

func (l *memLog) Bounds(context.Context) (first, last uint64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(l.first, 1), l.last(), l.down
}

func (l *memLog) Read(ctx context.Context, from uint64, fn func(uint64, []byte) error) (uint64, error) {
	first, last, err := l.Bounds(ctx)
	if err != nil {
		return from, err
	}
	if from == 0 {
		from = first
	}
	if from > last+1 {
		return from, &AheadError{from, last}
	}
	if from < first {
		return from, &GapError{from, first}
	}
	for seq := from; seq <= last; seq++ {
		l.mu.Lock()
		f := l.frames[seq-first]
		l.mu.Unlock()
		if err := fn(seq, f); err != nil {
			return seq, err
		}
	}
	return last + 1, nil
}

func (l *memLog) set(fault func() (bool, error), down error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault, l.down = fault, down
}

// records are all records in the log.
func (l *memLog) records(t testing.TB) (all []string) {
	t.Helper()
	if _, err := l.Read(t.Context(), 0, func(seq uint64, f []byte) error {
		return frames.Decode(f, func(r *event.Record) error {
			all = append(all, fmt.Sprint(seq, " ", name(r)))
			return nil
		})
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

func name(r *event.Record) string {
	if r.Kind != event.KindEvent {
		return "item " + r.Item.ID
	}
	return r.Event.EventID + "/" + r.Event.UserID
}

// watcher is a consumer that keeps what it saw.
type watcher struct {
	mu   sync.Mutex
	seen []string
	// before runs at the start of every Apply.
	before func()
}

func (w *watcher) Apply(seq uint64, records []event.Record) {
	if w.before != nil {
		w.before()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range records {
		w.seen = append(w.seen, fmt.Sprint(seq, " ", name(&records[i])))
	}
}

func (w *watcher) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.seen...)
}

// events makes one event for each id; "" has no event id.
func events(user string, ids ...string) []event.Record {
	out := make([]event.Record, len(ids))
	for i, id := range ids {
		out[i] = event.Record{Kind: event.KindEvent, Event: event.Event{
			UserID: user, ItemID: "i", Type: "view", Time: 1760000000000, EventID: id,
		}}
	}
	return out
}

// run starts the committer; stop ends it and checks that it ends well.
func run(t testing.TB, p *Pump) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error("run: ", err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

func submit(t testing.TB, p *Pump, records []event.Record, accepted, duplicate int) {
	t.Helper()
	res, err := p.Submit(t.Context(), records)
	if err != nil {
		t.Fatal(err)
	}
	if want := (Result{accepted, duplicate}); res != want {
		t.Fatalf("got %+v, want %+v", res, want)
	}
}

func equal(t testing.TB, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, ",") != strings.Join(want, ",") {
		t.Fatalf("got  %q\nwant %q", got, want)
	}
}

func TestDuplicates(t *testing.T) {
	log, w := &memLog{}, &watcher{}
	p := New(log, []Consumer{w}, Options{})
	p.Seen("old", 0)
	p.Seen("", 0)
	run(t, p)
	submit(t, p, events("u", "a", "b", "a", "", ""), 4, 1)
	submit(t, p, events("v", "b", "c", "old"), 1, 2)
	submit(t, p, events("v", "b", "c"), 0, 2)
	items := []event.Record{{Kind: event.KindItemPut, Item: event.Item{ID: "x"}}}
	submit(t, p, items, 1, 0)
	submit(t, p, items, 1, 0)
	submit(t, p, nil, 0, 0)
	want := []string{"1 a/u", "1 b/u", "1 /u", "1 /u", "2 c/v", "3 item x", "4 item x"}
	equal(t, w.all(), want...)
	equal(t, log.records(t), want...)
	st := p.Stats()
	if st.Accepted != 7 || st.Duplicate != 5 || st.Frames != 4 || st.Last != 4 || st.Remembered != 4 || st.Queued != 0 {
		t.Fatalf("%+v", st)
	}
}

// The same events come in many calls at once: each is accepted once.
func TestConcurrentDuplicates(t *testing.T) {
	log, w := &memLog{}, &watcher{}
	p := New(log, []Consumer{w}, Options{FrameBytes: 2000})
	stop := run(t, p)
	const callers, ids = 8, 500
	var wg sync.WaitGroup
	var accepted, duplicate [callers]int
	for c := range callers {
		wg.Go(func() {
			for i := 0; i < ids; i += 5 {
				var batch []string
				for j := range 5 {
					batch = append(batch, strconv.Itoa(i+j))
				}
				res, err := p.Submit(t.Context(), events("u", batch...))
				if err != nil {
					t.Error(err)
				}
				accepted[c] += res.Accepted
				duplicate[c] += res.Duplicate
			}
		})
	}
	wg.Wait()
	stop()
	var a, d int
	for c := range callers {
		a += accepted[c]
		d += duplicate[c]
	}
	if a != ids || d != ids*(callers-1) || len(w.all()) != ids {
		t.Fatalf("accepted %d, duplicate %d, applied %d of %d ids", a, d, len(w.all()), ids)
	}
	equal(t, w.all(), log.records(t)...)
}

func TestWindow(t *testing.T) {
	now := time.UnixMilli(1_800_000_000_000)
	var mu sync.Mutex
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	advance := func(d time.Duration) { mu.Lock(); now = now.Add(d); mu.Unlock() }
	p := New(&memLog{}, nil, Options{DedupWindow: time.Hour, Now: clock})
	p.Seen("seen before the window", now.Add(-2*time.Hour).UnixMilli())
	p.Seen("seen", now.Add(-30*time.Minute).UnixMilli())
	run(t, p)
	submit(t, p, events("u", "a", "seen", "seen before the window"), 2, 1)
	advance(40 * time.Minute)
	submit(t, p, events("u", "b", "a", "seen"), 2, 1)
	// By arrival, not by the time of the first duplicate.
	advance(25 * time.Minute)
	submit(t, p, events("u", "a", "b"), 1, 1)
}

func TestDedupMax(t *testing.T) {
	p := New(&memLog{}, nil, Options{DedupMax: 2000})
	run(t, p)
	for i := range 10 {
		var ids []string
		for j := range 1000 {
			ids = append(ids, fmt.Sprint(i, "-", j))
		}
		submit(t, p, events("u", ids...), 1000, 0)
	}
	// One frame and one block may be above the limit.
	if n := p.Stats().Remembered; n < 2000 || n > 2000+1000+blockIDs {
		t.Fatalf("%d ids remembered", n)
	}
	submit(t, p, events("u", "9-999", "9-0", "0-0"), 1, 2)
}

func TestFullRefusesAndForgets(t *testing.T) {
	log, w := &memLog{}, &watcher{}
	p := New(log, []Consumer{w}, Options{})
	run(t, p)
	submit(t, p, events("u", "a"), 1, 0)
	log.set(func() (bool, error) { return false, fmt.Errorf("no: %w", ErrBusFull) }, nil)
	for range 3 {
		res, err := p.Submit(t.Context(), events("u", "a", "b", "c", "b"))
		if !errors.Is(err, ErrBusFull) || res != (Result{}) {
			t.Fatalf("%+v, %v", res, err)
		}
	}
	// Nothing but duplicates needs no room.
	submit(t, p, events("u", "a"), 0, 1)
	log.set(nil, nil)
	submit(t, p, events("u", "a", "b", "c"), 2, 1)
	equal(t, w.all(), "1 a/u", "2 b/u", "2 c/u")
	if st := p.Stats(); st.Refused != 12 || st.Failed != 0 {
		t.Fatalf("%+v", st)
	}
}

// Every way in which an append can break: whatever the log did with the
// frame, each event is in it once, and the caller is told right.
func TestBrokenAppend(t *testing.T) {
	broken := errors.New("broken")
	for _, tc := range []struct {
		name string
		// answers of the appends to come; the last one is not repeated.
		stored []bool
		fails  bool
		want   []string
	}{
		{"lost once", []bool{false}, false, []string{"1 a/u", "2 b/u"}},
		{"lost twice, then stored", []bool{false, false, true}, false, []string{"1 a/u", "2 b/u"}},
		{"stored", []bool{true}, false, []string{"1 a/u", "2 b/u"}},
		{"lost for good", []bool{false, false, false}, true, []string{"1 a/u", "2 b/u"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			log, w := &memLog{}, &watcher{}
			p := New(log, []Consumer{w}, Options{})
			run(t, p)
			submit(t, p, events("u", "a"), 1, 0)
			left := tc.stored
			log.set(func() (bool, error) {
				if len(left) == 0 {
					return true, nil
				}
				stored := left[0]
				left = left[1:]
				return stored, broken
			}, nil)
			if !tc.fails {
				submit(t, p, events("u", "b"), 1, 0)
			} else {
				if _, err := p.Submit(t.Context(), events("u", "b")); !errors.Is(err, broken) {
					t.Fatal(err)
				}
				submit(t, p, events("u", "b"), 1, 0)
			}
			submit(t, p, events("u", "a", "b"), 0, 2)
			equal(t, w.all(), tc.want...)
			equal(t, log.records(t), tc.want...)
		})
	}
}

// The append breaks and the log is out of reach: the outcome is open. Later it
// turns out that the frame was stored, or not.
func TestUnsureAppend(t *testing.T) {
	for _, stored := range []bool{true, false} {
		t.Run(fmt.Sprint("stored ", stored), func(t *testing.T) {
			log, w := &memLog{}, &watcher{}
			p := New(log, []Consumer{w}, Options{})
			run(t, p)
			submit(t, p, events("u", "a"), 1, 0)
			broken, down := errors.New("broken"), errors.New("down")
			log.set(func() (bool, error) { return stored, broken }, down)
			if _, err := p.Submit(t.Context(), events("u", "b")); !errors.Is(err, broken) || errors.Is(err, down) {
				t.Fatal(err)
			}
			if _, err := p.Submit(t.Context(), events("u", "c")); !errors.Is(err, down) {
				t.Fatal(err)
			}
			log.set(nil, nil)
			want := []string{"1 a/u", "2 b/u", "3 c/u"}
			if stored {
				submit(t, p, events("u", "b", "c"), 1, 1)
			} else {
				submit(t, p, events("u", "b", "c"), 2, 0)
				want = []string{"1 a/u", "2 b/u", "2 c/u"}
			}
			equal(t, w.all(), want...)
			equal(t, log.records(t), want...)
		})
	}
}

// Somebody else writes: the pump must end, as it knows the log no more.
func TestForeignWriter(t *testing.T) {
	log, w := &memLog{}, &watcher{}
	p := New(log, []Consumer{w}, Options{})
	done := make(chan error, 1)
	go func() { done <- p.Run(t.Context()) }()
	submit(t, p, events("u", "a"), 1, 0)
	var b frames.Builder
	b.Add(&events("x", "z")[0])
	if _, err := log.Append(t.Context(), b.Seal(), 1); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Submit(t.Context(), events("u", "b")); !errors.Is(err, ErrFenced) {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, ErrFenced) {
		t.Fatal(err)
	}
	if _, err := p.Submit(t.Context(), events("u", "b")); !errors.Is(err, ErrClosed) || !errors.Is(err, ErrFenced) {
		t.Fatal(err)
	}
	equal(t, w.all(), "1 a/u")
}

func TestReplay(t *testing.T) {
	log := &memLog{first: 5}
	p := New(log, nil, Options{})
	stop := run(t, p)
	submit(t, p, events("u", "a", "b"), 2, 0)
	submit(t, p, events("u", "c", ""), 2, 0)
	stop()

	w := &watcher{}
	p = New(log, []Consumer{w}, Options{})
	if err := p.Replay(t.Context(), 6); err != nil {
		t.Fatal(err)
	}
	equal(t, w.all(), "6 c/u", "6 /u")
	run(t, p)
	submit(t, p, events("u", "c", "a"), 1, 1)
	equal(t, w.all(), "6 c/u", "6 /u", "7 a/u")

	w = &watcher{}
	p = New(log, []Consumer{w}, Options{})
	if err := p.Replay(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	equal(t, w.all(), log.records(t)...)
	if p.Stats().Last != 7 {
		t.Fatal(p.Stats())
	}
	// At the end there is nothing to replay.
	p = New(log, []Consumer{&watcher{before: func() { t.Error("applied") }}}, Options{})
	if err := p.Replay(t.Context(), 8); err != nil {
		t.Fatal(err)
	}

	var gap *GapError
	if err := New(log, nil, Options{}).Replay(t.Context(), 4); !errors.As(err, &gap) || gap.Want != 4 || gap.Got != 5 {
		t.Fatal(err)
	}
	var ahead *AheadError
	if err := New(log, nil, Options{}).Replay(t.Context(), 9); !errors.As(err, &ahead) || ahead.Last != 7 {
		t.Fatal(err)
	}
	log.frames[1][40] ^= 1
	var corrupt *frames.CorruptError
	if err := New(log, nil, Options{}).Replay(t.Context(), 5); !errors.As(err, &corrupt) || !strings.Contains(err.Error(), "frame 6") {
		t.Fatal(err)
	}
}

// What was submitted before the end is finished, what comes later is refused.
func TestShutdown(t *testing.T) {
	log, w := &memLog{delay: 5 * time.Millisecond}, &watcher{}
	p := New(log, []Consumer{w}, Options{FrameBytes: 500})
	ctx, cancel := context.WithCancel(t.Context())
	const callers = 20
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			if res, err := p.Submit(t.Context(), events("u", strconv.Itoa(i))); err != nil || res.Accepted != 1 {
				t.Error(res, err)
			}
		})
	}
	for p.Stats().Queued < callers {
		runtime.Gosched()
	}
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	cancel()
	wg.Wait()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if _, err := p.Submit(t.Context(), events("u", "late")); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
	if n := len(w.all()); n != callers {
		t.Fatalf("%d applied", n)
	}
	equal(t, w.all(), log.records(t)...)
}

// A caller who gives up in the queue leaves nothing behind; one whose records
// are on their way gets the outcome.
func TestGivingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, w := &memLog{delay: time.Second}, &watcher{}
		p := New(log, []Consumer{w}, Options{})
		run(t, p)
		var wg sync.WaitGroup
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			if res, err := p.Submit(ctx, events("u", "under way")); err != nil || res.Accepted != 1 {
				t.Error(res, err)
			}
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
		defer cancel()
		if _, err := p.Submit(ctx, events("u", "given up")); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		wg.Wait()
		submit(t, p, events("u", "given up"), 1, 0)
		equal(t, w.all(), "1 under way/u", "2 given up/u")
	})
}

// Calls that come by themselves share frames, those of callers who wait for their
// answers do not wait for each other longer than before.
func TestFrameDelay(t *testing.T) {
	const sync1 = time.Millisecond
	for _, c := range []struct {
		name        string
		callers     int
		pause       time.Duration // of a caller between his calls, and before the first one times his number
		frames      int           // at most
		took, least time.Duration // of a call, at the median
	}{
		{"one who waits", 1, 0, 100, sync1, sync1},
		{"four who wait", 4, 0, 104, 2 * sync1, sync1},
		{"one who comes now and then", 1, 20 * time.Millisecond, 100, sync1, sync1},
		{"2,000 a second", 200, 100 * time.Millisecond, 2600, 6 * time.Millisecond, sync1},
	} {
		synctest.Test(t, func(t *testing.T) {
			log := &memLog{delay: sync1}
			p := New(log, nil, Options{})
			stop := run(t, p)
			var mu sync.Mutex
			var took []time.Duration
			var wg sync.WaitGroup
			for n := range c.callers {
				wg.Go(func() {
					time.Sleep(c.pause * time.Duration(n) / time.Duration(c.callers))
					for i := range 100 {
						start := time.Now()
						submit(t, p, events("u", fmt.Sprint(n, " ", i)), 1, 0)
						mu.Lock()
						took = append(took, time.Since(start))
						mu.Unlock()
						time.Sleep(c.pause - time.Since(start))
					}
				})
			}
			wg.Wait()
			stop()
			slices.Sort(took)
			if median := took[len(took)/2]; len(log.frames) > c.frames || median > c.took || median < c.least {
				t.Errorf("%s: %d frames, a call took %v", c.name, len(log.frames), median)
			}
			t.Logf("%s: %d calls, %d frames, a call took %v, at most %v", c.name, len(took), len(log.frames), took[len(took)/2], took[len(took)-1])
		})
	}
}

// A full queue blocks, in turn, and a blocked caller can give up or be closed.
func TestQueueBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, w := &memLog{}, &watcher{}
		p := New(log, []Consumer{w}, Options{QueueRecords: 3})
		var wg sync.WaitGroup
		wg.Go(func() { submit(t, p, events("u", "a", "b", "c", "d"), 4, 0) })
		synctest.Wait()
		wg.Go(func() { submit(t, p, events("u", "e"), 1, 0) })
		synctest.Wait()
		if n := p.Stats().Queued; n != 4 {
			t.Errorf("%d queued", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := p.Submit(ctx, events("u", "f")); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		stop := run(t, p)
		wg.Wait()
		stop()
		if n := len(w.all()); n != 5 {
			t.Errorf("%d applied", n)
		}

		p = New(log, nil, Options{QueueRecords: 1})
		for _, id := range []string{"x", "y"} {
			wg.Go(func() {
				// The first is finished, the second never got in.
				if _, err := p.Submit(t.Context(), events("u", id)); err != nil && !errors.Is(err, ErrClosed) {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		closed, cancel2 := context.WithCancel(t.Context())
		cancel2()
		if err := p.Run(closed); err != nil {
			t.Error(err)
		}
		wg.Wait()
	})
}

func TestLargeCalls(t *testing.T) {
	log, w := &memLog{}, &watcher{}
	p := New(log, []Consumer{w}, Options{})
	run(t, p)
	// Below the bound one call is one frame, however small FrameBytes is.
	var ids []string
	for i := range 10000 {
		ids = append(ids, strconv.Itoa(i))
	}
	submit(t, p, events("u", ids...), 10000, 0)
	if st := p.Stats(); st.Frames != 1 {
		t.Fatalf("%+v", st)
	}
	big := events("u", ids...)
	for i := range big {
		big[i].Event.EventID = ""
		big[i].Event.Props = strings.Repeat("x", 1000)
	}
	submit(t, p, big, 10000, 0)
	if st := p.Stats(); st.Frames != 4 || st.FrameBytes > 4*defaultCall {
		t.Fatalf("%+v", st)
	}
	equal(t, w.all(), log.records(t)...)
	big[3].Event.Props = strings.Repeat("x", defaultCall)
	if res, err := p.Submit(t.Context(), big); !errors.Is(err, ErrTooLarge) || res.Accepted != 0 {
		t.Fatal(res, err)
	}
}

// The codec must never write more than the pump believes.
func TestSizeBound(t *testing.T) {
	long := strings.Repeat("y", 300)
	records := []event.Record{
		{Kind: event.KindEvent},
		{Kind: event.KindEvent, Event: event.Event{
			UserID: "u", ItemID: "i", Type: "t", Time: -1 << 62, Value: 1.5, HasValue: true, EventID: "e", SessionID: "s", RequestID: "r",
			Position: 1 << 30, Scene: "c", Price: 2.5, HasPrice: true, Currency: "EUR", Props: long,
		}, Source: event.Source{Name: long, Partition: 1 << 30, Offset: -1 << 62}},
		{Kind: event.KindItemPatch, Item: event.Item{ID: long, Time: 1 << 62, ExpiresAt: 1 << 61, Attributes: []event.Attribute{
			{Name: "a", Value: event.Value{Kind: event.Number, Num: 0.1}},
			{Name: "b", Value: event.Value{Kind: event.Set, Set: []string{long, "z"}}},
			{Name: "c", Value: event.Value{Kind: event.String, Str: long}},
		}}},
	}
	for i := range records {
		var b frames.Builder
		empty := b.Size()
		b.Add(&records[i])
		if got, bound := b.Size()-empty, sizeBound(&records[i]); got > bound {
			t.Errorf("record %d takes %d bytes, bound %d", i, got, bound)
		}
	}
}

// Callers reuse their records at once; the consumers see log order; a model
// of the set of ids agrees with every answer. Run under -race.
func TestHammer(t *testing.T) {
	before := runtime.NumGoroutine()
	log, w := &memLog{}, &watcher{}
	p := New(log, []Consumer{w}, Options{FrameBytes: 3000, QueueRecords: 50})
	var n int
	var full bool
	log.set(func() (bool, error) {
		n++
		switch n % 7 {
		case 3:
			full = !full
			if full {
				return false, ErrBusFull
			}
			return true, errors.New("stored but broken")
		case 5:
			return false, errors.New("lost")
		}
		return true, nil
	}, nil)
	stop := run(t, p)
	var wg sync.WaitGroup
	var mu sync.Mutex
	accepted := map[string]int{}
	for c := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(c), 1))
			buf := make([]event.Record, 0, 10)
			for range 100 {
				buf = buf[:0]
				id := fmt.Sprint(rng.IntN(400))
				buf = append(buf, events(id, id)...)
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rng.IntN(2000))*time.Microsecond)
				res, err := p.Submit(ctx, buf)
				cancel()
				buf[0] = event.Record{}
				if err == nil {
					mu.Lock()
					accepted[id] += res.Accepted
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	stop()
	inLog := map[string]int{}
	for _, s := range log.records(t) {
		_, name, _ := strings.Cut(s, " ")
		id, _, _ := strings.Cut(name, "/")
		inLog[id]++
		if name != id+"/"+id {
			t.Errorf("mixed record %s", name)
		}
	}
	for id, n := range accepted {
		if n > 1 || inLog[id] != 1 {
			t.Errorf("%s: accepted %d times, %d in the log", id, n, inLog[id])
		}
	}
	for id, n := range inLog {
		if n != 1 || accepted[id] != 1 {
			t.Errorf("%s: %d in the log, accepted %d times", id, n, accepted[id])
		}
	}
	equal(t, w.all(), log.records(t)...)
	for wait := time.Millisecond; runtime.NumGoroutine() > before; wait *= 2 {
		if wait > 30*time.Second {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
		time.Sleep(wait)
	}
}

// A lone caller never waits for company; callers that come in step share a
// frame.
func TestGrouping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &memLog{delay: 2 * time.Millisecond}
		p := New(log, nil, Options{})
		stop := run(t, p)
		start := time.Now()
		for range 10 {
			submit(t, p, events("u", ""), 1, 0)
		}
		if took := time.Since(start); took != 20*time.Millisecond {
			t.Errorf("10 lone calls took %v", took)
		}
		var wg sync.WaitGroup
		frames := p.Stats().Frames
		for range 16 {
			wg.Go(func() {
				for range 10 {
					submit(t, p, events("u", ""), 1, 0)
				}
			})
		}
		wg.Wait()
		if n := p.Stats().Frames - frames; n > 13 {
			t.Errorf("160 calls of 16 callers made %d frames", n)
		}
		stop()
	})
}
