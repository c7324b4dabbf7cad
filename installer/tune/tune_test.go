package tune

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// machine is a root with these sysctls.
func machine(t *testing.T, values map[string]string) Options {
	t.Helper()
	opt := Options{Root: t.TempDir()}
	for key, value := range values {
		name := opt.live(key)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(value+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return opt
}

func value(t *testing.T, opt Options, key string) string {
	t.Helper()
	text, err := os.ReadFile(opt.live(key))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// TestRatchet: what is high enough is not touched, not even by the article's
// own file-max; apply twice is apply once; undo brings back what was.
func TestRatchet(t *testing.T) {
	before := map[string]string{
		"net.core.somaxconn": "128", "net.ipv4.tcp_max_syn_backlog": "8192", "fs.file-max": "26800000", "net.ipv4.tcp_tw_reuse": "0",
	}
	opt := machine(t, before)
	if plan := Plan(opt); plan.Changed != nil || value(t, opt, "net.core.somaxconn") != "128" {
		t.Fatal("a plan changes something")
	}
	first, err := Apply(opt)
	if err != nil {
		t.Fatal(err)
	}
	if len(first.Changed) != 1 || value(t, opt, "net.core.somaxconn") != "4096" || value(t, opt, "fs.file-max") != "26800000" {
		t.Fatalf("changed %v", first.Changed)
	}
	dropIn, err := os.ReadFile(opt.path(DropIn))
	if err != nil || !strings.HasSuffix(string(dropIn), "\nnet.core.somaxconn = 4096\n") || strings.Contains(string(dropIn), "file-max") {
		t.Fatalf("drop-in: %v\n%s", err, dropIn)
	}
	second, err := Apply(opt)
	if err != nil || len(second.Changed) != 0 {
		t.Fatalf("applied again: %v %v", second.Changed, err)
	}
	if again, _ := os.ReadFile(opt.path(DropIn)); string(again) != string(dropIn) {
		t.Errorf("applied again the drop-in is another:\n%s", again)
	}
	if _, err := Undo(opt); err != nil {
		t.Fatal(err)
	}
	for key, want := range before {
		if got := value(t, opt, key); got != want {
			t.Errorf("%s is %s after undo, was %s", key, got, want)
		}
	}
	if _, err := os.Stat(opt.path(DropIn)); err == nil {
		t.Error("the drop-in is still there")
	}
	if out, err := Undo(opt); err != nil || len(out.Changed) != 0 {
		t.Errorf("undo again: %v %v", out.Changed, err)
	}
}

// TestUndoLeaves: a value that the operator has set since is his.
func TestUndoLeaves(t *testing.T) {
	opt := machine(t, map[string]string{"net.core.somaxconn": "128"})
	if _, err := Apply(opt); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(opt.live("net.core.somaxconn"), []byte("65535\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := Undo(opt)
	if err != nil || len(out.Changed) != 0 || value(t, opt, "net.core.somaxconn") != "65535" {
		t.Errorf("undo took a foreign value: %+v %v", out, err)
	}
}

// TestBrokenState: a torn memory of what was is refused, not overwritten.
func TestBrokenState(t *testing.T) {
	opt := machine(t, map[string]string{"net.core.somaxconn": "128"})
	if err := replace(opt.path(stateFile), "{"); err != nil {
		t.Fatal(err)
	}
	if _, err := Apply(opt); err == nil || value(t, opt, "net.core.somaxconn") != "128" {
		t.Errorf("applied over a torn state: %v", err)
	}
}
