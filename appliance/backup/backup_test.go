package backup

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vitrine/appliance/datadir"
	"vitrine/bridge/archive"
	"vitrine/bridge/event"
	"vitrine/bridge/parquet"
)

// folder is a data folder with something of everything.
func folder(t *testing.T) Source {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"models/live": "a\n", "models/a.bundle": "model a", "models/b.tmp": "half", "models/trials.json": "{}",
		"state/lock": "1", "state/format": `{"format":1,"vitrine":"1"}`, "state/instance": "name", "state/rules/1.json": "{}",
		"state/snapshots/00000000000000000001.snapshot": "old", "state/snapshots/00000000000000000002.snapshot": "new",
		"deadletters/00000000000000000001.letters": "letters", "plugins/p.wasm": "wasm", "plugins/.p.tmp": "half",
		"bus/jetstream/x": "log", "archive/_id": "0123456789ab\n", "cache/x": "cache", "keys.json": "keys",
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o750), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	a, err := archive.Open(t.Context(), archive.Options{Dir: filepath.Join(dir, "archive")})
	if err != nil {
		t.Fatal(err)
	}
	b, err := a.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := event.Record{
		Kind:  event.KindEvent,
		Event: event.Event{UserID: "u1", ItemID: "i1", Type: "view", Time: 1_700_000_000_000, EventID: "e1"}, Source: event.Source{Name: "t@" + strings.Repeat("x", 22), Partition: 2, Offset: 7},
	}
	if err := errors.Join(b.Add(5, &r), b.Commit(t.Context(), 5)); err != nil {
		t.Fatal(err)
	}
	return Source{Places: placesOf(dir), Flush: func(context.Context) error { return nil }, Version: "1.2", Now: time.Now}
}

func placesOf(dir string) Places {
	return Places{Data: dir, Archive: filepath.Join(dir, "archive"), Plugins: filepath.Join(dir, "plugins"), Keys: filepath.Join(dir, "keys.json")}
}

// made is a backup of folder.
func made(t *testing.T) (src Source, dir string) {
	t.Helper()
	src, dir = folder(t), filepath.Join(t.TempDir(), "b")
	var stream bytes.Buffer
	if err := Write(t.Context(), &stream, src); err != nil {
		t.Fatal(err)
	}
	if _, err := Receive(t.Context(), &stream, dir, nil); err != nil {
		t.Fatal(err)
	}
	return src, dir
}

