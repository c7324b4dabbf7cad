package table

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"vitrine/internal/durable"
)

// success is the empty file by which readers of Spark's kind know that a folder is
// whole. They take names that begin with _ for no data.
const success = "_SUCCESS"

// The tables of a model, and those that explain codes.
const (
	userFactors = "user_factors"
	itemFactors = "item_factors"
	userCodes   = "user_codes"
	itemCodes   = "item_codes"
)

// tablesOf are the folders that an export makes; what explains others comes first.
func tablesOf(opt Options) (tables []string) {
	if opt.Codes {
		if opt.Kind != Items {
			tables = append(tables, userCodes)
		}
		if opt.Kind != Users {
			tables = append(tables, itemCodes)
		}
	}
	if opt.Kind == Model {
		return append(tables, userFactors, itemFactors)
	}
	return append(tables, opt.Kind)
}

// stage is a folder beside the tables' places, whose name no reader takes for data.
type stage struct {
	dir, aside string
	tables     []string
	files      int
	bytes      int64
}

func newStage(dir string, tables []string) (*stage, error) {
	for _, name := range tables {
		path := filepath.Join(dir, name)
		if _, err := os.Lstat(path); err == nil {
			return nil, fmt.Errorf("write %s: %w", path, ErrExists)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("look whether there is something: %w", err)
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the folder: %w", err)
	}
	aside, err := os.MkdirTemp(dir, ".export-*")
	if err != nil {
		return nil, fmt.Errorf("make a folder to write to: %w", err)
	}
	s := &stage{dir: dir, aside: aside, tables: tables}
	for _, name := range tables {
		if err := os.Mkdir(filepath.Join(aside, name), 0o755); err != nil {
			return nil, errors.Join(fmt.Errorf("make a folder to write to: %w", err), s.discard())
		}
	}
	return s, nil
}

// create begins a file of a table.
func (s *stage) create(table, name string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(s.aside, table, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, fmt.Errorf("begin a file: %w", err)
	}
	return f, nil
}

// finish gets a file onto the disk.
func (s *stage) finish(f *os.File) error {
	err := f.Sync()
	if info, statErr := f.Stat(); err == nil && statErr == nil {
		s.files++
		s.bytes += info.Size()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("finish a file: %w", err)
	}
	return nil
}

// publish puts the tables into their places.
func (s *stage) publish() error {
	for _, name := range s.tables {
		f, err := s.create(name, success)
		if err == nil {
			err = errors.Join(f.Sync(), f.Close())
		}
		if err == nil {
			err = durable.SyncDir(filepath.Join(s.aside, name))
		}
		if err != nil {
			return err
		}
	}
	for i, name := range s.tables {
		if err := os.Rename(filepath.Join(s.aside, name), filepath.Join(s.dir, name)); err != nil {
			// Tables that explain others are of no use without them.
			for _, done := range slices.Backward(s.tables[:i]) {
				err = errors.Join(err, os.RemoveAll(filepath.Join(s.dir, done)))
			}
			return fmt.Errorf("put the table into its place: %w", err)
		}
	}
	return durable.SyncDir(s.dir)
}

// discard removes what was not published.
func (s *stage) discard() error {
	if err := os.RemoveAll(s.aside); err != nil {
		return fmt.Errorf("clean up: %w", err)
	}
	return nil
}
