package mirror_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vitrine/bridge/archive"
	"vitrine/bridge/mirror"
	"vitrine/bridge/mirror/storetest"
)

// folder is an archive whose files are put there by hand.
type folder struct {
	dir      string
	position uint64
}

func (f *folder) Position() uint64 { return f.position }

func (f *folder) OpenFile(path string) (*os.File, error) { return os.Open(filepath.Join(f.dir, path)) }

func (f *folder) Files(context.Context) (archive.Listing, error) {
	list := archive.Listing{Position: f.position}
	for path, data := range contents(f.dir) {
		list.Files = append(list.Files, archive.ListedFile{Path: path, Bytes: int64(len(data))})
	}
	return list, nil
}

func (f *folder) put(t *testing.T, path, data string) {
	t.Helper()
	at := filepath.Join(f.dir, path)
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at, []byte(data), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (f *folder) remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(filepath.Join(f.dir, path)); err != nil {
		t.Fatal(err)
	}
}

// contents are the data files below a folder: no name on their way begins with
// _ or a dot.
func contents(dir string) map[string]string {
	out := map[string]string{}
	_ = filepath.WalkDir(dir, func(at string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, at)
		switch name := filepath.Base(rel); {
		case err != nil:
			return err
		case rel != "." && strings.ContainsAny(name[:1], "_."):
			if d.IsDir() {
				return fs.SkipDir
			}
		case !d.IsDir():
			data, err := os.ReadFile(at)
			if err != nil {
				return err
			}
			out[filepath.ToSlash(rel)] = string(data)
		}
		return nil
	})
	return out
}

const id = "0123456789ab"

func open(f *folder, s mirror.Store) *mirror.Mirror {
	return mirror.New(mirror.Options{Archive: f, Store: s, Name: "test", ID: id})
}

