package systemd

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// manager is the other end of the socket.
func manager(t *testing.T, usec string) (*Unit, *net.UnixConn) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	u, err := Connect(func(key string) string { return map[string]string{"NOTIFY_SOCKET": name, "WATCHDOG_USEC": usec}[key] })
	if err != nil {
		t.Fatal(err)
	}
	return u, conn
}

func heard(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	buf := make([]byte, 1000)
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

func TestNoManager(t *testing.T) {
	u, err := Connect(func(string) string { return "" })
	if u != nil || err != nil {
		t.Fatal(u, err)
	}
	if err := u.Tell("READY=1"); err != nil {
		t.Error(err)
	}
	u.Watch(t.Context(), nil, slog.New(slog.DiscardHandler)) // returns at once
}

func TestTell(t *testing.T) {
	u, conn := manager(t, "")
	if err := u.Tell("READY=1", Status("two\nlines")); err != nil {
		t.Fatal(err)
	}
	if got := heard(t, conn); got != "READY=1\nSTATUS=two lines" {
		t.Errorf("heard %q", got)
	}
}

// TestWatch: the watchdog is fed as long as the probe is content, and only then.
func TestWatch(t *testing.T) {
	u, conn := manager(t, "80000")
	ctx, cancel := context.WithCancel(t.Context())
	var broken atomic.Bool
	done, asked := make(chan struct{}), make(chan struct{}, 1000)
	go func() {
		defer close(done)
		u.Watch(ctx, func(context.Context) error {
			select {
			case asked <- struct{}{}:
			default:
			}
			if broken.Load() {
				return errors.New("no answer")
			}
			return nil
		}, slog.New(slog.DiscardHandler))
	}()
	for range 3 {
		if got := heard(t, conn); got != "WATCHDOG=1" {
			t.Fatalf("heard %q", got)
		}
	}
	broken.Store(true)
	for len(asked) > 0 {
		<-asked
	}
	for range 2 { // the first may have been content; what it sent is there before the second
		<-asked
	}
	said := func(mark string) {
		t.Helper()
		if err := u.Tell(mark); err != nil {
			t.Fatal(err)
		}
	}
	for said("MARK=1"); heard(t, conn) != "MARK=1"; {
	}
	for range 4 {
		<-asked
	}
	cancel()
	<-done
	if said("MARK=2"); heard(t, conn) != "MARK=2" {
		t.Error("a broken appliance feeds the watchdog")
	}
}

// TestSilentManager: one that reads nothing is told no more when its queue is
// full, and what feeds the watchdog ends all the same.
func TestSilentManager(t *testing.T) {
	u, conn := manager(t, "40000")
	u.patience = 10 * time.Millisecond
	told, err := 0, error(nil)
	for ; err == nil && told < 1<<20; told++ {
		err = u.Tell("STATUS=busy")
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the datagram %d: %v", told, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done, asked := make(chan struct{}), make(chan struct{}, 1)
	go func() {
		defer close(done)
		u.Watch(ctx, func(context.Context) error {
			select {
			case asked <- struct{}{}:
			default:
			}
			return nil
		}, slog.New(slog.DiscardHandler))
	}()
	for range 3 { // asked goes on, though nothing is heard
		<-asked
	}
	cancel()
	<-done
	if got := heard(t, conn); got != "STATUS=busy" {
		t.Errorf("heard %q", got)
	}
	if err := u.Tell("READY=1"); err != nil {
		t.Errorf("it reads again: %v", err)
	}
}
