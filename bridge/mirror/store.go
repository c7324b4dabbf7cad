package mirror

import (
	"context"
	"fmt"
	"io"
	"time"
)

// Store is a file system elsewhere, such as HDFS. Paths lie below its root and
// have slashes. Every call ends soon after its context does, also when the other
// side accepted it and stays silent; it may be made again after any error.
// All methods may be called from several goroutines.
type Store interface {
	Writer
	Reader
	Editor
	// Close lets go of all connections.
	Close() error
}

// Writer brings files there.
type Writer interface {
	// Write makes a file of what src has, in place of one that is there, and the
	// folders that it lies in. When it returns nil the file is complete and as
	// durable as the store makes things. After an error anything may lie there, and
	// a server that is late may touch it again: the next try takes another path.
	Write(ctx context.Context, path string, src io.Reader) error
}

// Reader tells what is there.
type Reader interface {
	// List gives the entries of a folder by name; one that is not there has
	// none.
	List(ctx context.Context, dir string) ([]Entry, error)
	// Open reads a file; the error of one that is not there is fs.ErrNotExist.
	// The context holds for reading, too.
	Open(ctx context.Context, path string) (io.ReadCloser, error)
}

// Entry is a file or folder.
type Entry struct {
	Name  string
	Bytes int64
	Dir   bool
}

// Editor moves and removes.
type Editor interface {
	// Rename moves a file in one step, in place of one that is there, and makes
	// the folders of its new place. The error of one that is not there is
	// fs.ErrNotExist.
	Rename(ctx context.Context, from, to string) error
	// Remove removes a file; one that is not there is removed already.
	Remove(ctx context.Context, path string) error
}

// SilentError is a store's error when a server accepted what was sent and did
// not answer.
type SilentError struct {
	Address string
	For     time.Duration
}

// Error names the server.
func (e *SilentError) Error() string {
	return fmt.Sprintf("%s has been silent for %v", e.Address, e.For)
}

// Is makes it a context.DeadlineExceeded.
func (e *SilentError) Is(target error) bool { return target == context.DeadlineExceeded }

// AdviceError is a store's error that knows what to do about it.
type AdviceError struct {
	Err error
	// Advice is for the operator: what to look at or to type next.
	Advice string
}

// Error is that of Err.
func (e *AdviceError) Error() string { return e.Err.Error() }

// Unwrap gives Err.
func (e *AdviceError) Unwrap() error { return e.Err }
