package e2e

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestService: to its service manager the appliance says when it is ready,
// that it answers (by a list over the socket, for the watchdog), that it
// reloads and that it stops; a configuration that is refused changes nothing.
func TestService(t *testing.T) {
	skipShort(t)
	socket := filepath.Join(shortDir(t), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	t.Setenv("NOTIFY_SOCKET", socket)
	t.Setenv("WATCHDOG_USEC", "400000")
	// What is not read fills the kernel's queue within a second, and would then
	// hold the appliance up.
	var heard syncBuffer
	go func() {
		buf := make([]byte, 1000)
		for {
			n, err := manager.Read(buf)
			if err != nil {
				return
			}
			_, _ = heard.Write(append(buf[:n:n], 0))
		}
	}()
	at := 0
	hears := func(want string) {
		t.Helper()
		until(t, "the manager hears "+want, func() bool {
			before, _, found := strings.Cut(heard.String()[at:], want)
			if found {
				at += len(before) + len(want)
			}
			return found
		})
	}

	dir := shortDir(t)
	file := filepath.Join(dir, "vitrine.toml")
	configure := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	configure("[recommend]\nlimit = 3\n")
	d := start(t, filepath.Join(dir, "data"), "--config", file)
	hears("READY=1")
	hears("WATCHDOG=1")

	configure("[recommend]\nlimits = 5\n")
	if err := d.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	hears("STATUS=serves with the old configuration")
	d.says("nearest key: recommend.limit")
	hears("WATCHDOG=1")

	configure("[recommend]\nlimit = 5\n[log]\nformat = \"json\"\n")
	if err := d.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	hears("RELOADING=1")
	hears("READY=1")
	hears("WATCHDOG=1")
	d.says(`{"time"`)
	d.stop()
	hears("STOPPING=1")
}
