package registry

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// folder is a registry's folder with its log.
type folder struct {
	t   *testing.T
	dir string
	log bytes.Buffer
}

func newFolder(t *testing.T) *folder {
	return &folder{t: t, dir: filepath.Join(t.TempDir(), "models")}
}

func (f *folder) open(keep int) *Registry {
	f.t.Helper()
	f.log.Reset()
	r, err := Open(f.dir, keep, slog.New(slog.NewTextHandler(&f.log, nil)))
	if err != nil {
		f.t.Fatal(err)
	}
	return r
}

// publish makes version v and publishes it.
func (f *folder) publish(r *Registry, v string) *Bundle {
	f.t.Helper()
	b, err := r.Publish(write(f.t, filepath.Join(f.t.TempDir(), "new"), newBundle(v, 3, 3)))
	if err != nil {
		f.t.Fatal(err)
	}
	return b
}

func (f *folder) files() []string {
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		f.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// damage changes one byte in the middle of a version's file.
func (f *folder) damage(v string) {
	path := filepath.Join(f.dir, v+".bundle")
	data, err := os.ReadFile(path)
	if err != nil {
		f.t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		f.t.Fatal(err)
	}
}

func version(b *Bundle) string {
	if b == nil {
		return "none"
	}
	return b.Version
}

func (f *folder) want(r *Registry, live, states string) {
	f.t.Helper()
	if got := version(r.Live()); got != live {
		f.t.Errorf("live is %s, want %s", got, live)
	}
	var all []string
	for _, i := range r.List() {
		all = append(all, i.Version+" "+i.State)
	}
	if got := strings.Join(all, ", "); got != states {
		f.t.Errorf("versions are %q, want %q", got, states)
	}
}

func TestPublishAndRollBack(t *testing.T) {
	f := newFolder(t)
	r := f.open(0)
	f.want(r, "none", "")
	if _, err := r.Rollback(); !errors.Is(err, ErrNoPrevious) {
		t.Errorf("roll back nothing: %v", err)
	}
	var seen []string
	r.Subscribe(func(b *Bundle) { seen = append(seen, b.Version) })
	f.publish(r, "v1")
	if _, err := r.Rollback(); !errors.Is(err, ErrNoPrevious) {
		t.Errorf("roll back the first one: %v", err)
	}
	f.publish(r, "v2")
	if b := f.publish(r, "v3"); b != r.Live() || b.Evaluated != nil {
		t.Errorf("published %+v", b)
	}
	if p := version(r.Previous()); p != "v2" {
		t.Errorf("previous is %s", p)
	}
	f.want(r, "v3", "v3 live, v2 previous, v1 kept")

	back, err := r.Rollback() // from memory
	if err != nil || back.Version != "v2" {
		t.Fatalf("rolled back to %s, %v", version(back), err)
	}
	f.want(r, "v2", "v3 kept, v2 live, v1 previous")
	f.want(f.open(0), "v2", "v3 kept, v2 live, v1 previous")
	if back, err = r.Rollback(); err != nil || back.Version != "v1" { // from disk
		t.Fatalf("rolled back to %s, %v", version(back), err)
	}
	if _, err := r.Rollback(); !errors.Is(err, ErrNoPrevious) {
		t.Errorf("roll back the last one: %v", err)
	}
	f.publish(r, "v4")
	f.want(r, "v4", "v4 live, v3 kept, v2 kept, v1 previous")
	if want := []string{"v1", "v2", "v3", "v2", "v1", "v4"}; !slices.Equal(seen, want) {
		t.Errorf("subscriber saw %v, want %v", seen, want)
	}
	r.Subscribe(func(b *Bundle) { seen = []string{b.Version} })
	if len(seen) != 1 || seen[0] != "v4" {
		t.Errorf("late subscriber saw %v", seen)
	}

	r = f.open(0)
	f.want(r, "v4", "v4 live, v3 kept, v2 kept, v1 previous")
	if f.log.Len() > 0 {
		t.Errorf("a clean start logs %s", &f.log)
	}
	data, err := os.ReadFile(filepath.Join(f.dir, "live"))
	if err != nil || string(data) != "v4\nv1\n" {
		t.Errorf("pointer is %q, %v", data, err)
	}
}

func TestPublishRefuses(t *testing.T) {
	f := newFolder(t)
	r := f.open(0)
	f.publish(r, "v1")
	lost := newBundle("v2", 3, 3)
	lost.Gate = Gate{Reason: "worse than popularity"}
	broken := write(t, filepath.Join(t.TempDir(), "x"), newBundle("v3", 3, 3))
	if err := os.Truncate(broken, 500); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		path string
		want string
	}{
		"gate lost": {write(t, filepath.Join(t.TempDir(), "x"), lost), "did not pass its gate: worse than popularity"},
		"name used": {write(t, filepath.Join(t.TempDir(), "x"), newBundle("v1", 3, 3)), "exists already"},
		"cut file":  {broken, "is corrupt: it has 500 bytes"},
		"no file":   {filepath.Join(t.TempDir(), "none"), "no such file"},
		"a folder":  {t.TempDir(), "not a regular file"},
	} {
		if _, err := r.Publish(c.path); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(c.path); err != nil && name != "no file" {
			t.Errorf("%s: the file is gone: %v", name, err)
		}
	}
	f.want(r, "v1", "v1 live")
	if got := f.files(); !slices.Equal(got, []string{"live", "v1.bundle"}) {
		t.Errorf("files %v", got)
	}
}

