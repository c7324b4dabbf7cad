package durable_test

import (
	"errors"
	"os"
	"path/filepath"
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
		err := durable.Replace(path, ".f-*", func(f *os.File) error {
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

func TestFoldersThatAreNotThere(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	if err := durable.SyncDir(none); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("sync: %v", err)
	}
	write := func(*os.File) error { t.Error("written"); return nil }
	if err := durable.Replace(filepath.Join(none, "f"), ".f-*", write); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("replace: %v", err)
	}
}
