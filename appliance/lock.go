package appliance

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// folder is the data folder, held by this process alone.
type folder struct {
	dir  string
	lock *os.File
}

// holdFolder makes the data folder if need be and locks it. The lock is the
// kernel's: it goes with the process, however that ends.
func holdFolder(dir string) (*folder, error) {
	if err := os.MkdirAll(filepath.Join(dir, "state"), 0o750); err != nil {
		return nil, &Fault{Op: "make data folder " + dir, Err: bare(err), Hint: folderHint(err, dir)}
	}
	f, err := os.OpenFile(filepath.Join(dir, "state", "lock"), os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, &Fault{Op: "lock data folder " + dir, Err: bare(err), Hint: folderHint(err, dir)}
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder, _ := os.ReadFile(f.Name())
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, &Fault{
				Op: "lock data folder", Err: fmt.Errorf("%s is in use by vitrine process %s", dir, strings.TrimSpace(string(holder))),
				Hint: "stop that process, or give this one another folder with --data DIR",
			}
		}
		return nil, &Fault{Op: "lock data folder", Err: err, Hint: "the folder must be on a local file system"}
	}
	// The number is for the message above only; the lock does not depend on it.
	_ = f.Truncate(0)
	_, _ = f.WriteAt([]byte(fmt.Sprintf("%d\n", os.Getpid())), 0)
	return &folder{dir: dir, lock: f}, nil
}

// folderHint is what to do about a folder that cannot be written.
func folderHint(err error, dir string) string {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return "make room on the disk of " + dir + " and start again; what was acknowledged is kept"
	case errors.Is(err, syscall.EROFS):
		return "a disk with errors becomes read-only: look at dmesg, then mount -o remount,rw; or give another folder with --data DIR"
	}
	return "give another folder with --data DIR, or run as a user who may write there"
}

// openFault is what kept the parts from opening. Libraries hide a full disk
// behind errors of their own, so the disk is asked.
func openFault(err error, dir string) error {
	const little = 1 << 20
	if free, _ := disk(dir); errors.Is(err, syscall.ENOSPC) || free >= 0 && free < little {
		return &Fault{Op: "open " + dir, Err: fmt.Errorf("the disk is full: %w", err), Hint: folderHint(syscall.ENOSPC, dir)}
	}
	return fmt.Errorf("open %s: %w", dir, err)
}

// released is a time that no right clock is before.
const released = 1_735_689_600 // 2025-01-01

// checkClock refuses a clock that was never set. Events that bring a later
// time of their own would be set back to it, and those without one be dated
// by it, for ever.
func checkClock(now time.Time) error {
	if now.Unix() >= released {
		return nil
	}
	return &Fault{
		Op: "read the clock", Err: fmt.Errorf("it says %s, and events are kept by date", now.UTC().Format(time.DateOnly)),
		Hint: "set it and start again: chronyc makestep, or date -s; systemctl enable chronyd keeps it right",
	}
}

// bare leaves out the path of an error that is told with the folder.
func bare(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

func (f *folder) path(parts ...string) string {
	return filepath.Join(append([]string{f.dir}, parts...)...)
}

func (f *folder) release() error { return f.lock.Close() }
