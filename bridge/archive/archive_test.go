package archive

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vitrine/bridge/event"
	"vitrine/bridge/parquet"
)

const day0 = 1_700_006_400_000 // 2023-11-15, midnight

func open(t testing.TB, dir string) *Archive {
	t.Helper()
	a, err := Open(context.Background(), Options{Dir: dir})
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

func user(id, region string) event.Record {
	return event.Record{Kind: event.KindUserPut, User: event.User{ID: id, Time: day0, Attributes: []event.Attribute{
		{Name: "region", Value: event.Value{Kind: event.String, Str: region}},
	}}}
}

// served is a list of two items, or of none.
func served(request string, ts int64, items ...string) event.Record {
	s := &event.Served{RequestID: request, UserID: "u1", Time: ts, List: "recommend", Source: "live"}
	for _, id := range items {
		s.Items = append(s.Items, event.ServedItem{ID: id, Score: 1})
	}
	return event.Record{Kind: event.KindServed, Served: s}
}

// commit archives the records, one bus message each.
func commit(t testing.TB, a *Archive, records ...event.Record) {
	t.Helper()
	b, err := a.Begin(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for i := range records {
		if err := b.Add(b.First()+uint64(i), &records[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Commit(context.Background(), b.First()+uint64(len(records))-1); err != nil {
		t.Fatal(err)
	}
}

// eventIDs scans the archive and gives the ids in order.
func eventIDs(t testing.TB, a *Archive) []string {
	t.Helper()
	var ids []string
	err := a.ScanEvents(context.Background(), parquet.EventID, func(b *EventBatch) error {
		ids = append(ids, b.EventID...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func itemIDs(t testing.TB, a *Archive) []string {
	t.Helper()
	var ids []string
	err := a.ScanItems(context.Background(), func(r *event.Record) error {
		ids = append(ids, r.Item.ID)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func userIDs(t testing.TB, a *Archive) []string {
	t.Helper()
	var ids []string
	err := a.ScanUsers(context.Background(), func(r *event.Record) error {
		ids = append(ids, r.User.ID)
		return nil
	})
	if err != nil {
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

func TestCommitAndScan(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	commit(t, a, view("u1", "i1", "b1", day0+dayMillis+5), put("i1", 3), view("u1", "i2", "a1", day0+9))
	commit(t, a, view("u2", "i1", "a2", day0+1), put("i2", 4), view("u2", "i3", "old", -1), user("u9", "north"), user("u2", "south"))
	commit(t, a, served("r1", day0, "i1", "i2"), served("r2", day0+dayMillis), served("r3", day0+2, "i3"))
	for _, reader := range []*Archive{a, open(t, dir)} {
		equal(t, "events", eventIDs(t, reader), []string{"old", "a1", "a2", "b1"})
		equal(t, "items", itemIDs(t, reader), []string{"i1", "i2"})
		equal(t, "users", userIDs(t, reader), []string{"u9", "u2"})
		if reader.Position() != 11 {
			t.Fatalf("position %d, want 11", reader.Position())
		}
		sum, err := reader.Summary(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if sum.Bytes == 0 {
			t.Fatal("no bytes")
		}
		sum.Bytes = 0
		if want := (Summary{Position: 11, Files: 9, Events: 4, ItemChanges: 2, UserChanges: 2, Served: 4, Oldest: -1, Newest: day0 + dayMillis + 5}); sum != want {
			t.Fatalf("got %+v, want %+v", sum, want)
		}
	}
	if news, err := a.News(); news != 8 || err != nil {
		t.Errorf("the newest commit with more than served lists ends at %d, want 8; %v", news, err)
	}
	for _, name := range []string{
		"events/dt=1969-12-31/b00000000000000000004-00000000000000000008.parquet",
		"events/dt=2023-11-15/b00000000000000000001-00000000000000000003.parquet",
		"events/dt=2023-11-16/b00000000000000000001-00000000000000000003.parquet",
		"items/b00000000000000000001-00000000000000000003.parquet",
		"users/b00000000000000000004-00000000000000000008.parquet",
		"served/dt=2023-11-15/b00000000000000000009-00000000000000000011.parquet",
		"served/dt=2023-11-16/b00000000000000000009-00000000000000000011.parquet",
	} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

func TestDuplicatesPerDate(t *testing.T) {
	a := open(t, t.TempDir())
	commit(t, a, view("u1", "first", "x", day0), view("u1", "other", "x", day0+1), view("u1", "none", "", day0), view("u1", "none", "", day0))
	commit(t, a, view("u1", "late", "x", day0+2), view("u1", "next day", "x", day0+dayMillis), view("u1", "new", "y", day0))
	var items []string
	err := a.ScanEvents(t.Context(), parquet.ItemID|parquet.Time, func(b *EventBatch) error {
		if b.EventID != nil || len(b.Time) != b.Len {
			t.Fatal("the batch has other columns than the wanted ones")
		}
		for i := range b.Len {
			items = append(items, b.ItemID.At(i))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "items", items, []string{"first", "none", "none", "new", "next day"})
}

func TestBatchRefuses(t *testing.T) {
	a := open(t, t.TempDir())
	b, err := a.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := view("u", "i", "", day0)
	if b.Add(0, &r) == nil {
		t.Error("took a sequence before its first")
	}
	if b.Add(5, &r) != nil || b.Add(4, &r) == nil {
		t.Error("took a sequence after a later one")
	}
	if b.Add(6, &event.Record{Kind: 77}) == nil {
		t.Error("took a record of an unknown kind")
	}
	if b.Commit(t.Context(), 3) == nil {
		t.Error("ended before its newest record")
	}
	if err := b.Commit(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	if b.Commit(t.Context(), 5) == nil {
		t.Error("committed twice")
	}
	ro, err := OpenReadOnly(t.Context(), Options{Dir: a.dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ro.Begin(t.Context()); err == nil {
		t.Error("a reader began a commit")
	}
}

// errCrash stands for the end of the process.
var errCrash = errors.New("crash")

// TestCrashAtEveryStep fails the second of three commits at each of its steps
// in turn, reopens the folder as after a crash, or goes on in the same process
// as after a full disk, and feeds the rest from the bus: nothing may be lost
// or doubled.
func TestCrashAtEveryStep(t *testing.T) {
	for _, reopen := range []bool{true, false} {
		for fail := 1; ; fail++ {
			step := crashOnce(t, fail, reopen)
			if step == "" {
				if fail < 12 {
					t.Fatalf("a commit has only %d steps", fail-1)
				}
				break
			}
		}
	}
}

func crashOnce(t *testing.T, fail int, reopen bool) (failed string) {
	dir := t.TempDir()
	a := open(t, dir)
	log := []event.Record{
		view("u1", "i1", "e1", day0), put("i1", 1), view("u1", "i1", "e3", day0+dayMillis),
		view("u2", "i1", "e4", day0+1), view("u2", "i2", "e5", day0+2*dayMillis), put("i2", 2),
		user("u2", "north"), view("u3", "i1", "e7", day0+2), view("u3", "i2", "e8", day0+dayMillis+3),
	}
	commit(t, a, log[:3]...)
	steps := 0
	var mu sync.Mutex // files are staged side by side
	a.fault = func(step string) error {
		mu.Lock()
		defer mu.Unlock()
		if steps++; steps == fail {
			failed = step
			return errCrash
		}
		return nil
	}
	b, err := a.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := 3; i < 7; i++ {
		if err := b.Add(uint64(i+1), &log[i]); err != nil {
			t.Fatal(err)
		}
	}
	list := served("r1", day0, "i1", "i2")
	if err := b.Add(7, &list); err != nil {
		t.Fatal(err)
	}
	if err := b.Commit(t.Context(), 7); (failed != "") != errors.Is(err, errCrash) {
		t.Fatalf("step %q: %v", failed, err)
	}
	reader, err := OpenReadOnly(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatalf("step %q: %v", failed, err)
	}
	if n := len(eventIDs(t, reader)); n != map[uint64]int{3: 2, 7: 4}[reader.Position()] {
		t.Fatalf("step %q: a reader at position %d sees %d events", failed, reader.Position(), n)
	}
	a.fault = nil
	if reopen {
		a = open(t, dir)
	}
	if b, err = a.Begin(t.Context()); err != nil {
		t.Fatalf("step %q: %v", failed, err)
	}
	for seq := a.Position() + 1; seq <= uint64(len(log)); seq++ {
		if err := b.Add(seq, &log[seq-1]); err != nil {
			t.Fatal(err)
		}
		if seq == 7 {
			if err := b.Add(seq, &list); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := b.Commit(t.Context(), uint64(len(log))); err != nil {
		t.Fatalf("step %q: %v", failed, err)
	}
	for _, a := range []*Archive{a, open(t, dir)} {
		equal(t, "after "+failed, eventIDs(t, a), []string{"e1", "e4", "e7", "e3", "e8", "e5"})
		equal(t, "after "+failed, itemIDs(t, a), []string{"i1", "i2"})
		equal(t, "after "+failed, userIDs(t, a), []string{"u2"})
		if sum, err := a.Summary(t.Context()); err != nil || sum.Served != 2 {
			t.Fatalf("after %q there are %d places of served lists, %v", failed, sum.Served, err)
		}
	}
	for _, left := range []string{"_staging/*", "_commits/*.tmp"} {
		if names, _ := filepath.Glob(filepath.Join(dir, left)); len(names) > 0 {
			t.Fatalf("after %q these are left: %v", failed, names)
		}
	}
	return failed
}

func TestOpenNamesWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(dir string) error
		want  string
	}{
		"torn manifest": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, commitsDir, spanName(1, 1)+".json"), []byte("{"), 0o600)
		}, spanName(1, 1)},
		"newer manifest": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, commitsDir, spanName(1, 1)+".json"), []byte(`{"schema":2}`), 0o600)
		}, "newer"},
		"hostile path": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, commitsDir, spanName(1, 1)+".json"),
				[]byte(`{"schema":1,"first":1,"last":1,"files":[{"staged":"_staging/x","path":"../`+fileName(1, 1)+`"}]}`), 0o600)
		}, "no place"},
		"lost file": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, commitsDir, spanName(2, 2)+".json"),
				[]byte(`{"schema":1,"first":2,"last":2,"files":[{"staged":"_staging/x","path":"items/`+fileName(2, 2)+`"}]}`), 0o600)
		}, "neither staged nor"},
	} {
		dir := t.TempDir()
		commit(t, open(t, dir), view("u", "i", "e", day0))
		if err := c.spoil(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want a word of %q", name, err, c.want)
		}
	}
}

func TestPositionWithoutManifests(t *testing.T) {
	dir := t.TempDir()
	commit(t, open(t, dir), view("u", "i", "e", day0), put("i", 1))
	if err := os.RemoveAll(filepath.Join(dir, commitsDir)); err != nil {
		t.Fatal(err)
	}
	if got := open(t, dir).Position(); got != 2 {
		t.Fatalf("position %d, want 2", got)
	}
}

func TestManifestsArePruned(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	for i := range manifestsKept + 3 {
		commit(t, a, view("u", "i", fmt.Sprint("e", i), day0))
	}
	names, err := a.manifestNames()
	if err != nil || len(names) != manifestsKept {
		t.Fatalf("%d manifests are left: %v", len(names), err)
	}
	if n := len(eventIDs(t, open(t, dir))); n != manifestsKept+3 {
		t.Fatalf("%d events", n)
	}
}

// TestReadersBesideTheWriter: every scan sees a prefix of the log that ends at
// its position, however the commits run beside it.
func TestReadersBesideTheWriter(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	var stop atomic.Bool
	done := make(chan error, 2)
	for range cap(done) {
		go func() {
			scans := 0
			for !stop.Load() || scans == 0 {
				if err := readPrefix(t.Context(), dir); err != nil {
					done <- err
					return
				}
				scans++
			}
			done <- nil
		}()
	}
	for i := range 12 {
		commit(t, a, view("u", "i", fmt.Sprint("a", i), day0), put("i", 1), view("u", "i", fmt.Sprint("b", i), day0+int64(i%3)*dayMillis))
	}
	stop.Store(true)
	for range cap(done) {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

func readPrefix(ctx context.Context, dir string) error {
	a, err := OpenReadOnly(ctx, Options{Dir: dir})
	if err != nil {
		return err
	}
	events := 0
	if err := a.ScanEvents(ctx, parquet.BusSeq, func(b *EventBatch) error { events += b.Len; return nil }); err != nil {
		return err
	}
	items := 0
	if err := a.ScanItems(ctx, func(*event.Record) error { items++; return nil }); err != nil {
		return err
	}
	if n := int(a.Position() / 3); events != 2*n || items != n {
		return fmt.Errorf("at position %d a scan saw %d events and %d items", a.Position(), events, items)
	}
	return nil
}

func TestScanLeavesOutAVanishedFile(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	commit(t, a, view("u", "i", "e1", day0), view("u", "i", "e2", day0+dayMillis))
	var ids []string
	err := a.ScanEvents(t.Context(), parquet.EventID, func(b *EventBatch) error {
		ids = append(ids, b.EventID...)
		return os.RemoveAll(filepath.Join(dir, eventsDir, "dt=2023-11-16"))
	})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "events", ids, []string{"e1"})
}

func TestDayNames(t *testing.T) {
	for ms, want := range map[int64]string{
		0: "dt=1970-01-01", -1: "dt=1969-12-31", dayMillis - 1: "dt=1970-01-01", dayMillis: "dt=1970-01-02",
		day0: "dt=2023-11-15", -dayMillis: "dt=1969-12-31", -dayMillis - 1: "dt=1969-12-30",
	} {
		if got := dayName(dayOf(ms)); got != want {
			t.Errorf("%d (%s): got %s, want %s", ms, time.UnixMilli(ms).UTC(), got, want)
		}
	}
}
