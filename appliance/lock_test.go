package appliance

import (
	"errors"
	"io"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"time"

	"vitrine/appliance/config"
	"vitrine/appliance/datadir"
)

// TestClockNeverSet: with the clock of a machine whose battery is empty nothing
// is opened, for all events would be dated by it.
func TestClockNeverSet(t *testing.T) {
	c, err := config.Load(config.Sources{File: "/dev/null", DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	a := New(Options{Config: c, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	a.now = func() time.Time { return time.Unix(3600, 0) }
	err = a.Run(t.Context())
	var f *Fault
	if !errors.As(err, &f) || !strings.Contains(err.Error(), "it says 1970-01-01") || !strings.Contains(f.Hint, "chronyc makestep") {
		t.Errorf("with a clock in 1970: %v", err)
	}
	if _, err := datadir.Hold(c.Data.Dir, "dev"); err != nil {
		t.Errorf("the folder is held: %v", err)
	}
}

// TestOpenFault: a full disk is seen behind a library's error, and no other
// failure is taken for one.
func TestOpenFault(t *testing.T) {
	dir := t.TempDir()
	var f *Fault
	if err := openFault(syscall.ENOSPC, dir); !errors.As(err, &f) || !strings.Contains(f.Hint, "make room on the disk of "+dir) {
		t.Errorf("ENOSPC: %v", err)
	}
	if err := openFault(errors.New("broken"), dir); errors.As(err, &f) || err.Error() != "open "+dir+": broken" {
		t.Errorf("another failure: %v", err)
	}
}
