package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestBadDisks starts the daemon on disks that are full or read-only, with an
// empty folder and with one that holds events: the fault and the fix are told,
// and nothing is lost.
func TestBadDisks(t *testing.T) {
	skipShort(t)
	t.Parallel()
	disk := shortDir(t)
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=64m"); err != nil {
		t.Skip("a small disk cannot be mounted here: ", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	dir, filler := filepath.Join(disk, "data"), filepath.Join(disk, "filler")
	d := start(t, dir, "--set", "bus.min_free=16MiB")
	if code, body := d.send(http.MethodPost, "/v1/events", "application/json", `{"user_id":"kept","item_id":"i3","event_type":"cart"}`); code != http.StatusAccepted {
		t.Fatalf("%d %s", code, body)
	}
	d.stop()

	fill(t, filler, disk, 0)
	hint := "hint: make room on the disk of "
	serveFails(t, dir).complains(t, 1, "the disk is full", hint+dir)
	serveFails(t, filepath.Join(disk, "new")).complains(t, 1, "the disk is full", hint+filepath.Join(disk, "new"))
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	readOnly := func(flags uintptr) {
		t.Helper()
		if err := syscall.Mount("", disk, "", syscall.MS_REMOUNT|flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	readOnly(syscall.MS_RDONLY)
	for _, dir := range []string{dir, filepath.Join(disk, "other")} {
		serveFails(t, dir).complains(t, 1, "data folder "+dir+": read-only file system", "hint: a disk with errors becomes read-only: look at dmesg, then mount -o remount,rw")
	}
	if r := vitrine(t, "preflight", "--lang", "en", "--data", dir); !strings.Contains(r.out, "the file system is mounted read-only") {
		t.Errorf("preflight does not see a read-only disk:\n%s", r.out)
	}
	readOnly(0)

	d = start(t, dir, "--set", "bus.min_free=16MiB")
	var history struct {
		Events []struct {
			ItemID string `json:"item_id"`
		} `json:"events"`
	}
	d.get("/v1/users/kept/history", &history)
	if len(history.Events) != 1 || history.Events[0].ItemID != "i3" {
		t.Errorf("after a full and a read-only disk: %+v", history)
	}
	d.stop()
}
