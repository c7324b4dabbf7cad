package state

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/appliance/frame"
	"vitrine/appliance/signal"
	"vitrine/bridge/archive"
	"vitrine/bridge/archive/follow"
	"vitrine/bridge/event"
	"vitrine/bridge/jetstream"
)

// world is a data folder whose state is opened again and again.
type world struct {
	t        testing.TB
	dir      string
	signal   *signal.Signal
	archive  *archive.Archive
	bus      *jetstream.Bus
	follower *follow.Follower
	log      bytes.Buffer
	rng      *rand.Rand
	given    int
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, dir: t.TempDir(), rng: rand.New(rand.NewPCG(1, 2))}
	var err error
	if w.signal, err = signal.New(signal.Config{MaxItems: 20, MaxEvents: 40}); err != nil {
		t.Fatal(err)
	}
	if w.archive, err = archive.Open(t.Context(), archive.Options{Dir: filepath.Join(w.dir, "archive")}); err != nil {
		t.Fatal(err)
	}
	if w.bus, err = jetstream.Open(t.Context(), jetstream.Options{Dir: filepath.Join(w.dir, "bus")}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.bus.Close() })
	w.follower = follow.New(w.archive, w.bus, follow.Options{})
	return w
}

func (w *world) options(dir string) Options {
	return Options{
		Dir: filepath.Join(w.dir, dir), Signal: w.signal, Archive: w.archive, Bus: w.bus, DedupWindow: time.Hour,
		Log: slog.New(slog.NewTextHandler(&w.log, nil)),
	}
}

