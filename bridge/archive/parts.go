package archive

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"

	"vitrine/bridge/parquet"
	"vitrine/internal/logkey"
)

// EventParts is ScanEvents for several readers: the same rows in parts, the row
// groups of the files, which may be read in any order and side by side. Read
// one after the other they give what ScanEvents does.
//
// Which rows are duplicates is found when the parts are listed, so that parts
// do not wait for each other. For that all event ids are read once, where
// there are any, and 8 bytes a row kept of one date at a time.
type EventParts struct {
	archive *Archive
	parts   []part
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

// EventParts lists the parts of all events up to Position. It works on all
// cores.
func (a *Archive) EventParts(ctx context.Context) (*EventParts, error) {
	days, err := a.eventFiles(a.Position())
	if err != nil {
		return nil, err
	}
	p := &EventParts{archive: a}
	listed, err := a.listGroups(ctx, days)
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
		if err := a.findRepeats(ctx, listed[:n]); err != nil {
			return nil, err
		}
		for _, day := range listed[:n] {
			p.parts = append(p.parts, day...)
		}
		listed = listed[n:]
	}
	return p, nil
}

// batchedRows is how many rows of small dates are looked through together.
const batchedRows = 8 << 20

// listGroups reads the footers of all files; it returns the parts of each date.
func (a *Archive) listGroups(ctx context.Context, days []dayFiles) ([][]part, error) {
	type file struct{ day, place int }
	var files []file
	groups := make([][][]parquet.Group, len(days))
	for d, day := range days {
		groups[d] = make([][]parquet.Group, len(day.files))
		for n := range day.files {
			files = append(files, file{d, n})
		}
	}
	err := parallel(runtime.GOMAXPROCS(0), len(files), func(i int) error {
		at := files[i]
		if err := ctx.Err(); err != nil {
			return err
		}
		return a.withFile(days[at.day].files[at.place], func(f *parquet.File) error {
			groups[at.day][at.place] = f.Groups()
			return nil
		})
	})
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	listed := make([][]part, len(days))
	for d, day := range days {
		for n, path := range day.files {
			for g, group := range groups[d][n] {
				listed[d] = append(listed[d], part{path: path, group: g, rows: group.Rows, ids: group.IDs})
			}
		}
	}
	return listed, err
}

// Len is the number of parts.
func (p *EventParts) Len() int { return len(p.parts) }

// Rows is the number of rows of a part.
func (p *EventParts) Rows(part int) int { return p.parts[part].rows - len(p.parts[part].drop) }

// Path is the file that a part is in.
func (p *EventParts) Path(part int) string {
	return filepath.Join(p.archive.dir, p.parts[part].path)
}

// PartReader reads parts, one after the other. It is for one goroutine.
type PartReader struct {
	parts   *EventParts
	columns parquet.Columns
	scanner *parquet.EventScanner
	file    *parquet.File
	path    string
	keep    []int
}

// Reader makes a reader of the given columns. It must be closed.
func (p *EventParts) Reader(columns parquet.Columns) *PartReader {
	return &PartReader{parts: p, columns: columns, scanner: parquet.NewEventScanner(columns)}
}

// Close closes the file that was read last.
func (r *PartReader) Close() error {
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.file, r.path = nil, ""
	return err
}

// Scan calls fn with the rows of a part in order. The numbers of the batches'
// strings are those of this call. An error of fn ends the scan and comes back
// as it is. A part whose file was removed meanwhile is left out and logged.
func (r *PartReader) Scan(ctx context.Context, part int, fn func(*EventBatch) error) error {
	p := &r.parts.parts[part]
	found, err := r.open(p.path)
	if err != nil || !found {
		return err
	}
	row, drop := 0, p.drop
	return r.scanner.ScanGroup(ctx, r.file, p.group, func(b *EventBatch) error {
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
func (r *PartReader) open(path string) (found bool, err error) {
	if r.file != nil && r.path == path {
		return true, nil
	}
	if err := r.Close(); err != nil {
		return false, fmt.Errorf("close archive file: %w", err)
	}
	f, err := parquet.Open(filepath.Join(r.parts.archive.dir, path))
	if isGone(err) {
		r.parts.archive.log.Warn("an archive file vanished while reading", logkey.Path, path)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	r.file, r.path = f, path
	return true, nil
}
