// Package datadir holds a data folder for one process, and knows of which version
// it is, so that no program opens one that it does not understand.
//
// It owns the files state/lock and state/format, and the form of failures that an
// operator can mend. It imports internal/disk and internal/durable alone.
package datadir

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"vitrine/internal/durable"
)

// Format is the version of the data folder that this program reads and writes.
// It rises when an older program would misread the folder.
const Format = 1

// mark is the file state/format.
type mark struct {
	Format int `json:"format"`
	// Vitrine is the version of the program that opened the folder last.
	Vitrine string `json:"vitrine"`
	// Restoring says that a backup was not yet wholly restored into it.
	Restoring bool `json:"restoring,omitempty"`
}

// FormatError says that a folder is of a version that this program does not read.
type FormatError struct {
	Dir, Vitrine, Own string
	Format            int
}

// Error names both versions.
func (e *FormatError) Error() string {
	return fmt.Sprintf("%s is of format %d, written by vitrine %s; this is vitrine %s, which reads format %d", e.Dir, e.Format, e.Vitrine, e.Own, Format)
}

// Hint says what to do about it.
func (e *FormatError) Hint() string {
	return fmt.Sprintf("run vitrine %s on it, or give another folder with --data DIR", e.Vitrine)
}

// ErrRestoring says that a folder holds half of a backup.
var ErrRestoring = errors.New("a backup was not wholly restored into it")

// Claim checks that a folder, which the caller has locked, can be opened by this
// program, and leaves the program's version in it. A folder of before there was a
// mark is of format 1.
func Claim(dir, version string) error {
	m, err := read(dir)
	switch {
	case err != nil:
		return err
	case m.Format > Format || m.Format < 1:
		return &FormatError{Dir: dir, Format: m.Format, Vitrine: m.Vitrine, Own: version}
	case m.Restoring:
		return fmt.Errorf("%s: %w", dir, ErrRestoring)
	case m.Vitrine == version:
		return nil
	}
	return write(dir, mark{Format: Format, Vitrine: version})
}

// Restoring marks a folder as one that holds half of a backup, until Restored.
func Restoring(dir, version string) error {
	return write(dir, mark{Format: Format, Vitrine: version, Restoring: true})
}

// IsRestoring says whether a folder holds half of a backup.
func IsRestoring(dir string) bool {
	m, err := read(dir)
	return err == nil && m.Restoring
}

// Restored takes the mark of Restoring away.
func Restored(dir, version string) error {
	return write(dir, mark{Format: Format, Vitrine: version})
}

func path(dir string) string { return filepath.Join(dir, "state", "format") }

func read(dir string) (m mark, err error) {
	data, err := os.ReadFile(path(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return mark{Format: 1}, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &m)
	}
	if err != nil {
		return m, fmt.Errorf("read the format of the data folder, %s: %w", path(dir), err)
	}
	return m, nil
}

func write(dir string, m mark) error {
	data, err := json.Marshal(m)
	if err == nil {
		err = durable.Replace(path(dir), func(f *os.File) error {
			_, err := f.Write(append(data, '\n'))
			return errors.Join(err, f.Chmod(0o640))
		})
	}
	if err != nil {
		return fmt.Errorf("write the format of the data folder: %w", err)
	}
	return nil
}
