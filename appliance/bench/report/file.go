package report

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// fileMode lets others read a report: it holds figures only.
const fileMode = 0o644

// WriteFile writes the report as JSON at path, whole or not at all.
func (r *Report) WriteFile(path string) error { return writeFile(path, r.WriteJSON) }

func writeFile(path string, write func(io.Writer) error) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), ".vitrine-bench-*")
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("write report: %w", errors.Join(err, os.Remove(file.Name())))
		}
	}()
	if err := errors.Join(write(file), file.Chmod(fileMode), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

// ReadFile reads the report at path.
func ReadFile(path string) (*Report, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read report: %w", err)
	}
	defer file.Close() //nolint:errcheck // read only
	r, err := Read(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}