func TestRetention(t *testing.T) {
	f := newFolder(t)
	r := f.open(3)
	for i := range 6 {
		f.publish(r, fmt.Sprintf("v%d", i+1))
	}
	f.want(r, "v6", "v6 live, v5 previous, v4 kept")

	// The live and the previous version stay, however old they are.
	r.Rollback()
	r.Rollback()
	f.want(r, "v4", "v6 kept, v5 kept, v4 live")
	f.publish(r, "v3")
	f.want(r, "v3", "v6 kept, v5 kept, v4 previous, v3 live")
	if got := f.files(); !slices.Equal(got, []string{"live", "v3.bundle", "v4.bundle", "v5.bundle", "v6.bundle"}) {
		t.Errorf("files %v", got)
	}
	f.want(f.open(3), "v3", "v6 kept, v5 kept, v4 previous, v3 live")
	f.publish(r, "v2")
	f.want(r, "v2", "v6 kept, v5 kept, v4 kept, v3 previous, v2 live")
	f.publish(r, "v1")
	f.want(r, "v1", "v6 kept, v5 kept, v4 kept, v2 previous, v1 live")
}

func TestCorruptLiveBundle(t *testing.T) {
	f := newFolder(t)
	r := f.open(0)
	for _, v := range []string{"v1", "v2", "v3"} {
		f.publish(r, v)
	}
	f.damage("v3")
	r = f.open(0)
	f.want(r, "v2", "v2 live, v1 previous")
	for _, want := range []string{"version=v3", "is corrupt", "v3.bundle.corrupt", "vitrine train", "version=v2"} {
		if !strings.Contains(f.log.String(), want) {
			t.Errorf("the log lacks %q: %s", want, &f.log)
		}
	}
	if got := f.files(); !slices.Equal(got, []string{"live", "v1.bundle", "v2.bundle", "v3.bundle.corrupt"}) {
		t.Errorf("files %v", got)
	}
	f.want(f.open(0), "v2", "v2 live, v1 previous")
	if f.log.Len() > 0 {
		t.Errorf("logged again: %s", &f.log)
	}

	// The same name can be trained again, and the way back skips a hole.
	r = f.open(0)
	f.publish(r, "v3")
	f.damage("v2")
	r = f.open(0)
	if b, err := r.Rollback(); err != nil || b.Version != "v1" {
		t.Errorf("rolled back to %s, %v", version(b), err)
	}
	f.want(r, "v1", "v3 kept, v1 live")
	f.publish(r, "v0")
	f.damage("v1")
	r = f.open(0)
	if _, err := r.Rollback(); !errors.Is(err, ErrNoPrevious) || !strings.Contains(err.Error(), "v1: ") || !strings.Contains(err.Error(), "is corrupt") {
		t.Errorf("rolled back past nothing but a corrupt version: %v", err)
	}

	f.damage("v0")
	r = f.open(0)
	f.want(r, "none", "v3 kept")
	if !strings.Contains(f.log.String(), "no model version can be used") {
		t.Errorf("logged %s", &f.log)
	}
	f.publish(r, "v4")
	f.want(f.open(0), "v4", "v4 live, v3 kept")
}

