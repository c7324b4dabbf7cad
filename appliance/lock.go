package appliance

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// folder is the data folder, held by this process alone.
type folder struct {
	dir  string
	lock *os.File
}

// holdFolder makes the data folder if need be and locks it. The lock is the
// kernel's: it goes with the process, however that ends.
func holdFolder(dir string) (*folder, error) {
	hint := "give another folder with --data DIR, or run as a user who may write there"
	if err := os.MkdirAll(filepath.Join(dir, "state"), 0o750); err != nil {
		return nil, &Fault{Op: "make data folder " + dir, Err: bare(err), Hint: hint}
	}
	f, err := os.OpenFile(filepath.Join(dir, "state", "lock"), os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, &Fault{Op: "lock data folder " + dir, Err: bare(err), Hint: hint}
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