// wantCopy checks that the store's folder has exactly the archive's files.
func wantCopy(t *testing.T, f *folder, dir string) {
	t.Helper()
	want := map[string]string{}
	for path, data := range contents(f.dir) {
		want[strings.TrimSuffix(path, ".parquet")+"-"+id+".parquet"] = data
	}
	if got := contents(dir); !maps.Equal(got, want) {
		t.Errorf("the copy has %v, want %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
}

// states are what an archive goes through: growing, many files at once,
// compaction, retention.
func states(t *testing.T) []func(f *folder) {
	return []func(f *folder){
		func(f *folder) {
			f.put(t, "events/dt=2026-11-24/a.parquet", "one")
			f.put(t, "events/dt=2026-11-25/a.parquet", "two")
			f.put(t, "items/a.parquet", "items")
		},
		func(f *folder) {
			for i := range 70 {
				f.put(t, fmt.Sprintf("events/dt=2026-11-25/b%03d.parquet", i), strings.Repeat("x", i))
			}
		},
		func(f *folder) { // compaction
			f.put(t, "events/dt=2026-11-25/c.parquet", "merged")
			for i := range 70 {
				f.remove(t, fmt.Sprintf("events/dt=2026-11-25/b%03d.parquet", i))
			}
			f.remove(t, "events/dt=2026-11-25/a.parquet")
		},
		func(f *folder) { f.remove(t, "events/dt=2026-11-24/a.parquet") }, // retention
	}
}

func TestFollows(t *testing.T) {
	f, there := &folder{dir: t.TempDir()}, t.TempDir()
	m := open(f, storetest.Disk{Dir: there})
	for i, change := range states(t) {
		change(f)
		f.position = uint64(10 * (i + 1))
		if err := m.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantCopy(t, f, there)
		if s := m.Stats(); s.Position != f.position || s.Waiting != 0 || s.Files != len(contents(there)) {
			t.Errorf("state %d: stats %+v", i, s)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(there, "_staging", id, "*")); len(left) > 0 {
		t.Errorf("left in staging: %v", left)
	}
}

// flaky fails one call, as a crash would, or after it was done.
type flaky struct {
	mirror.Store
	mu    sync.Mutex
	calls int
	fail  int
	late  bool
}

var errFlaky = errors.New("the wire was cut")

func (f *flaky) call(do func() error) error {
	f.mu.Lock()
	f.calls++
	fail := f.calls == f.fail
	f.mu.Unlock()
	if fail && !f.late {
		return errFlaky
	}
	err := do()
	if fail {
		return errFlaky
	}
	return err
}

func (f *flaky) Write(ctx context.Context, path string, src io.Reader) error {
	return f.call(func() error { return f.Store.Write(ctx, path, src) })
}

func (f *flaky) Rename(ctx context.Context, from, to string) error {
	return f.call(func() error { return f.Store.Rename(ctx, from, to) })
}

func (f *flaky) Remove(ctx context.Context, path string) error {
	return f.call(func() error { return f.Store.Remove(ctx, path) })
}

// TestCutAnywhere cuts each state's turn at every call, before and after it
// had its effect, goes on with another mirror as after a crash, and wants the
// copy to be right.
func TestCutAnywhere(t *testing.T) {
	// Most calls are of many equal files; a step that shares no factor with the
	// number of workers meets all kinds.
	const step = 31
	for _, late := range []bool{false, true} {
		for fail := 1; ; fail += step {
			f, there := &folder{dir: t.TempDir()}, t.TempDir()
			store := &flaky{Store: storetest.Disk{Dir: there}, fail: fail, late: late}
			for i, change := range states(t) {
				change(f)
				f.position = uint64(10 * (i + 1))
				if err := open(f, store).Flush(t.Context()); err != nil {
					if !errors.Is(err, errFlaky) {
						t.Fatal(err)
					}
					whole(t, f, there)
					if err := open(f, store).Flush(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				wantCopy(t, f, there)
			}
			if t.Failed() {
				t.Fatalf("cut at call %d, late %v", fail, late)
			}
			if store.calls < fail {
				break
			}
		}
	}
}

// whole wants every visible file of the copy to be what some file of the
// archive is or was.
func whole(t *testing.T, f *folder, dir string) {
	t.Helper()
	for path, got := range contents(dir) {
		local := strings.Replace(path, "-"+id, "", 1)
		if want, err := os.ReadFile(filepath.Join(f.dir, local)); err == nil && string(want) != got {
			t.Errorf("%s has %q, want %q", path, got, want)
		}
	}
}

// lossy loses the end of what is written and says that all is well.
type lossy struct{ storetest.Disk }

func (l lossy) Write(ctx context.Context, path string, src io.Reader) error {
	data, err := io.ReadAll(src)
	if err != nil {
		return err
	}
	return l.Disk.Write(ctx, path, strings.NewReader(string(data[:len(data)/2])))
}

func TestShortCopyIsNoCopy(t *testing.T) {
	f, there := &folder{dir: t.TempDir(), position: 1}, t.TempDir()
	f.put(t, "events/dt=2026-11-25/a.parquet", "twelve bytes")
	if err := open(f, lossy{storetest.Disk{Dir: there}}).Flush(t.Context()); err == nil || !strings.Contains(err.Error(), "read back") {
		t.Errorf("Flush: %v, want that the copy differs", err)
	}
	if got := contents(there); len(got) > 0 {
		t.Errorf("visible: %v", got)
	}
}

// broken refuses to be written to.
type broken struct {
	storetest.Disk
	err error
}

func (b broken) Write(context.Context, string, io.Reader) error { return b.err }

// TestHints: what a cluster refuses is told with what helps against that.
func TestHints(t *testing.T) {
	for said, want := range map[string]string{
		"SafeModeException: Cannot create file /x. Name node is in safe mode.":                                    "hdfs dfsadmin -safemode get",
		"DSQuotaExceededException: The DiskSpace quota of /x is exceeded: quota = 1048576 B = 1 MB":               "raise the quota",
		"NSQuotaExceededException: The NameSpace quota (directories and files) of directory /x is exceeded":       "raise the quota",
		"IOException: File /x could only be written to 0 of the 1 minReplication nodes. There are 2 datanode(s) ": "have no room",
		"read hdfs:/x: no available datanodes":                                                                    "hdfs fsck",
		"no available namenodes: write tcp: broken pipe":                                                          "RPC port",
	} {
		f := &folder{dir: t.TempDir(), position: 1}
		f.put(t, "events/dt=2026-11-25/a.parquet", "one")
		m := open(f, broken{storetest.Disk{Dir: t.TempDir()}, errors.New(said)})
		if err := m.Flush(t.Context()); err == nil {
			t.Fatal("a broken store takes files")
		}
		if s := m.Stats(); !strings.Contains(s.Hint, want) {
			t.Errorf("%s: %q, want %q", said, s.Hint, want)
		}
	}
}

// TestRemovedByHand: what somebody removes of a copy is told and there again when the
// store was asked the next time.
func TestRemovedByHand(t *testing.T) {
	f, there := &folder{dir: t.TempDir(), position: 1}, t.TempDir()
	f.put(t, "events/dt=2026-11-24/a.parquet", "one")
	f.put(t, "events/dt=2026-11-25/b.parquet", "two")
	now, said := time.Unix(1e9, 0), &bytes.Buffer{}
	m := mirror.New(mirror.Options{
		Archive: f, Store: storetest.Disk{Dir: there}, Name: "test", ID: id,
		Log: slog.New(slog.NewTextHandler(said, nil)), Now: func() time.Time { return now },
	})
	for range 2 {
		if err := m.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if said.Len() > 0 {
			t.Error(said)
		}
	}
	if err := os.RemoveAll(filepath.Join(there, "events", "dt=2026-11-24")); err != nil {
		t.Fatal(err)
	}
	now = now.Add(15 * time.Minute)
	if err := m.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantCopy(t, f, there)
	if !strings.Contains(said.String(), "removed by somebody") || !strings.Contains(said.String(), "files=1") {
		t.Errorf("said %q", said)
	}
}

// TestEmptiedArchive: a copy that has more than the archive is not destroyed.
func TestEmptiedArchive(t *testing.T) {
	f, there := &folder{dir: t.TempDir(), position: 7}, t.TempDir()
	f.put(t, "events/dt=2026-11-25/a.parquet", "one")
	if err := open(f, storetest.Disk{Dir: there}).Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	empty := &folder{dir: t.TempDir(), position: 6}
	m := open(empty, storetest.Disk{Dir: there})
	var behind *mirror.BehindError
	if err := m.Flush(t.Context()); !errors.As(err, &behind) {
		t.Errorf("Flush of an older archive: %v, want a BehindError", err)
	}
	if s := m.Stats(); s.LastError == "" || s.Failures != 1 || s.Since.IsZero() {
		t.Errorf("stats %+v", s)
	}
	wantCopy(t, f, there)
}

// TestTwoArchives: two appliances that write to one place leave each other's
// files alone.
func TestTwoArchives(t *testing.T) {
	there := t.TempDir()
	var mirrors []*mirror.Mirror
	for i := range 2 {
		f := &folder{dir: t.TempDir(), position: 1}
		f.put(t, "events/dt=2026-11-25/b1-1.parquet", fmt.Sprint("of ", i))
		ID, err := mirror.ID(f.dir)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := mirror.ID(f.dir); err != nil || again != ID {
			t.Errorf("the id was %s and is %s, %v", ID, again, err)
		}
		mirrors = append(mirrors, mirror.New(mirror.Options{Archive: f, Store: storetest.Disk{Dir: there}, ID: ID}))
	}
	for range 2 {
		for _, m := range mirrors {
			if err := m.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := slices.Sorted(maps.Values(contents(there))); !slices.Equal(got, []string{"of 0", "of 1"}) {
		t.Errorf("there is %v", got)
	}
}

// TestRun: a store that fails is tried again, and the copy follows soon after.
func TestRun(t *testing.T) {
	f, there := &folder{dir: t.TempDir(), position: 1}, t.TempDir()
	f.put(t, "events/dt=2026-11-25/a.parquet", "one")
	m := open(f, &flaky{Store: storetest.Disk{Dir: there}, fail: 1})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	for begin := time.Now(); m.Stats().Position != 1; time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > time.Minute {
			t.Fatalf("not copied: %+v", m.Stats())
		}
	}
	if s := m.Stats(); s.Failures != 1 || s.LastError != "" {
		t.Errorf("stats %+v", s)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Run: %v", err)
	}
	wantCopy(t, f, there)
}
