package realservers

import (
	"net"
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
