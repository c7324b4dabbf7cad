package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestPowerCut cuts the power during ingest, again and again: the daemon is
// killed, and what the file system has not written to its disk by then is
// dropped. The disk is a file with an ext4 in it: the copy of that file, made
// right after the kill, has what was synced, and is the disk from then on. In
// the end every acknowledged event must be in the archive exactly once.
//
// VITRINE_POWER_CUTS sets the number of cuts, 2 by default; make kill-table does
// 20. It needs root, for the mount.
func TestPowerCut(t *testing.T) {
	skipShort(t)
	t.Parallel()
	cuts := 2
	if n, err := strconv.Atoi(os.Getenv("VITRINE_POWER_CUTS")); err == nil {
		cuts = n
	}
	d := newDisk(t)
	ledger := &ledger{sent: map[string]bool{}, acked: map[string]bool{}}
	random := rand.New(rand.NewPCG(9, 9))
	for n := range cuts {
		daemon := start(t, d.data(), "--set", "archive.commit_every=1s")
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() { ledger.load(daemon.url, fmt.Sprintf("p%d-w%d", n, w), stop) })
		}
		if n%2 == 0 { // the others come whenever they come, also at once
			ledger.grows(t, 100)
		}
		time.Sleep(500*time.Millisecond + time.Duration(random.Int64N(int64(2*time.Second))))
		daemon.kill()
		d.cut()
		close(stop)
		wg.Wait()
	}
	start(t, d.data(), "--set", "archive.commit_every=1s").settle()

	found := archived(t, d.data())
	lost, doubled, invented := ledger.compare(found)
	t.Logf("kill table, power cut: %d cuts | %d sent | %d acknowledged | %d in the archive | %d lost | %d doubled | %d never sent",
		cuts, len(ledger.sent), len(ledger.acked), len(found), lost, doubled, invented)
	if lost+doubled+invented > 0 {
		t.Errorf("%d lost, %d doubled, %d never sent", lost, doubled, invented)
	}
	if len(ledger.acked) < 50*cuts {
		t.Errorf("only %d events acknowledged: the test does not load the daemon", len(ledger.acked))
	}
}

// disk is a file with a file system in it that is mounted.
type disk struct {
	t      *testing.T
	n      int
	folder string
}

func newDisk(t *testing.T) *disk {
	t.Helper()
	for _, program := range []string{"mkfs.ext4", "mount", "umount"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("a power cut needs a file system of its own: %v", err)
		}
	}
	d := &disk{t: t, folder: t.TempDir()}
	f, err := os.Create(d.image())
	if err != nil {
		t.Fatal(err)
	}
	// Sparse: it takes what is written.
	if err := f.Truncate(1 << 30); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-E", "lazy_itable_init=1,lazy_journal_init=1", d.image()).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := d.mount(); err != nil {
		t.Skipf("a power cut needs a mount, which is not allowed here: %s", out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", d.point()).Run() })
	return d
}

func (d *disk) image() string { return filepath.Join(d.folder, fmt.Sprintf("disk%d", d.n)) }
func (d *disk) point() string { return filepath.Join(d.folder, fmt.Sprintf("mounted%d", d.n)) }
func (d *disk) data() string  { return filepath.Join(d.point(), "data") }

func (d *disk) mount() (out string, err error) {
	if err := os.Mkdir(d.point(), 0o755); err != nil {
		return err.Error(), err
	}
	text, err := exec.Command("mount", "-o", "loop", d.image(), d.point()).CombinedOutput()
	return strings.TrimSpace(string(text)), err
}

// cut makes the disk what it would be after the power had gone now.
func (d *disk) cut() {
	d.t.Helper()
	old, point := d.image(), d.point()
	d.n++
	if out, err := exec.Command("cp", "--sparse=always", old, d.image()).CombinedOutput(); err != nil {
		d.t.Fatalf("%v\n%s", err, out)
	}
	// A child of the daemon takes a moment to follow it, and holds files open.
	until(d.t, "the old disk is let go", func() bool {
		out, err := exec.Command("umount", point).CombinedOutput()
		if err != nil && !strings.Contains(string(out), "busy") {
			d.t.Fatalf("%v\n%s", err, out)
		}
		return err == nil
	})
	if err := os.Remove(old); err != nil {
		d.t.Fatal(err)
	}
	if out, err := d.mount(); err != nil {
		d.t.Fatalf("%v: %s", err, out)
	}
}
