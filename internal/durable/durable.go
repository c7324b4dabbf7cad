// Package durable changes files so that a crash leaves them as they were or
// as they should be.
//
// It owns the order of writing, syncing and renaming. It is a leaf and imports
// nothing of this module.
package durable

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
)

// ErrDamaged says that a file is not what was written, or that the disk cannot give it
// any more.
var ErrDamaged = errors.New("the file is damaged")

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
// Until then the file has another name in the same folder, and a crash can leave it
// behind, for Sweep. Its mode is 0600 unless fill changes it.
func Replace(path string, fill func(f *os.File) error) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, workPrefix+filepath.Base(path)+".*"+workSuffix)
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

// The names of files that Replace is writing.
const workPrefix, workSuffix = ".", ".tmp"

// before matches the names that such files had once.
var before = regexp.MustCompile(`^(\.(begun|wanted|lost|rules|keys|work)-|(format|erasures)\.)[0-9]+(\.tmp)?$`)

// Sweep removes from folders what a crash has left of Replace, while nobody else
// writes there. What cannot be removed stays.
func Sweep(dirs ...string) {
	for _, dir := range dirs {
		entries, _ := os.ReadDir(dir) // what can be listed
		for _, e := range entries {
			name := e.Name()
			if e.Type().IsRegular() && (strings.HasPrefix(name, workPrefix) && strings.HasSuffix(name, workSuffix) || before.MatchString(name)) {
				_ = os.Remove(filepath.Join(dir, name))
			}
		}
	}
}

// Remove takes the file at path away, which need not be there, and returns when
// that is on disk: else a crash of the machine may bring it back.
func Remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// ReplaceJSON is Replace by a line of JSON, which v becomes, and a line of its CRC-32C
// in hexadecimal digits, so that a flipped bit makes no other value of it.
func ReplaceJSON(path string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return Replace(path, func(f *os.File) error {
		_, err := fmt.Fprintf(f, "%s\n%08x\n", text, sum(text))
		return err
	})
}

// ReadJSON reads into v what ReplaceJSON has written. The error is ErrDamaged, or why
// the file cannot be opened.
func ReadJSON(path string, v any) error {
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, syscall.EIO):
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	case err != nil:
		return err
	}
	line, rest, _ := bytes.Cut(text, []byte("\n"))
	if string(rest) != fmt.Sprintf("%08x\n", sum(line)) {
		return fmt.Errorf("%w: its checksum is wrong", ErrDamaged)
	}
	if err := json.Unmarshal(line, v); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}

func sum(text []byte) uint32 { return crc32.Checksum(text, crc32.MakeTable(crc32.Castagnoli)) }
