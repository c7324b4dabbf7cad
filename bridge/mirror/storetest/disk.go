package storetest

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"vitrine/bridge/mirror"
)

// Disk is a store in a local folder: what the others are held against.
type Disk struct{ Dir string }

var _ mirror.Store = Disk{}

func (d Disk) at(path string) string { return filepath.Join(d.Dir, filepath.FromSlash(path)) }

// Write implements mirror.Writer.
func (d Disk) Write(ctx context.Context, path string, src io.Reader) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(d.at(path)), 0o755); err != nil {
		return err
	}
	f, err := os.Create(d.at(path))
	if err != nil {
		return err
	}
	_, err = io.Copy(f, src)
	return errors.Join(err, f.Close())
}

// List implements mirror.Reader.
func (d Disk) List(ctx context.Context, dir string) ([]mirror.Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(d.at(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []mirror.Entry
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		out = append(out, mirror.Entry{Name: e.Name(), Bytes: info.Size(), Dir: e.IsDir()})
	}
	return out, nil
}

// Open implements mirror.Reader.
func (d Disk) Open(ctx context.Context, path string) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return os.Open(d.at(path))
}

// Rename implements mirror.Editor.
func (d Disk) Rename(ctx context.Context, from, to string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(d.at(to)), 0o755); err != nil {
		return err
	}
	return os.Rename(d.at(from), d.at(to))
}

// Remove implements mirror.Editor.
func (d Disk) Remove(ctx context.Context, path string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := os.Remove(d.at(path)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Close implements mirror.Store.
func (Disk) Close() error { return nil }
