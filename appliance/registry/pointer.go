package registry

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"vitrine/internal/durable"
)

// pointerName is the pointer file: text, one version a line. The first line is
// the live version; behind it stand those that were live before, newest first:
// the way back. A file without a line means that nothing is live.
const pointerName = "live"

// maxPointer bounds the pointer file; a history of 5 versions has 325 bytes.
const maxPointer = 64 << 10

// readPointer returns the history, live version first. It reports no file as
// fs.ErrNotExist and anything but a history as an error.
func readPointer(dir string) ([]string, error) {
	path := filepath.Join(dir, pointerName)
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxPointer {
		return nil, fmt.Errorf("%s is not a list of versions", path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var history []string
	for line := range strings.Lines(string(data)) {
		v := strings.TrimRight(line, "\r\n")
		if !validVersion(v) {
			return nil, fmt.Errorf("%s is not a list of versions: %.40q", path, v)
		}
		history = append(history, v)
	}
	return history, nil
}

// pointer is a new pointer file that is on disk but not in force yet.
type pointer struct {
	dir, tmp string
}

// preparePointer writes everything that needs disk space, so that moving the
// pointer afterwards is one rename.
func preparePointer(dir string, history []string) (p *pointer, err error) {
	f, err := os.CreateTemp(dir, pointerName+".*.tmp")
	if err != nil {
		return nil, fmt.Errorf("write pointer: %w", err)
	}
	p = &pointer{dir, f.Name()}
	var text strings.Builder
	for _, v := range history {
		text.WriteString(v + "\n")
	}
	_, err = f.WriteString(text.String())
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err != nil {
		p.drop()
		return nil, fmt.Errorf("write pointer: %w", err)
	}
	return p, nil
}

// move puts the pointer in force.
func (p *pointer) move() error {
	if err := os.Rename(p.tmp, filepath.Join(p.dir, pointerName)); err != nil {
		return fmt.Errorf("move pointer: %w", err)
	}
	return durable.SyncDir(p.dir)
}

// drop removes a pointer that was not moved.
func (p *pointer) drop() { os.Remove(p.tmp) }

// writePointer makes history the pointer at once.
func writePointer(dir string, history []string) error {
	p, err := preparePointer(dir, history)
	if err != nil {
		return err
	}
	if err := p.move(); err != nil {
		p.drop()
		return err
	}
	return nil
}

func notExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }
