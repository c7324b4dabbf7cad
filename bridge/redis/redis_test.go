package redis

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
)

func TestPut(t *testing.T) {
	server := miniredis.RunT(t)
	s := New(Options{Address: server.Addr()})
	defer s.Close()
	if err := s.Put(t.Context(), []Entry{{"a", "1,2"}, {"b", "3"}}, time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), []Entry{{"b", ""}, {"never", ""}}, time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), nil, time.Minute); err != nil {
		t.Fatal(err)
	}
	if got, err := server.Get("a"); err != nil || got != "1,2" || server.TTL("a") != time.Minute || server.Exists("b") {
		t.Errorf("a is %q (%v), for %v; b is there: %v", got, err, server.TTL("a"), server.Exists("b"))
	}
	server.Close()
	if err := s.Put(t.Context(), []Entry{{"a", "x"}}, time.Minute); err == nil || !strings.Contains(err.Error(), "write to redis: ") {
		t.Errorf("a server that is gone: %v", err)
	}
	// Somebody's outgoing connection may have the port for a while.
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		err := server.Restart()
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	if err := s.Put(t.Context(), []Entry{{"a", "x"}}, time.Minute); err != nil {
		t.Errorf("a server that is back: %v", err)
	}
}

// TestPassword: it is read for each connection, so a file that is mended counts.
func TestPassword(t *testing.T) {
	server := miniredis.RunT(t)
	server.RequireUserAuth("shop", "right")
	file := filepath.Join(t.TempDir(), "password")
	s := New(Options{Address: server.Addr(), User: "shop", PasswordFile: file})
	defer s.Close()
	put := func() error { return s.Put(t.Context(), []Entry{{"a", "1"}}, time.Minute) }
	if err := put(); err == nil || !strings.Contains(err.Error(), "read the password of redis") {
		t.Errorf("without a file: %v", err)
	}
	for _, test := range []struct {
		password string
		ok       bool
	}{{"\n", false}, {"wrong\n", false}, {"right\n", true}} {
		if err := os.WriteFile(file, []byte(test.password), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := put(); (err == nil) != test.ok {
			t.Errorf("with the password %q: %v", test.password, err)
		}
	}
}

func TestGivenUp(t *testing.T) {
	s := New(Options{Address: miniredis.RunT(t).Addr()})
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Put(ctx, []Entry{{"a", "1"}}, time.Minute); err == nil {
		t.Error("a call that was given up has written")
	}
}
