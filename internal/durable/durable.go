// Package durable changes files so that a crash leaves them as they were or
// as they should be.
//
// It owns the order of writing, syncing and renaming. It is a leaf and imports
// nothing of this module.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// SyncDir makes the names in a folder durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err == nil {
		err = errors.Join(d.Sync(), d.Close())
	}
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	return nil
}

// Replace puts what fill writes in the place of path, in one step and on disk.
// Until then the file has a name in the same folder that pattern gives, as
// os.CreateTemp takes it; a crash can leave it behind. Its mode is 0600 unless
// fill changes it.
func Replace(path, pattern string, fill func(f *os.File) error) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, pattern)
	if err != nil {
		return err
	}
	if err = fill(f); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return SyncDir(dir)
}

// Remove takes the file at path away, which need not be there, and returns when
// that is on disk: else a crash of the machine may bring it back.
func Remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return SyncDir(filepath.Dir(path))
}
