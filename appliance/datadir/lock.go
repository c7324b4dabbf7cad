package datadir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"vitrine/internal/disk"
	"vitrine/internal/durable"
)

// Folder is a data folder, held by this process alone.
type Folder struct {
	dir  string
	lock *os.File
}

// Hold locks the data folder and checks that it is one of this version's.
func Hold(dir, version string) (*Folder, error) {
	f, err := Lock(dir)
	if err != nil {
		return nil, err
	}
	if err := Claim(dir, version); err != nil {
		if errors.Is(err, syscall.ENOSPC) {
			return nil, errors.Join(Full("open data folder", dir, err), f.Release())
		}
		hint := "look at state/format in it; a data folder is moved with vitrine backup and vitrine restore"
		var other *FormatError
		switch {
		case errors.As(err, &other):
			hint = other.Hint()
		case errors.Is(err, ErrRestoring):
			hint = "run vitrine restore again"
		}
		return nil, errors.Join(&Fault{Op: "open data folder", Err: err, Hint: hint}, f.Release())
	}
	f.sweep()
	return f, nil
}

// sweep removes the half-written files of processes that were killed, which lie in the
// folder, in those of its parts, and in those of the state's.
func (f *Folder) sweep() {
	dirs := []string{f.dir}
	for _, in := range []string{"*", filepath.Join("state", "*")} {
		found, _ := filepath.Glob(f.Path(in)) // files among them have nothing
		dirs = append(dirs, found...)
	}
	durable.Sweep(dirs...)
}

// Lock makes the data folder if need be and locks it. The lock is the
// kernel's: it goes with the process, however that ends.
func Lock(dir string) (*Folder, error) {
	if err := os.MkdirAll(filepath.Join(dir, "state"), 0o750); err != nil {
		return nil, &Fault{Op: "make data folder " + dir, Err: disk.WithoutPath(err), Hint: Hint(err, dir)}
	}
	f, err := os.OpenFile(filepath.Join(dir, "state", "lock"), os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, &Fault{Op: "lock data folder " + dir, Err: disk.WithoutPath(err), Hint: Hint(err, dir)}
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
	return &Folder{dir: dir, lock: f}, nil
}

// Full is what could not be done in a data folder whose disk is full.
func Full(op, dir string, err error) *Fault {
	return &Fault{Op: op, Err: fmt.Errorf("the disk is full: %w", err), Hint: Hint(syscall.ENOSPC, dir)}
}

// Hint is what to do about a folder that cannot be written.
func Hint(err error, dir string) string {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return "make room on the disk of " + dir + " and start again; what was acknowledged is kept"
	case errors.Is(err, syscall.EROFS):
		return "a disk with errors becomes read-only: look at dmesg, then mount -o remount,rw; or give another folder with --data DIR"
	}
	return "give another folder with --data DIR, or run as a user who may write there"
}

// Path is that of something in the folder.
func (f *Folder) Path(parts ...string) string {
	return filepath.Join(append([]string{f.dir}, parts...)...)
}

// Release lets go of the folder.
func (f *Folder) Release() error { return f.lock.Close() }
