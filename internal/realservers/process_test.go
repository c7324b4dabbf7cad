package realservers

import (
	"errors"
	"net"
	"os/exec"
	"strings"
	"testing"
)

func TestListens(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if ok, state := listens(l.Addr().String()); !ok || state != "" {
		t.Errorf("who takes connections: %v, %q", ok, state)
	}
	if ok, state := listens("127.0.0.1:1"); ok || !strings.Contains(state, "refused") { // nobody is given this port
		t.Errorf("who does not: %v, %q", ok, state)
	}
}

func TestRun(t *testing.T) {
	if out, err := run(exec.CommandContext(t.Context(), "sh", "-c", "echo told; echo more >&2"), "tell"); err != nil || out != "told\nmore\n" {
		t.Errorf("run gives %q, %v", out, err)
	}
	_, err := run(exec.CommandContext(t.Context(), "sh", "-c", "echo no; exit 3"), "ask")
	var exit *exec.ExitError
	if !errors.As(err, &exit) || err.Error() != "ask: exit status 3\nno\n" {
		t.Errorf("a program that fails: %v", err)
	}
}
