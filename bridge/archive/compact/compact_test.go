package compact

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vitrine/bridge/archive"
	"vitrine/bridge/archive/parts"
	"vitrine/bridge/event"
	"vitrine/bridge/parquet"
)

const (
	dayMillis = 24 * 60 * 60 * 1000
	day0      = 1_700_006_400_000 // 2023-11-15, midnight
)

// world is an archive and a clock that stands well behind its days.
type world struct {
	t   testing.TB
	dir string
	now time.Time
	opt Options
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), now: time.UnixMilli(day0 + 30*dayMillis)}
	w.opt = Options{Archive: w.open(), Now: func() time.Time { return w.now }, Quiet: time.Minute}
	return w
}

func (w *world) open() *archive.Archive {
	w.t.Helper()
	a, err := archive.Open(context.Background(), archive.Options{Dir: w.dir})
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func view(user, id string, ts int64) event.Record {
	return event.Record{Kind: event.KindEvent, Event: event.Event{
		UserID: user, ItemID: "i1", Type: "view", Time: ts, EventID: id, SessionID: "s-" + user, Value: 2, HasValue: id != "",
		Props: `{"a":1}`,
	}, Source: event.Source{Name: "topic@a", Partition: 3, Offset: ts % 1000}}
}

// commit archives the records, one bus message each.
func (w *world) commit(records ...event.Record) {
	w.t.Helper()
	b, err := w.opt.Archive.Begin(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	for i := range records {
		if err := b.Add(b.First()+uint64(i), &records[i]); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := b.Commit(context.Background(), b.First()+uint64(len(records))-1); err != nil {
		w.t.Fatal(err)
	}
}

// fill commits n times two days' events and a change of an item and a user.
func (w *world) fill(n int) {
	w.t.Helper()
	for i := range n {
		w.commit(
			view(fmt.Sprint("u", i%5), fmt.Sprint("a", i), day0+int64(i)),
			view(fmt.Sprint("u", i%5), fmt.Sprint("b", i), day0+dayMillis+int64(i)),
			view("nobody", "", day0+int64(i)),
			event.Record{Kind: event.KindServed, Served: &event.Served{RequestID: fmt.Sprint("r", i), UserID: "u1", Time: day0 + int64(i), List: "recommend", Source: "live"}},
			event.Record{Kind: event.KindItemPut, Item: event.Item{ID: fmt.Sprint("i", i), Time: day0}},
			event.Record{Kind: event.KindUserPut, User: event.User{ID: fmt.Sprint("u", i), Time: day0}},
		)
	}
}

// content is all that readers see, in order, with every column that they can read.
func content(t testing.TB, a *archive.Archive) (rows []string) {
	t.Helper()
	columns := parquet.UserID | parquet.ItemID | parquet.EventType | parquet.Time | parquet.Value | parquet.EventID | parquet.BusSeq | parquet.SessionID
	err := a.ScanEvents(context.Background(), columns, func(b *archive.EventBatch) error {
		for i := range b.Len {
			rows = append(rows, fmt.Sprint(b.UserID.At(i), b.ItemID.At(i), b.EventType.At(i), b.Time[i], b.Value[i], b.EventID[i], b.BusSeq[i], b.SessionID[i]))
		}
		return nil
	})
	if err == nil {
		err = a.ScanItemsAfter(context.Background(), 0, func(seq uint64, r *event.Record) error {
			rows = append(rows, fmt.Sprint(seq, *r))
			return nil
		})
	}
	if err == nil {
		err = a.ScanUsersAfter(context.Background(), 0, func(seq uint64, r *event.Record) error {
			rows = append(rows, fmt.Sprint(seq, *r))
			return nil
		})
	}
	sum, sumErr := a.Summary(context.Background())
	if err != nil || sumErr != nil {
		t.Fatal(err, sumErr)
	}
	return append(rows, fmt.Sprint("served ", sum.Served))
}

// files lists the data files below the root, and what lies in _compact.
func (w *world) files() (data, left []string) {
	w.t.Helper()
	err := filepath.WalkDir(w.dir, func(path string, d os.DirEntry, err error) error {
		rel, _ := filepath.Rel(w.dir, path)
		if err == nil && strings.HasPrefix(rel, "_compact/") {
			left = append(left, rel)
		} else if err == nil && strings.HasSuffix(rel, ".parquet") && !strings.HasPrefix(rel, "_") {
			data = append(data, rel)
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return data, left
}

func (w *world) pass() *Compactor {
	w.t.Helper()
	c := New(w.opt)
	if err := c.Pass(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	return c
}

// later makes what was written look older than it is.
func (w *world) later() { w.now = time.Now().Add(time.Hour) }

func TestMerge(t *testing.T) {
	w := newWorld(t)
	w.later()
	w.fill(10)
	w.commit(view("u0", "a0", day0), view("other", "b3", day0+dayMillis+3)) // repeat events
	before := content(t, w.opt.Archive)
	c := w.pass()
	after := content(t, w.opt.Archive)
	if !slices.Equal(before, after) {
		t.Fatalf("before\n%s\nafter\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
	data, left := w.files()
	// The days are quiet; items and users, of no date, wait for more files.
	if len(data) != 3+20 || len(left) != 0 {
		t.Fatalf("files %v, left %v", data, left)
	}
	if s := c.Stats(); s.Merged != 32 || s.Written != 3 || s.Repeats != 2 || s.Files != 23 || s.Dates != 2 || s.Oldest.UnixMilli() != day0 || s.Passes != 1 || s.Failed != 0 {
		t.Fatalf("%+v", s)
	}
	w.fill(60)
	before = content(t, w.opt.Archive)
	if w.pass(); !slices.Equal(before, content(t, w.open())) {
		t.Fatal("a second merge changed what readers see")
	}
	if data, _ := w.files(); len(data) != 5 {
		t.Fatalf("files %v", data)
	}
	if s := w.pass().Stats(); s.Merged != 0 {
		t.Fatalf("a third pass found work: %+v", s)
	}
}

// TestRepeatsGoFromFiles: whoever reads the files by a glob sees no event twice.
func TestRepeatsGoFromFiles(t *testing.T) {
	w := newWorld(t)
	w.later()
	w.commit(view("u1", "e1", day0), view("u1", "e1", day0+5), view("u1", "", day0+6))
	w.commit(view("u2", "e1", day0+9), view("u2", "e2", day0+9), view("u1", "", day0+6))
	w.pass()
	data, _ := w.files()
	if len(data) != 1 {
		t.Fatalf("files %v", data)
	}
	f, err := w.opt.Archive.OpenData(data[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if info := f.Info(); info.Rows != 4 || info.Commit.First != 1 || info.Commit.Last != 6 {
		t.Fatalf("%+v", info)
	}
}

func TestPlan(t *testing.T) {
	file := func(n int, bytes int64) archive.DataFile {
		return archive.DataFile{Path: fmt.Sprint("x/", n), First: uint64(n), Last: uint64(n), Bytes: bytes, Written: time.UnixMilli(day0)}
	}
	many := func(n int) (files []archive.DataFile) {
		for i := range n {
			files = append(files, file(i, 10))
		}
		return files
	}
	day := time.UnixMilli(day0).UTC()
	for name, c := range map[string]struct {
		folder archive.Folder
		now    time.Time
		want   []int
	}{
		"a day that is over": {archive.Folder{Dated: true, Date: day, Files: many(3)}, day.Add(25 * time.Hour), []int{3}},
		"today":              {archive.Folder{Dated: true, Date: day, Files: many(3)}, day.Add(23 * time.Hour), nil},
		"today, many":        {archive.Folder{Dated: true, Date: day, Files: many(9)}, day.Add(23 * time.Hour), []int{9}},
		"just over":          {archive.Folder{Dated: true, Date: day, Files: many(3)}, day.Add(24*time.Hour + time.Second), nil},
		"no date":            {archive.Folder{Files: many(7)}, day.Add(25 * time.Hour), nil},
		"no date, many":      {archive.Folder{Files: many(8)}, day.Add(25 * time.Hour), []int{8}},
		"large ones stay": {
			archive.Folder{Dated: true, Date: day, Files: append(append(many(2), file(2, 600)), many(3)...)}, day.Add(25 * time.Hour), []int{2, 3},
		},
		"up to the bound": {
			archive.Folder{Dated: true, Date: day, Files: []archive.DataFile{file(0, 400), file(1, 400), file(2, 400), file(3, 400), file(4, 400)}},
			day.Add(25 * time.Hour),
			[]int{2, 2},
		},
		"a late file": {
			archive.Folder{Dated: true, Date: day, Files: append(many(2), archive.DataFile{Bytes: 10, Written: day.Add(25 * time.Hour)})},
			day.Add(25 * time.Hour), nil,
		},
	} {
		var got []int
		for _, run := range New(Options{Files: 8, Bytes: 1000, Quiet: time.Minute, Now: func() time.Time { return c.now }}).plan(&c.folder) {
			got = append(got, len(run))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: runs of %v, want %v", name, got, c.want)
		}
	}
}

func TestRetention(t *testing.T) {
	w := newWorld(t)
	w.fill(3)
	w.now = time.UnixMilli(day0 + 5*dayMillis)
	w.opt.Retention = 4*24*time.Hour + time.Second // the first date is not all behind it
	if s := w.pass().Stats(); s.Dropped != 0 || s.Dates != 2 {
		t.Fatalf("%+v", s)
	}
	w.opt.Retention = 4 * 24 * time.Hour
	if s := w.pass().Stats(); s.Dropped != 2 || s.Dates != 1 || s.Oldest.UnixMilli() != day0+dayMillis {
		t.Fatalf("%+v", s)
	}
	if rows := content(t, w.open()); len(rows) != 10 { // one event and two changes a commit
		t.Fatalf("rows %v", rows)
	}
	if _, left := w.files(); len(left) != 0 {
		t.Fatalf("left %v", left)
	}
}

// TestReadersKeepTheirFiles: a reader that has listed the files reads all of them,
// however long it takes; the merge waits and comes through.
func TestReadersKeepTheirFiles(t *testing.T) {
	w := newWorld(t)
	w.later()
	w.fill(5)
	reader, err := archive.OpenReadOnly(t.Context(), archive.Options{Dir: w.dir})
	if err != nil {
		t.Fatal(err)
	}
	listed, err := parts.List(t.Context(), reader)
	if err != nil {
		t.Fatal(err)
	}
	var clock atomic.Int64 // how often the time was asked for: after each try to replace, too
	opt := w.opt
	opt.Now = func() time.Time { clock.Add(1); return w.now }
	done := make(chan error, 1)
	go func() { done <- New(opt).Pass(context.Background()) }()
	wait := func(what string, ok func() bool) {
		t.Helper()
		for deadline := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(time.Millisecond) {
			select {
			case err := <-done:
				t.Fatalf("files were replaced while they were read: %v", err)
			default:
			}
			if time.Now().After(deadline) {
				t.Fatal("never came: " + what)
			}
		}
	}
	wait("a choice of files", func() bool {
		begun, _ := os.ReadDir(filepath.Join(w.dir, "_compact"))
		return len(begun) > 0
	})
	before := clock.Load()
	wait("a second try to replace them", func() bool { return clock.Load() >= before+3 })
	w.commit(view("late", "late", day0)) // commits do not wait
	rows := 0
	r := listed.Reader(parquet.UserID)
	for n := range listed.Len() {
		if err := r.Scan(t.Context(), n, func(b *archive.EventBatch) error { rows += b.Len; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Close(); err != nil || rows != 15 {
		t.Fatalf("%d rows, %v", rows, err)
	}
	reader.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	data, left := w.files()
	events := 0
	for _, path := range data {
		if strings.HasPrefix(path, "events/") {
			events++
		}
	}
	if events != 3 || len(left) != 0 { // the late one came after the choice
		t.Fatalf("files %v, left %v", data, left)
	}
	if rows := content(t, w.open()); len(rows) != 15+1+10+1 {
		t.Fatalf("%d rows", len(rows))
	}
}

// TestGlob: a program that lists the folder and reads what it found, without
// knowing of locks, sees every row once or meets a missing file; it never sees
// some twice or too few.
func TestGlob(t *testing.T) {
	w := newWorld(t)
	w.later()
	w.opt.Files, w.opt.Quiet = 4, time.Hour*24*365*100 // never quiet: merged over and over
	const rounds = 30
	stop, ended := make(chan struct{}), make(chan struct{})
	var whole atomic.Int64
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			default:
			}
			paths, err := os.ReadDir(filepath.Join(w.dir, "events", "dt=2023-11-15"))
			if err != nil {
				continue
			}
			rows, gone := int64(0), false
			last := uint64(0)
			for _, p := range paths {
				info, err := parquet.ReadInfo(filepath.Join(w.dir, "events", "dt=2023-11-15", p.Name()))
				if errors.Is(err, os.ErrNotExist) {
					gone = true
					break
				}
				if err != nil {
					t.Error(err)
					return
				}
				rows += info.Rows
				last = max(last, info.Commit.Last)
			}
			if gone {
				continue
			}
			if want := int64(last); rows != want {
				t.Errorf("%d rows up to message %d, want %d, in %v", rows, last, want, paths)
				return
			}
			whole.Add(1)
		}
	}()
	// Files may be gone before a reader that has few turns has got to them.
	for n := 0; n < rounds || n < 10*rounds && whole.Load() == 0; n++ {
		w.commit(view("u", fmt.Sprint("a", n), day0), view("u", fmt.Sprint("b", n), day0))
		w.pass()
	}
	close(stop)
	<-ended
	if whole.Load() == 0 {
		t.Error("never read as it was listed")
	}
	if data, _ := w.files(); len(data) > 4 {
		t.Errorf("%d files", len(data))
	}
}

func erase(id string) event.Record {
	return event.Record{Kind: event.KindUserErase, User: event.User{ID: id, Time: day0 + 77}}
}

func merge(from, into string) event.Record {
	return event.Record{Kind: event.KindUserMerge, User: event.User{ID: from, Into: into, Time: day0}}
}

// eraser notes what it is told, and fails first.
type eraser struct {
	fail          error
	began, erased []Erasure
	settled       int
}

func (e *eraser) Erase(_ context.Context, users []Erasure) error {
	e.began = append(e.began, users...)
	return e.fail
}

func (e *eraser) Erased(_ context.Context, users []Erasure) error {
	e.erased = append(e.erased, users...)
	return nil
}

func (e *eraser) Settle(context.Context) error {
	e.settled++
	return nil
}

// users are all ids in the users' columns of all files, dictionaries included.
func (w *world) users() (ids []string) {
	w.t.Helper()
	data, _ := w.files()
	for _, path := range data {
		f, err := w.opt.Archive.OpenData(path)
		if err != nil {
			w.t.Fatal(err)
		}
		if _, err := f.HasUser(func(id []byte) bool {
			if !slices.Contains(ids, string(id)) {
				ids = append(ids, string(id))
			}
			return false
		}); err != nil {
			w.t.Fatal(err)
		}
		f.Close()
	}
	slices.Sort(ids)
	return ids
}

// TestErase: of an erased user nothing is in the files, in his own name or a
// guest's who became him; others keep theirs; a pass that fails is done again.
func TestErase(t *testing.T) {
	w := newWorld(t)
	w.now = time.UnixMilli(day0) // nothing is due to be merged
	list := func(user string, at int64) event.Record {
		return event.Record{Kind: event.KindServed, Served: &event.Served{
			RequestID: "r-" + user, UserID: user, Time: at, List: "recommend", Source: "live", Items: []event.ServedItem{{ID: "i1"}, {ID: "i2"}},
		}}
	}
	w.commit(view("victim", "v1", day0), view("guest", "g1", day0), view("other", "o1", day0), list("victim", day0), list("other", day0), list("", day0))
	w.commit(event.Record{Kind: event.KindUserPut, User: event.User{ID: "victim", Time: day0}}, merge("guest", "victim"), view("guest", "g2", day0+dayMillis))
	w.commit(view("old", "m1", day0), merge("old", "heir"), view("old", "m2", day0), view("heir", "h1", day0))
	w.commit(erase("victim"), erase("old"), erase("never"))
	// He came back; and a list from before had waited.
	w.commit(view("victim", "v2", day0+5), list("victim", day0+76), list("victim", day0+78))
	before := content(t, w.opt.Archive)
	e := &eraser{fail: errors.New("a disk fails")}
	w.opt.Eraser = e
	if err := New(w.opt).Pass(t.Context()); err == nil || len(e.began) != 3 || len(e.erased) != 0 || e.settled != 0 {
		t.Fatal(err, e)
	}
	if got := e.began[0]; got.Events != 2 || got.Places != 4 {
		t.Errorf("of victim and guest: %+v", got)
	}
	e.fail, e.began = nil, nil
	c := New(w.opt)
	if err := c.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := w.users(), []string{"guest", "heir", "other", "victim"}; !slices.Equal(got, want) {
		t.Errorf("users in the files: %v, want %v", got, want)
	}
	// The first pass had taken the rows of dates out, the second took the rest.
	want := []Erasure{{UserID: "victim", At: day0 + 77, Changes: 3}, {UserID: "old", At: day0 + 77, Changes: 2}, {UserID: "never", At: day0 + 77, Changes: 1}}
	if !slices.Equal(e.erased, want) || c.Stats().Erased != 3 || e.settled != 1 {
		t.Errorf("erased %+v, want %+v; settled %d times", e.erased, want, e.settled)
	}
	// A pass without any says so, too: the one before may have been cut short.
	if e.began = nil; New(w.opt).Pass(t.Context()) != nil || len(e.began) != 0 || e.settled != 2 {
		t.Errorf("done again: %+v, settled %d times", e.began, e.settled)
	}
	if owners, err := w.opt.Archive.Owners(t.Context()); err != nil || !owners.None() {
		t.Fatal(owners, err)
	}
	// other's event and list, nobody's list, heir's two, victim's new event and
	// list, guest's of later.
	if after := content(t, w.open()); len(after) != 6 || after[5] != "served 6" {
		t.Errorf("before\n%s\nafter\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
}
