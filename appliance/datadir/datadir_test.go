package datadir

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestClaim(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"a new folder", "", ""},
		{"the same", `{"format":1,"vitrine":"1.0"}`, ""},
		{"an older program", `{"format":1,"vitrine":"0.9"}`, ""},
		{"a newer program, same format", `{"format":1,"vitrine":"7"}`, ""},
		{"a later format", `{"format":2,"vitrine":"7.1"}`, "format 2, written by vitrine 7.1; this is vitrine 1.0, which reads format 1"},
		{"no format", `{"vitrine":"7.1"}`, "format 0"},
		{"damaged", `{"form`, "state/format"},
		{"half restored", `{"format":1,"vitrine":"1.0","restoring":true}`, "not wholly restored"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, "state"), 0o750); err != nil {
				t.Fatal(err)
			}
			if c.text != "" {
				if err := os.WriteFile(path(dir), []byte(c.text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			err := Claim(dir, "1.0")
			if c.want != "" {
				var of *FormatError
				if err == nil || !strings.Contains(err.Error(), c.want) || errors.As(err, &of) && !strings.Contains(of.Hint(), "run vitrine 7.1") {
					t.Fatalf("%v", err)
				}
				if text, _ := os.ReadFile(path(dir)); string(text) != c.text {
					t.Errorf("it was changed to %s", text)
				}
				return
			}
			text, _ := os.ReadFile(path(dir))
			if err != nil || strings.TrimSpace(string(text)) != `{"format":1,"vitrine":"1.0"}` {
				t.Fatalf("%v, %s", err, text)
			}
		})
	}
}

func TestRestoring(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "state"), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := Restoring(dir, "1"); err != nil || !IsRestoring(dir) || !errors.Is(Claim(dir, "1"), ErrRestoring) {
		t.Fatal(err)
	}
	if err := Restored(dir, "1"); err != nil || IsRestoring(dir) || Claim(dir, "1") != nil {
		t.Fatal(err)
	}
}

// TestHoldSweeps: what a kill left half-written is gone when the folder is held, and
// stays while another process has it.
func TestHoldSweeps(t *testing.T) {
	dir := t.TempDir()
	var left []string
	for _, name := range []string{".keys.1.tmp", "state/.wanted.json.2.tmp", "state/rules/.7.json.3.tmp", "bus/.lost.json.4.tmp", "deadletters/.dropped.5.tmp"} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o750), os.WriteFile(path, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		left = append(left, path)
	}
	kept := filepath.Join(dir, "state", "rules", "7.json")
	if err := os.WriteFile(kept, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Hold(dir, "1"); err == nil {
		t.Fatal("two have the folder")
	}
	for _, path := range append(left, kept) {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	if err := f.Release(); err != nil {
		t.Fatal(err)
	}
	if f, err = Hold(dir, "1"); err != nil {
		t.Fatal(err)
	}
	defer f.Release()
	for _, path := range left {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s is left", path)
		}
	}
	if _, err := os.Stat(kept); err != nil {
		t.Error(err)
	}
}
