package durable_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"vitrine/internal/durable"
)

// TestReplace: the file changes whole or not at all, and nothing is left beside
// it.
func TestReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	broken := errors.New("broken")
	for _, c := range []struct {
		text string
		fail error
		want string
	}{{"one", nil, "one"}, {"half", broken, "one"}, {"two", nil, "two"}} {
		err := durable.Replace(path, func(f *os.File) error {
			_, err := f.WriteString(c.text)
			return errors.Join(err, c.fail)
		})
		if !errors.Is(err, c.fail) || err != nil && c.fail == nil {
			t.Errorf("%s: %v", c.text, err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != c.want {
			t.Errorf("%s: the file holds %q, %v; want %q", c.text, got, err, c.want)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left beside it: %v, %v", left, err)
	}
}

// TestSweep: what a crash leaves of Replace goes, also that of earlier versions, and
// nothing else does.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	var work string
	if err := durable.Replace(filepath.Join(dir, "f.json"), func(f *os.File) error {
		work = filepath.Base(f.Name())
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	stay := []string{"f.json", "begun.json", "x.tmp", ".hidden", "format", "format.1.txt", ".begun-1x", "snapshot.1"}
	for _, name := range append(stay, work, ".begun-123", ".wanted-1", ".lost-2", ".rules-3", ".keys-4", ".work-5", "format.6.tmp", "erasures.7.tmp") {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, ".folder.tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	durable.Sweep(filepath.Join(dir, "none"), dir)
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != len(stay)+1 {
		t.Errorf("left %v, %v", left, err)
	}
	for _, name := range append(stay, ".folder.tmp") {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

// TestRemove: a file is gone when the folder is synced, which takes a descriptor, and
// not before; one that is not there is none to remove.
func TestRemove(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	none := was
	none.Cur = 0
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	err := durable.Remove(path)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(err, syscall.EMFILE) {
		t.Errorf("%v, though the folder could not be synced", err)
	}
	if err := durable.Remove(path); err != nil {
		t.Errorf("remove what is not there: %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file: %v", err)
	}
	if err := durable.Remove(filepath.Dir(filepath.Dir(path))); err == nil {
		t.Error("a folder that is not empty was removed")
	}
}

func TestFoldersThatAreNotThere(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	if err := durable.SyncDir(none); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("sync: %v", err)
	}
	if err := durable.Remove(filepath.Join(none, "f")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("remove: %v", err)
	}
	write := func(*os.File) error { t.Error("written"); return nil }
	if err := durable.Replace(filepath.Join(none, "f"), write); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("replace: %v", err)
	}
}

// TestJSON: what was written is read, and of each flipped bit nothing.
func TestJSON(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	type value struct{ A, B int }
	want, got := value{12, 345}, value{}
	if err := durable.ReadJSON(path, &got); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("read what is not there: %v", err)
	}
	if err := durable.ReplaceJSON(path, want); err != nil {
		t.Fatal(err)
	}
	if err := durable.ReadJSON(path, &got); err != nil || got != want {
		t.Fatalf("read %v, %v", got, err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := func(text []byte) {
		t.Helper()
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := durable.ReadJSON(path, &got); !errors.Is(err, durable.ErrDamaged) {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
	for bit := range 8 * len(text) {
		flipped := bytes.Clone(text)
		flipped[bit/8] ^= 1 << (bit % 8)
		damaged(flipped)
	}
	for n := range text {
		damaged(text[:n])
	}
	if err := durable.ReplaceJSON(path, []int{1}); err != nil {
		t.Fatal(err)
	}
	if err := durable.ReadJSON(path, &got); !errors.Is(err, durable.ErrDamaged) {
		t.Errorf("another kind of value: %v", err)
	}
	if err := durable.ReplaceJSON(path, func() {}); err == nil {
		t.Error("a function was written")
	}
}
