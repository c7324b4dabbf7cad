// Package disk tells what the system knows of disks, and of errors of files.
//
// It owns nothing but that. It is a leaf and imports nothing of this module.
package disk

import (
	"errors"
	"io/fs"
	"syscall"
)

// Space is what an unprivileged process may still write to the disk under dir,
// and the size of that disk, in bytes.
func Space(dir string) (free, size uint64, err error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, 0, err
	}
	return st.Bavail * uint64(st.Bsize), st.Blocks * uint64(st.Bsize), nil
}

// WithoutPath drops the path from an error that is told with it anyway.
func WithoutPath(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