func (w *world) open(opt Options) *State {
	w.t.Helper()
	s, err := Open(w.t.Context(), opt)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// feed lets n records of all kinds come, in many frames; during is called in
// the middle of them.
func (w *world) feed(s *State, n int, during func()) {
	w.t.Helper()
	ctx, stop := context.WithCancel(w.t.Context())
	var run sync.WaitGroup
	run.Go(func() { _ = s.Pump.Run(ctx) })
	for i := range n / 20 {
		if i == n/40 && during != nil {
			during()
		}
		var records []event.Record
		send := func() {
			if _, err := s.Pump.Submit(ctx, records); err != nil {
				w.t.Fatal(err)
			}
			records = records[:0]
		}
		for range 20 {
			r := w.record()
			if records = append(records, r); r.Kind == event.KindUserErase || r.Kind == event.KindUserMerge {
				// A scan takes what came in one frame with it as before it.
				send()
			}
		}
		send()
	}
	stop()
	run.Wait()
}

const firstEvent = 1_700_000_000_000

// seenByGone are items that a scan of the log need not know.
const seenByGone = "seen by the gone "

func (w *world) record() event.Record {
	w.given++
	now := int64(firstEvent + w.given*60_000)
	user, item := fmt.Sprint("u", w.rng.IntN(80)), fmt.Sprint("i", w.rng.IntN(100))
	switch w.rng.IntN(40) {
	case 0:
		return event.Record{Kind: event.KindItemPut, Item: event.Item{ID: item, Time: now, Attributes: []event.Attribute{
			{Name: "price", Value: event.Value{Kind: event.Number, Num: float64(w.given)}},
		}}}
	case 1:
		return event.Record{Kind: event.KindItemPatch, Item: event.Item{ID: item, Time: now, Attributes: []event.Attribute{
			{Name: "brand", Value: event.Value{Kind: event.String, Str: fmt.Sprint(w.given % 7)}},
		}}}
	case 2:
		return event.Record{Kind: event.KindItemDelete, Item: event.Item{ID: item, Time: now}}
	case 3:
		return event.Record{Kind: event.KindUserPut, User: event.User{ID: user, Time: now, Attributes: []event.Attribute{
			{Name: "region", Value: event.Value{Kind: event.String, Str: fmt.Sprint(w.given % 5)}},
		}}}
	case 4:
		// Who is erased looks at nothing else: a scan of the log does not count
		// what he did for popularity, a running appliance goes on to.
		return event.Record{Kind: event.KindUserErase, User: event.User{ID: fmt.Sprint("gone", w.rng.IntN(5)), Time: now}}
	case 5:
		return event.Record{Kind: event.KindUserMerge, User: event.User{ID: fmt.Sprint("guest", w.rng.IntN(5)), Into: user, Time: now}}
	case 6:
		user, item = fmt.Sprint("gone", w.rng.IntN(5)), fmt.Sprint(seenByGone, w.rng.IntN(5))
	case 7:
		user = fmt.Sprint("guest", w.rng.IntN(5))
	}
	e := event.Event{
		UserID: user, ItemID: item, Type: []string{"view", "cart", "purchase", "remove"}[w.rng.IntN(4)],
		Time: now - int64(w.rng.IntN(3))*86_400_000, EventID: fmt.Sprint("e", w.given),
	}
	return event.Record{Kind: event.KindEvent, Event: e}
}

// answers is what a state answers from, in words.
func answers(s *State) map[string]string {
	out := map[string]string{}
	for code := range uint32(s.Catalog.NumUsers()) {
		id := s.Catalog.UserID(code)
		var b strings.Builder
		history, _ := s.Profile.History(code, nil)
		for _, in := range history {
			fmt.Fprintln(&b, s.Catalog.ItemID(in.Item), in.Time, in.Type, in.Value, in.ID)
		}
		at, erased := s.Catalog.Erased(id)
		user, known := s.Catalog.User(code)
		fmt.Fprintln(&b, at, erased, user.Attributes, known)
		out["user "+id] = b.String()
	}
	for code := range uint32(s.Catalog.NumItems()) {
		it, known := s.Catalog.Item(code)
		if strings.HasPrefix(s.Catalog.ItemID(code), seenByGone) {
			continue
		}
		out["item "+s.Catalog.ItemID(code)] = fmt.Sprint(it, known, s.Catalog.Deleted(code), s.Catalog.Listed(code))
	}
	var latest frame.Frame
	s.Catalog.Latest(50, 0, &latest)
	for _, item := range latest.Items {
		out["latest"] += s.Catalog.ItemID(item) + " "
	}
	out["counts"] = fmt.Sprint(s.Profile.Newest(), s.Pump.Stats().Last, s.Pump.Stats().Remembered)
	return out
}

func popular(s *State) map[string]float64 {
	out := map[string]float64{}
	for list, ask := range map[string]func(int, *frame.Frame){"popular ": s.Profile.Popular, "rising ": s.Profile.Trending} {
		var f frame.Frame
		ask(1000, &f)
		for j, item := range f.Items {
			if id := s.Catalog.ItemID(item); !strings.HasPrefix(id, seenByGone) {
				out[list+id] = float64(f.Scores[j])
			}
		}
	}
	return out
}

// equal compares two states by what they answer.
func equal(t testing.TB, what string, got, want *State) {
	t.Helper()
	a, b := answers(got), answers(want)
	if len(a) != len(b) {
		t.Errorf("%s: %d answers, want %d", what, len(a), len(b))
	}
	for name := range b {
		if a[name] != b[name] {
			t.Fatalf("%s: %s:\n%s\nwant:\n%s", what, name, a[name], b[name])
		}
	}
	x, y := popular(got), popular(want)
	if len(x) != len(y) || len(y) == 0 {
		t.Fatalf("%s: %d popular items, want %d", what, len(x), len(y))
	}
	for name, score := range y {
		if math.Abs(x[name]-score) > 1e-5*(1+math.Abs(score)) {
			t.Fatalf("%s: %s %v, want %v", what, name, x[name], score)
		}
	}
}

// TestRestoreEqualsScan: a start from a snapshot of any age, with what came
// after it in the archive and on the bus, answers as one that reads everything,
// and knows the same event ids.
func TestRestoreEqualsScan(t *testing.T) {
	w := newWorld(t)
	running := w.open(w.options("a"))
	flush := func() {
		if err := w.follower.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	save := func() {
		if err := running.Save(t.Context()); err != nil {
			t.Error(err)
		}
	}
	w.feed(running, 2000, save) // while frames come
	flush()
	running = w.open(w.options("a"))
	w.feed(running, 1000, flush)
	save() // ahead of the archive
	check := func(what string) {
		t.Helper()
		restored, scanned := w.open(w.options("a")), w.open(w.options(t.Name()+what))
		if restored.since == scanned.since && w.archive.Position() > 0 && restored.position.Load() == 0 {
			t.Fatalf("%s: no snapshot was used", what)
		}
		equal(t, what, restored, scanned)
		equal(t, what+", running", running, restored)
	}
	check("snapshot ahead of the archive")
	flush()
	check("snapshot at the archive's end")
	running = w.open(w.options("a"))
	w.feed(running, 1000, flush)
	check("tail in the archive and on the bus")

	restored := w.open(w.options("a"))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() { _ = restored.Pump.Run(ctx) }()
	duplicates := 0
	for i := range w.given {
		r := event.Record{Kind: event.KindEvent, Event: event.Event{UserID: "x", ItemID: "y", Type: "view", Time: 1, EventID: fmt.Sprint("e", i+1)}}
		if i%40 != 0 {
			continue
		}
		res, err := restored.Pump.Submit(ctx, []event.Record{r})
		if err != nil {
			t.Fatal(err)
		}
		duplicates += res.Duplicate
	}
	if most := w.given / 40; duplicates < most*3/4 {
		t.Errorf("%d of %d event ids are known", duplicates, most)
	}
}

// TestUnusable: what cannot be used is told in one line and replaced by the one
// before, then by the log.
func TestUnusable(t *testing.T) {
	w := newWorld(t)
	s := w.open(w.options("a"))
	for range 3 {
		w.feed(s, 200, nil)
		if err := s.Save(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := w.follower.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		s = w.open(w.options("a"))
	}
	files, err := filepath.Glob(filepath.Join(w.dir, "a", "*"))
	if err != nil || len(files) != filesKept {
		t.Fatalf("%v, %v", files, err)
	}
	scanned := w.open(w.options("scan"))
	newest, before := files[1], files[0]
	whole, err := os.ReadFile(newest)
	if err != nil {
		t.Fatal(err)
	}
	spoil := func(path string, data []byte) {
		t.Helper()
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	used := func(what string, path, line string) {
		t.Helper()
		w.log.Reset()
		s := w.open(w.options("a"))
		if got := s.position.Load(); path == "" && got != 0 || path != "" && fileName(got) != filepath.Base(path) {
			t.Fatalf("%s: the snapshot of %d was used, want %q", what, got, path)
		}
		equal(t, what, s, scanned)
		if n := strings.Count(w.log.String(), "level=WARN"); line != "" && (n != 1 || !strings.Contains(w.log.String(), line)) {
			t.Fatalf("%s: %s", what, w.log.String())
		}
	}
	used("whole", newest, "")
	for what, data := range map[string][]byte{
		"torn": whole[:len(whole)/2], "torn at the end": whole[:len(whole)-3], "longer": append(bytes.Clone(whole), 0), "empty": nil,
	} {
		spoil(newest, data)
		used(what, before, "is damaged")
		if _, err := os.Stat(newest); err == nil {
			t.Fatalf("%s: it is still there", what)
		}
	}
	flipped := bytes.Clone(whole)
	tries := 20
	if testing.Short() {
		tries = 3
	}
	for range tries {
		at := w.rng.IntN(len(flipped))
		flipped[at] ^= 1 << w.rng.IntN(8)
		spoil(newest, flipped)
		used(fmt.Sprint("flipped at ", at), before, "is damaged")
		copy(flipped, whole)
	}
	spoil(newest+tempSuffix, whole)
	spoil(newest, whole)
	opt := w.options("a")
	opt.DedupWindow *= 2
	if s := w.open(opt); s.position.Load() != 0 {
		t.Error("a snapshot of other settings was used")
	}
	used("after other settings", newest, "")
	if _, err := os.Stat(newest + tempSuffix); err == nil {
		t.Error("an unfinished snapshot is still there")
	}
	ahead := filepath.Join(w.dir, "a", fileName(s.Pump.Stats().Last+5))
	spoil(ahead, bytes.Replace(whole, []byte(fmt.Sprint(`"position":`, s.position.Load())), []byte(fmt.Sprint(`"position":`, s.Pump.Stats().Last+5)), 1))
	used("a head of another position", newest, "is damaged")
	spoil(newest, nil)
	spoil(before, nil)
	s = w.open(w.options("a"))
	if s.position.Load() != 0 {
		t.Error("an empty snapshot was used")
	}
	equal(t, "none left", s, scanned)
}

// TestAhead: a log that was emptied has the last word.
func TestAhead(t *testing.T) {
	w := newWorld(t)
	s := w.open(w.options("a"))
	w.feed(s, 100, nil)
	if err := s.Save(t.Context()); err != nil {
		t.Fatal(err)
	}
	other := newWorld(t)
	opt := w.options("a")
	opt.Archive, opt.Bus = other.archive, other.bus
	if s = w.open(opt); s.position.Load() != 0 || s.Catalog.NumUsers() != 0 || !strings.Contains(w.log.String(), "ahead of the log") {
		t.Errorf("%d users from a snapshot at %d: %s", s.Catalog.NumUsers(), s.position.Load(), w.log.String())
	}
	if files, _ := filepath.Glob(filepath.Join(w.dir, "a", "*")); len(files) != 0 {
		t.Errorf("%v are still there", files)
	}
}

func FuzzReader(f *testing.F) {
	w := newWorld(f)
	s := w.open(w.options("a"))
	w.feed(s, 60, nil)
	if err := s.Save(f.Context()); err != nil {
		f.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(w.dir, "a", fileName(s.position.Load())))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:len(data)-12])
	f.Fuzz(func(_ *testing.T, data []byte) {
		r, err := newReader(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		take := func([]byte) error { return nil }
		_ = r.each(context.Background(), map[part]func([]byte) error{partCatalog: take, partProfile: take, partWindow: take})
	})
}

// TestGently: of the time that passes while a snapshot is written, a quarter is
// work, but a halt of the machine is none.
func TestGently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pace := gently(t.Context())
		for _, c := range []struct{ work, rest time.Duration }{{10 * time.Millisecond, 30 * time.Millisecond}, {time.Hour, 3 * maxPiece}} {
			time.Sleep(c.work)
			begin := time.Now()
			if err := pace(); err != nil || time.Since(begin) != c.rest {
				t.Errorf("behind %v it rests for %v, %v", c.work, time.Since(begin), err)
			}
		}
	})
}
