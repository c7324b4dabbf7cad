package archive

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
)

// ErrBusy says that files cannot be replaced now because somebody reads.
var ErrBusy = errors.New("the archive is being read")

// hold keeps the files where they are: as long as anybody holds them, in this
// process or another, none is replaced or dropped, so that what was listed can be
// read. The lock is the kernel's, on the root, and goes with the process.
//
// It need not be waited for long: files are written before they are put in the
// place of others, which takes milliseconds.
func (a *Archive) hold(ctx context.Context) (release func(), err error) {
	if a.held != nil { // by OpenReadOnly, until Close
		return func() {}, nil
	}
	return a.flock(ctx, syscall.LOCK_SH)
}

// exclude waits for nobody: it is ErrBusy while somebody holds the files.
func (a *Archive) exclude(ctx context.Context) (release func(), err error) {
	return a.flock(ctx, syscall.LOCK_EX|syscall.LOCK_NB)
}

func (a *Archive) flock(ctx context.Context, how int) (release func(), err error) {
	dir, err := os.Open(a.dir)
	if isGone(err) {
		return func() {}, nil // nothing is there to be read or replaced
	}
	if err != nil {
		return nil, fmt.Errorf("hold archive: %w", err)
	}
	for {
		switch err = syscall.Flock(int(dir.Fd()), how); {
		case err == nil:
			return func() { _ = dir.Close() }, nil
		case errors.Is(err, syscall.EINTR) && ctx.Err() == nil:
			continue
		case errors.Is(err, syscall.EWOULDBLOCK):
			err = ErrBusy
		case ctx.Err() != nil:
			err = ctx.Err()
		}
		_ = dir.Close()
		return nil, fmt.Errorf("hold archive %s: %w", a.dir, err)
	}
}

// Close lets go of an archive that was opened for reading only. Its parts cannot
// be read any more. An archive opened for writing needs none.
func (a *Archive) Close() {
	if a.held != nil {
		a.held()
		a.held = nil
	}
}