func TestRoundTrip(t *testing.T) {
	_, dir := made(t)
	to := t.TempDir()
	if err := os.MkdirAll(filepath.Join(to, "state"), 0o750); err != nil {
		t.Fatal(err)
	}
	elsewhere := filepath.Join(t.TempDir(), "parquet")
	into := Into{Places: placesOf(to), Version: "1.3"}
	into.Archive = elsewhere
	m, err := Restore(t.Context(), dir, into, nil)
	if err != nil || m.Position != 5 || m.Vitrine != "1.2" {
		t.Fatalf("%+v %v", m, err)
	}
	var names []string
	for _, f := range m.Files {
		names = append(names, f.Path)
	}
	slices.Sort(names)
	want := []string{
		"archive/_commits/00000000000000000001-00000000000000000005.json",
		"archive/_id",
		"archive/events/dt=2023-11-14/b00000000000000000001-00000000000000000005.parquet",
		"deadletters/00000000000000000001.letters", "keys.json", "models/a.bundle", "models/live", "models/trials.json", "plugins/p.wasm",
		"state/instance", "state/rules/1.json", "state/snapshots/00000000000000000002.snapshot",
	}
	if !slices.Equal(names, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(names, "\n"), strings.Join(want, "\n"))
	}
	for name, text := range map[string]string{"models/a.bundle": "model a", "keys.json": "keys", "plugins/p.wasm": "wasm", "state/instance": "name"} {
		if got, err := os.ReadFile(filepath.Join(to, name)); string(got) != text {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if info, err := os.Stat(filepath.Join(to, "keys.json")); err != nil || info.Mode() != 0o600 {
		t.Errorf("the keys: %v %v", info, err)
	}
	if err := datadir.Claim(to, "1.3"); err != nil {
		t.Error(err)
	}
	a, err := archive.Open(t.Context(), archive.Options{Dir: elsewhere})
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	if err := a.ScanEvents(t.Context(), parquet.UserID, func(b *archive.EventBatch) error { rows += b.Len; return nil }); err != nil || rows != 1 {
		t.Errorf("%d rows, %v", rows, err)
	}
	if topics := a.Topics(); a.Position() != 5 || len(topics) != 1 || topics[0].Next != 8 {
		t.Errorf("position %d, topics %v", a.Position(), topics)
	}
}

// TestDamage: whatever is wrong with a backup is named, and nothing is restored.
func TestDamage(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(dir string) error
		want  string
	}{
		"a byte": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "models/a.bundle"), []byte("model b"), 0o600)
		}, "models/a.bundle: its bytes have changed"},
		"length":          {func(dir string) error { return os.Truncate(filepath.Join(dir, "keys.json"), 3) }, "keys.json: it has 3 bytes, not 4"},
		"gone":            {func(dir string) error { return os.Remove(filepath.Join(dir, "models/live")) }, "models/live: it is missing"},
		"no manifest":     {func(dir string) error { return os.Remove(filepath.Join(dir, manifestName)) }, "it has no backup.json"},
		"half a manifest": {func(dir string) error { return os.Truncate(filepath.Join(dir, manifestName), 40) }, "backup.json"},
		"a later format": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, manifestName), []byte(`{"format":3,"vitrine":"9"}`), 0o600)
		}, "format 3, written by vitrine 9; this program reads up to format 1"},
		"a way out": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, manifestName), []byte(`{"format":1,"files":[{"path":"../x"}]}`), 0o600)
		}, `names "../x"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, dir := made(t)
			if err := c.spoil(dir); err != nil {
				t.Fatal(err)
			}
			to := t.TempDir()
			if _, err := Restore(t.Context(), dir, Into{Places: placesOf(to)}, nil); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v", err)
			}
			if entries, _ := os.ReadDir(to); len(entries) > 0 {
				t.Errorf("%v was restored", entries)
			}
		})
	}
}

// TestNotEmpty: nothing is written over.
func TestNotEmpty(t *testing.T) {
	src, dir := made(t)
	if _, err := Restore(t.Context(), dir, Into{Places: src.Places}, nil); !errors.Is(err, ErrNotEmpty) {
		t.Fatal(err)
	}
	if _, err := Receive(t.Context(), strings.NewReader(""), dir, nil); !errors.Is(err, ErrNotEmpty) {
		t.Fatal(err)
	}
	if _, err := Verify(t.Context(), dir, nil); err != nil {
		t.Fatal(err)
	}
	to := t.TempDir()
	if err := os.WriteFile(filepath.Join(to, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), dir, Into{Places: placesOf(to)}, nil); !errors.Is(err, ErrNotEmpty) {
		t.Fatal(err)
	}
}

// TestCutOff: a stream that ends early leaves nothing that looks like a backup.
func TestCutOff(t *testing.T) {
	src := folder(t)
	var stream bytes.Buffer
	if err := Write(t.Context(), &stream, src); err != nil {
		t.Fatal(err)
	}
	for cut := 0; cut < stream.Len()-1024; cut += 700 { // the last kilobyte is padding
		dir := t.TempDir()
		if _, err := Receive(t.Context(), io.LimitReader(bytes.NewReader(stream.Bytes()), int64(cut)), dir, nil); err == nil {
			t.Fatalf("the first %d of %d bytes are a backup", cut, stream.Len())
		}
		if entries, _ := os.ReadDir(dir); len(entries) > 0 {
			t.Fatalf("after %d bytes: %v is left", cut, entries)
		}
	}
}

// TestRestoreAgain: what a crash left half restored is no data folder, and is
// done again.
func TestRestoreAgain(t *testing.T) {
	_, dir := made(t)
	to := t.TempDir()
	if err := os.MkdirAll(filepath.Join(to, "state"), 0o750); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	into := Into{Places: placesOf(to), Version: "1"}
	if _, err := Restore(ctx, dir, into, func(int64, int64) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if err := datadir.Claim(to, "1"); !errors.Is(err, datadir.ErrRestoring) {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), dir, into, nil); err != nil {
		t.Fatal(err)
	}
	if err := datadir.Claim(to, "1"); err != nil {
		t.Fatal(err)
	}
}

// TestMergesWait: the files of the archive stay where they are while they are
// copied.
func TestMergesWait(t *testing.T) {
	src := folder(t)
	a, err := archive.Open(t.Context(), archive.Options{Dir: src.Archive})
	if err != nil {
		t.Fatal(err)
	}
	out := writerFunc(func(p []byte) (int, error) {
		if err := a.Drop(t.Context(), "events/dt=2023-11-14"); !errors.Is(err, archive.ErrBusy) {
			t.Errorf("dropped while it is copied: %v", err)
		}
		return len(p), nil
	})
	if err := Write(t.Context(), out, src); err != nil {
		t.Fatal(err)
	}
	if err := a.Drop(t.Context(), "events/dt=2023-11-14"); err != nil {
		t.Fatal(err)
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
