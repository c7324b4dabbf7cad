package hdfs_test

import (
	"context"
	"errors"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"vitrine/bridge/hdfs"
	"vitrine/bridge/mirror"
)

// silent is a server that accepts and never answers.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		var held []net.Conn // or the collector closes them
		for {
			c, err := l.Accept()
			if err != nil {
				for _, c := range held {
					_ = c.Close()
				}
				return
			}
			held = append(held, c)
		}
	}()
	return l.Addr().String()
}

// settled waits until there are no more goroutines than before.
func settled(t *testing.T, before int) {
	t.Helper()
	for begin := time.Now(); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > time.Minute {
			buf := make([]byte, 1<<16)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		}
	}
}

func TestSilentNameNode(t *testing.T) {
	address := silent(t)
	before := runtime.NumGoroutine()
	s := hdfs.New(hdfs.Options{NameNodes: []string{address}, User: "u", Timeout: 200 * time.Millisecond})
	for range 3 {
		_, err := s.List(t.Context(), "events")
		var quiet *mirror.SilentError
		if !errors.As(err, &quiet) || quiet.Address != address || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("List: %v, want the silence of %s", err, address)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	settled(t, before)
}

func TestCancelledWhileSilent(t *testing.T) {
	s := hdfs.New(hdfs.Options{NameNodes: []string{silent(t)}, User: "u", Timeout: time.Hour})
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err := s.Write(ctx, "x", strings.NewReader("x"))
	if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() == nil {
		t.Errorf("Write: %v, want the context's end", err)
	}
	settled(t, before)
}

func TestRefused(t *testing.T) {
	s := hdfs.New(hdfs.Options{NameNodes: []string{"127.0.0.1:1"}, User: "u"}) // nobody is given this port
	if err := s.Remove(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), "refused") || !strings.Contains(err.Error(), "remove hdfs:/x") {
		t.Errorf("Remove: %v", err)
	}
}

func TestKerberosBadPrincipal(t *testing.T) {
	s := hdfs.New(hdfs.Options{NameNodes: []string{"127.0.0.1:1"}, Kerberos: &hdfs.Kerberos{Principal: "shop"}})
	if _, err := s.List(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "@REALM") {
		t.Errorf("List: %v, want that the principal has no realm", err)
	}
}
