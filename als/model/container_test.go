package model

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

var update = flag.Bool("update", false, "write the golden files anew")

func sample() []Section {
	return []Section{
		{"head", []byte(`{"a":1}`)},
		{"empty", nil},
		{"exact", bytes.Repeat([]byte{7}, 64)},
		{"live/items", bytes.Repeat([]byte("0123456789"), 30)},
	}
}

func writeSample(t testing.TB, sections []Section) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.bundle")
	if err := WriteFile(path, sections); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestContainerRoundTrip(t *testing.T) {
	for _, sections := range [][]Section{nil, sample(), {{"a", nil}}, {{"a", []byte{1}}, {"b", nil}}} {
		path := writeSample(t, sections)
		f, err := OpenFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range sections {
			got, ok := f.Section(s.Name)
			if !ok || !bytes.Equal(got, s.Data) {
				t.Errorf("section %s: got %q, %v", s.Name, got, ok)
			}
			if addr := uintptr(unsafe.Pointer(unsafe.SliceData(got))); len(got) > 0 && addr%64 != 0 {
				t.Errorf("section %s begins at %#x", s.Name, addr)
			}
		}
		if _, ok := f.Section("other"); ok {
			t.Error("found a section that is not there")
		}
		left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*.tmp"))
		if len(left) > 0 {
			t.Errorf("temporary files left: %v", left)
		}
	}
}

func TestContainerGoldenFileStaysReadable(t *testing.T) {
	golden := filepath.Join("testdata", "container-v1.bundle")
	if *update {
		if err := WriteFile(golden, sample()); err != nil {
			t.Fatal(err)
		}
	}
	f, err := OpenFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sample() {
		if got, ok := f.Section(s.Name); !ok || !bytes.Equal(got, s.Data) {
			t.Errorf("section %s: got %q, %v", s.Name, got, ok)
		}
	}
	var now bytes.Buffer
	if err := Encode(&now, sample()); err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(now.Bytes(), old) {
		t.Error("version 1 is written differently now")
	}
}

func TestContainerNoticesEveryChangedByte(t *testing.T) {
	path := writeSample(t, sample())
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string, data []byte) {
		t.Helper()
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		for name, open := range map[string]func() error{
			"all":  func() error { _, err := OpenFile(path); return err },
			"some": func() error { _, err := OpenSections(path, func(n string) bool { return n == "head" }); return err },
		} {
			var corrupt *CorruptError
			if err := open(); !errors.As(err, &corrupt) || corrupt.Path != path {
				t.Errorf("%s, reading %s: %v", what, name, err)
			}
		}
	}
	for at := range good {
		bad := bytes.Clone(good)
		bad[at] ^= 0x10
		refused(fmt.Sprintf("byte %d changed", at), bad)
	}
	for n := range good {
		refused(fmt.Sprintf("cut to %d bytes", n), good[:n])
	}
	refused("longer", append(bytes.Clone(good), 0))
}

func TestContainerOfANewerProgram(t *testing.T) {
	path := writeSample(t, sample())
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[8] = 2
	fixHeader(data)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = OpenFile(path)
	var newer *VersionError
	if !errors.As(err, &newer) || newer.Version != 2 || !strings.Contains(err.Error(), "version 2") {
		t.Fatalf("got %v", err)
	}
}

func TestOpenWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, pipe} {
		var corrupt *CorruptError
		if _, err := OpenFile(path); !errors.As(err, &corrupt) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := OpenFile(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

func TestReadSection(t *testing.T) {
	path := writeSample(t, sample())
	if got, err := ReadSection(path, "head", 100); err != nil || string(got) != `{"a":1}` {
		t.Errorf("got %q, %v", got, err)
	}
	var corrupt *CorruptError
	if _, err := ReadSection(path, "head", 6); !errors.As(err, &corrupt) {
		t.Errorf("beyond the limit: %v", err)
	}
	if _, err := ReadSection(path, "none", 6); !errors.As(err, &corrupt) {
		t.Errorf("missing: %v", err)
	}
}

func TestWriteFileRefuses(t *testing.T) {
	many := make([]Section, maxSections+1)
	for i := range many {
		many[i].Name = fmt.Sprintf("s%d", i)
	}
	for name, sections := range map[string][]Section{
		"no name":    {{"", nil}},
		"upper case": {{"Head", nil}},
		"long name":  {{strings.Repeat("a", 41), nil}},
		"twice":      {{"a", nil}, {"a", nil}},
		"too many":   many,
	} {
		path := filepath.Join(t.TempDir(), "x")
		if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := WriteFile(path, sections); err == nil {
			t.Errorf("%s: written", name)
		}
		if old, _ := os.ReadFile(path); string(old) != "old" {
			t.Errorf("%s: the old file is gone", name)
		}
		if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
			t.Errorf("%s: left %v", name, left)
		}
	}
	if err := WriteFile(filepath.Join(t.TempDir(), "none", "x"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing folder: %v", err)
	}
}
