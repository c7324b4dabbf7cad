package settings

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vitrine/appliance/config"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestAnswers: an answer is written even if it is the default (a file before
// may say otherwise), what was set before stays, nothing else is written.
func TestAnswers(t *testing.T) {
	file := write(t, filepath.Join(t.TempDir(), "conf.d", Name), "[train]\nschedule = \"6h\"\n")
	before, err := Current(file)
	if err != nil {
		t.Fatal(err)
	}
	text, _, err := FromAnswers(before, []string{"http.listen=127.0.0.1:8080", "recommend.exclude_seen=true"})
	if err != nil {
		t.Fatal(err)
	}
	want := header + "\n[http]\nlisten = \"127.0.0.1:8080\"\n\n[train]\nschedule = \"6h\"\n\n[recommend]\nexclude_seen = true\n"
	if text != want {
		t.Errorf("got\n%swant\n%s", text, want)
	}
	write(t, file, text)
	c, err := Current(file)
	if err != nil || !c.Recommend.ExcludeSeen {
		t.Errorf("what was written is not read: %v", err)
	}
	var faults config.Faults
	if _, _, err := FromAnswers(before, []string{"train.schedule=soon"}); !errors.As(err, &faults) {
		t.Errorf("a wrong answer passes: %v", err)
	}
}

// TestAnswersFile: unknown keys of a file are named with line and nearest key.
func TestAnswersFile(t *testing.T) {
	file := write(t, filepath.Join(t.TempDir(), "answers.toml"), "[http]\nlisten = \"127.0.0.1:9\"\nlistem = \"x\"\n[kafak]\nx = 1\n")
	_, _, err := FromFile(file)
	if err == nil {
		t.Fatal("passes")
	}
	for _, want := range []string{file + `:3: unknown key "http.listem" (nearest key: http.listen)`, file + ":4: unknown table [kafak]"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q lacks %q", err, want)
		}
	}
}

// TestWrite: a configuration that is refused leaves everything as it was.
func TestWrite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "conf.d", Name)
	read := func(name string) string {
		text, _ := os.ReadFile(name)
		return string(text)
	}
	good, bad := func() error { return nil }, func() error { return errors.New("refused") }
	if err := Write(file, "1", bad); err == nil || read(file) != "" {
		t.Errorf("%v, %q is left", err, read(file))
	}
	if err := Write(file, "1", good); err != nil || read(file) != "1" {
		t.Errorf("%v %q", err, read(file))
	}
	if err := Write(file, "2", bad); err == nil || read(file) != "1" {
		t.Errorf("%v, %q is left", err, read(file))
	}
	if err := Write(file, "2", good); err != nil || read(file) != "2" || read(file+".bak") != "1" {
		t.Errorf("%v %q %q", err, read(file), read(file+".bak"))
	}
	if err := Write(file, "2", good); err != nil || read(file+".bak") != "1" {
		t.Errorf("writing the same again takes the file before: %q", read(file+".bak"))
	}
}

func TestDemo(t *testing.T) {
	for _, c := range []struct{ before, after string }{
		{"A=1\nVITRINE_OPTIONS=\nB=2\n", "A=1\nVITRINE_OPTIONS=--demo\nB=2\n"},
		{"VITRINE_OPTIONS=--demo\n", "VITRINE_OPTIONS=--demo\n"},
		{"VITRINE_OPTIONS=\"--set x=y\"\n", "VITRINE_OPTIONS=\"--demo --set x=y\"\n"},
	} {
		file := write(t, filepath.Join(t.TempDir(), "sysconfig"), c.before)
		if err := Demo(file); err != nil {
			t.Fatal(err)
		}
		if text, _ := os.ReadFile(file); string(text) != c.after {
			t.Errorf("%q became %q, want %q", c.before, text, c.after)
		}
	}
}

func TestDiff(t *testing.T) {
	got := strings.Join(Diff("a\nb\nc\n", "a\nx\nc\nd\n"), " ")
	if got != "-b +x +d" {
		t.Error(got)
	}
	if d := Diff("a\nb", "a\nb"); d != nil {
		t.Error(d)
	}
}
