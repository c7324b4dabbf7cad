// Package parts reads the events of an archive in parts, which may be read in any
// order and side by side: for a training, which reads all of them on all cores.
//
// It owns what a part is, and which of its rows repeat an earlier event. The files,
// and what may become of them meanwhile, are the archive's. It must not import
// anything of this module but bridge/archive, bridge/archive/ids, bridge/parquet
// and internal/parallel.
//
//	p, err := parts.List(ctx, a) // opened by archive.OpenReadOnly
//	r := p.Reader(columns)
//	for n := range p.Len() {
//		err = r.Scan(ctx, n, fn)
//	}
package parts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"slices"

	"vitrine/bridge/archive"
	"vitrine/bridge/parquet"
	"vitrine/internal/parallel"
)

// Parts are the rows that Archive.ScanEvents gives, by the row groups of the files.
// Read one after the other they give what it does.
//
// Which rows are duplicates is found when the parts are listed, so that parts
// do not wait for each other. For that all event ids are read once, where
// there are any, and 8 bytes a row kept of one date at a time.
type Parts struct {
	archive *archive.Archive
	list    []part
}

// part is a row group.
type part struct {
	path  string
	group int
	rows  int
	ids   bool
	// drop are rows that repeat an earlier event, ascending.
	drop []int
}

// List lists the parts of all events up to the archive's position. It works on all
// cores. The archive must stay open.
func List(ctx context.Context, a *archive.Archive) (*Parts, error) {
	folders, err := a.Folders(ctx)
	if err != nil {
		return nil, err
	}
	folders = slices.DeleteFunc(folders, func(f archive.Folder) bool { return f.Kind != parquet.Events })
	p := &Parts{archive: a}
	listed, err := listGroups(ctx, a, folders)
	if err != nil {
		return nil, err
	}
	for len(listed) > 0 {
		// Small dates are looked through together: one alone would not occupy
		// all cores.
		rows, n := 0, 0
		for n < len(listed) && (n == 0 || rows < batchedRows) {
			for _, part := range listed[n] {
				rows += part.rows
			}
			n++
		}
		if err := findRepeats(ctx, a, listed[:n]); err != nil {
			return nil, err
		}
		for _, day := range listed[:n] {
			p.list = append(p.list, day...)
		}
		listed = listed[n:]
	}
	return p, nil
}

// batchedRows is how many rows of small dates are looked through together.
const batchedRows = 8 << 20

// listGroups reads the footers of all files; it returns the parts of each date.
func listGroups(ctx context.Context, a *archive.Archive, days []archive.Folder) ([][]part, error) {
	type file struct{ day, place int }
	var files []file
	groups := make([][][]parquet.Group, len(days))
	for d, day := range days {
		groups[d] = make([][]parquet.Group, len(day.Files))
		for n := range day.Files {
			files = append(files, file{d, n})
		}
	}
	err := parallel.Each(runtime.GOMAXPROCS(0), len(files), func(i int) error {
		at := files[i]
		if err := ctx.Err(); err != nil {
			return err
		}
		return withFile(a, days[at.day].Files[at.place].Path, func(f *parquet.File) error {
			groups[at.day][at.place] = f.Groups()
			return nil
		})
	})
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	listed := make([][]part, len(days))
	for d, day := range days {
		for n := range day.Files {
			for g, group := range groups[d][n] {
				listed[d] = append(listed[d], part{path: day.Files[n].Path, group: g, rows: group.Rows, ids: group.IDs})
			}
		}
	}
	return listed, err
}

// Len is the number of parts.
func (p *Parts) Len() int { return len(p.list) }

// Rows is the number of rows of a part.
func (p *Parts) Rows(part int) int { return p.list[part].rows - len(p.list[part].drop) }

// Path is the file that a part is in, below the archive's root.
func (p *Parts) Path(part int) string { return p.list[part].path }

// Reader reads parts, one after the other. It is for one goroutine.
type Reader struct {
	parts   *Parts
	columns parquet.Columns
	scanner *parquet.EventScanner
	file    *parquet.File
	path    string
	keep    []int
}

// Reader makes a reader of the given columns. It must be closed.
func (p *Parts) Reader(columns parquet.Columns) *Reader {
	return &Reader{parts: p, columns: columns, scanner: parquet.NewEventScanner(columns)}
}

// Close closes the file that was read last.
func (r *Reader) Close() error {
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.file, r.path = nil, ""
	return err
}

// Scan calls fn with the rows of a part in order. The numbers of the batches'
// strings are those of this call. An error of fn ends the scan and comes back
// as it is. A part whose file was removed meanwhile is left out.
func (r *Reader) Scan(ctx context.Context, part int, fn func(*parquet.EventBatch) error) error {
	p := &r.parts.list[part]
	found, err := r.open(p.path)
	if err != nil || !found {
		return err
	}
	row, drop := 0, p.drop
	return r.scanner.ScanGroup(ctx, r.file, p.group, func(b *parquet.EventBatch) error {
		if n := row + b.Len; len(drop) > 0 && drop[0] < n {
			r.keep = r.keep[:0]
			for at := row; at < n; at++ {
				if len(drop) > 0 && drop[0] == at {
					drop = drop[1:]
					continue
				}
				r.keep = append(r.keep, at-row)
			}
			row = n
			b.Keep(r.keep)
		} else {
			row = n
		}
		if b.Len == 0 {
			return nil
		}
		return fn(b)
	})
}

// open makes a file the current one.
func (r *Reader) open(path string) (found bool, err error) {
	if r.file != nil && r.path == path {
		return true, nil
	}
	if err := r.Close(); err != nil {
		return false, fmt.Errorf("close archive file: %w", err)
	}
	f, err := r.parts.archive.OpenData(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	r.file, r.path = f, path
	return true, nil
}

// withFile calls fn with a file, unless it was removed meanwhile.
func withFile(a *archive.Archive, path string, fn func(*parquet.File) error) error {
	f, err := a.OpenData(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return fn(f)
}
