package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestDiskFull lets something else fill the disk of a daemon that takes events:
// first so far that little is left, then to the last byte. Events are refused
// with a reason, lists go on, events are taken again soon after there is room,
// and what was acknowledged is there once.
func TestDiskFull(t *testing.T) {
	skipShort(t)
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=160m"); err != nil {
		t.Skip("a small disk cannot be mounted here: ", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	dir := filepath.Join(disk, "data")
	d := start(t, dir, "--set", "bus.min_free=32MiB", "--set", "archive.commit_every=1s")
	ledger := &ledger{sent: map[string]bool{}, acked: map[string]bool{}}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range 2 {
		wg.Go(func() { ledger.load(d.url, fmt.Sprint("w", w), stop) })
	}
	for round, left := range []int{8 << 20, 0} {
		filler := filepath.Join(disk, "filler")
		fill(t, filler, disk, left)
		until(t, "events are refused", func() bool { return d.event(round) != http.StatusAccepted })
		for range 50 {
			code, header, body := d.ask(http.MethodPost, "/v1/events", `{"user_id":"u","item_id":"i","event_type":"view"}`)
			if code != http.StatusServiceUnavailable || !strings.Contains(body, `"code":"disk_full"`) || header.Get("Retry-After") == "" {
				t.Fatalf("an event on a full disk gets %d %s", code, body)
			}
			var l list
			d.get("/v1/recommend?user_id=u", &l)
			time.Sleep(40 * time.Millisecond)
		}
		if _, _, metrics := d.ask(http.MethodGet, "/metrics", ""); !strings.Contains(metrics, "\nvitrine_bus_short_of_disk 1\n") {
			t.Error("no metric says that the disk is full")
		}
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		until(t, "events are taken again", func() bool { return d.event(round) == http.StatusAccepted })
		took := time.Since(began)
		figure(t, took <= 5*time.Second, "with %d MiB left: events are taken %.2f s after there was room, bar 5 s", left>>20, took.Seconds())
	}
	close(stop)
	wg.Wait()
	d.settle()
	found := archived(t, dir)
	lost, doubled := 0, 0
	for user := range ledger.acked {
		switch n := found[user]; {
		case n == 0:
			lost++
		case n > 1:
			doubled++
		}
	}
	t.Logf("%d acknowledged: %d lost, %d doubled", len(ledger.acked), lost, doubled)
	if lost+doubled > 0 || len(ledger.acked) == 0 {
		t.Errorf("%d acknowledged: %d lost, %d doubled\n%s", len(ledger.acked), lost, doubled, d.err)
	}
}

// event sends one and gives the status.
func (d *daemon) event(round int) int {
	code, _ := d.send(http.MethodPost, "/v1/events", "application/json", fmt.Sprintf(`{"user_id":"probe%d","item_id":"i","event_type":"view"}`, round))
	return code
}

// fill writes a file of another program until only left bytes are free, or none
// at all.
func fill(t *testing.T, path, disk string, left int) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 1<<20); ; {
		var fs syscall.Statfs_t
		if err := syscall.Statfs(disk, &fs); err != nil {
			t.Fatal(err)
		}
		n := min(int(fs.Bavail)*int(fs.Bsize)-left, len(block))
		if n <= 0 {
			return
		}
		if _, err := f.Write(block[:n]); err != nil {
			return // the daemon took the last of it
		}
	}
}