func TestLiveBundleThatCannotBeRead(t *testing.T) {
	f := newFolder(t)
	r := f.open(0)
	f.publish(r, "v1")
	f.publish(r, "v2")
	// Another name in the file: no damage, so it is left alone.
	write(t, filepath.Join(f.dir, "v2.bundle"), newBundle("v7", 3, 3))
	f.want(f.open(0), "v1", "v1 live, v2 unreadable")

	if err := os.Remove(filepath.Join(f.dir, "v1.bundle")); err != nil {
		t.Fatal(err)
	}
	f.want(f.open(0), "none", "v2 unreadable")
}

func TestPointerLostOrBroken(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"lost":      os.Remove,
		"garbage":   func(p string) error { return os.WriteFile(p, []byte("../../etc/passwd\n"), 0o600) },
		"huge":      func(p string) error { return os.WriteFile(p, make([]byte, maxPointer+1), 0o600) },
		"zeros":     func(p string) error { return os.WriteFile(p, make([]byte, 12), 0o600) },
		"directory": func(p string) error { return errors.Join(os.Remove(p), os.Mkdir(p, 0o700)) },
	} {
		f := newFolder(t)
		r := f.open(0)
		f.publish(r, "v1")
		f.publish(r, "v2")
		lost := newBundle("v3", 3, 3)
		lost.Gate = Gate{}
		write(t, filepath.Join(f.dir, "v3.bundle"), lost)
		if err := damage(filepath.Join(f.dir, "live")); err != nil {
			t.Fatal(err)
		}
		if name == "directory" {
			if _, err := Open(f.dir, 0, slog.New(slog.DiscardHandler)); err == nil {
				t.Error("opened a folder whose pointer cannot be written")
			}
			continue
		}
		f.want(f.open(0), "v2", "v3 kept, v2 live, v1 previous")
		if !strings.Contains(f.log.String(), "pointer cannot be read") {
			t.Errorf("%s: logged %s", name, &f.log)
		}
		f.want(f.open(0), "v2", "v3 kept, v2 live, v1 previous")
		if f.log.Len() > 0 {
			t.Errorf("%s: logged again: %s", name, &f.log)
		}
	}
}

// A process can die after any step of Publish. What it leaves is made here by
// hand; the old version serves, nothing unfinished stays, and publishing goes on.
func TestCrashDuringPublish(t *testing.T) {
	f := newFolder(t)
	r := f.open(0)
	f.publish(r, "v1")
	for _, name := range []string{"v2.bundle.123.tmp", "live.77.tmp"} {
		if err := os.WriteFile(filepath.Join(f.dir, name), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r = f.open(0)
	f.want(r, "v1", "v1 live")
	if got := f.files(); !slices.Equal(got, []string{"live", "v1.bundle"}) {
		t.Errorf("files %v", got)
	}

	// Moved in, but the pointer was not: a version that was never live.
	write(t, filepath.Join(f.dir, "v2.bundle"), newBundle("v2", 3, 3))
	r = f.open(0)
	f.want(r, "v1", "v2 kept, v1 live")
	f.publish(r, "v3")
	f.want(f.open(0), "v3", "v3 live, v2 kept, v1 previous")
}

func TestUnwritableFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(filepath.Join(file, "models"), 0, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("opened")
	}
}

func TestCopyFile(t *testing.T) {
	dir := t.TempDir()
	from := write(t, filepath.Join(dir, "from"), newBundle("v1", 3, 3))
	f, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := copyFile(f, filepath.Join(dir, "to")); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(filepath.Join(dir, "to")); err != nil {
		t.Error(err)
	}
	if err := copyFile(f, filepath.Join(dir, "none", "to")); err == nil {
		t.Error("copied into a missing folder")
	}
}

// Readers never see a bundle that is not whole, and the versions they see only
// move as the writer moves them.
func TestConcurrentReaders(t *testing.T) {
	f := newFolder(t)
	r := f.open(2)
	f.publish(r, "v1")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				b := r.Live()
				if len(b.ItemIDs) != b.Model.NumItems || len(b.Model.Items) != b.Model.NumItems*b.Model.Rank {
					t.Error("half a bundle")
				}
				for _, i := range r.List() {
					if i.State == StateUnreadable {
						t.Errorf("%s: %s", i.Version, i.Reason)
					}
				}
				r.Previous()
			}
		})
	}
	var writers sync.WaitGroup
	for w := range 2 {
		writers.Go(func() {
			for i := range 8 {
				f.publish(r, fmt.Sprintf("v%d", 2+2*i+w))
				if i%3 == 0 {
					if _, err := r.Rollback(); err != nil && !errors.Is(err, ErrNoPrevious) {
						t.Error(err)
					}
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	wg.Wait()
}
