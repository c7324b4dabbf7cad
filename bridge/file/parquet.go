package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"vitrine/bridge/event"
	"vitrine/bridge/file/stream"
	"vitrine/bridge/parquet"
)

// ReadPath is Read for the file at path, which may be a Parquet file too. A
// Parquet file of a stranger can make its reader run out of memory: read it in
// a process that may die.
func ReadPath(ctx context.Context, path string, spec Spec, sink Sink) (Counts, error) {
	f, err := os.Open(path)
	if err != nil {
		return Counts{}, fmt.Errorf("open file: %w", err)
	}
	defer f.Close() //nolint:errcheck // read only
	if spec.Format != Parquet {
		var magic [4]byte
		if n, _ := f.ReadAt(magic[:], 0); n < len(magic) || string(magic[:]) != "PAR1" {
			return Read(ctx, f, spec, sink)
		}
	}
	spec.complete()
	return convey(ctx, sink, func(_ context.Context, out *conveyor) error { return parseParquet(path, &spec, out) })
}

// parseParquet is the reading side for a Parquet file.
func parseParquet(path string, spec *Spec, out *conveyor) error {
	rows, err := openParquet(path, spec)
	if err != nil {
		return err
	}
	defer rows.rows.Close() //nolint:errcheck // read only
	b, err := build(rows, spec, out)
	if err == nil && b.rows == 0 {
		err = inputErrorf(spec.Name, stream.CodeEmptyFile, "it holds no rows").WithHint(stream.HintEmpty)
	}
	return err
}

// parquetRows reads a Parquet file.
type parquetRows struct {
	rows *parquet.Rows
	cols *columns
	name string
	line int64
	row  row
}

func openParquet(path string, spec *Spec) (*parquetRows, error) {
	rows, err := parquet.OpenRows(path)
	if err != nil {
		return nil, inputErrorf(spec.Name, stream.CodeCorrupt, "%v", err)
	}
	p := &parquetRows{rows: rows, cols: newColumns("column"), name: spec.Name}
	for _, name := range rows.Columns() {
		p.cols.add(name)
	}
	p.row.cells = make([]cell, len(p.cols.names))
	return p, nil
}

func (p *parquetRows) columns() *columns { return p.cols }

// want leaves out the columns that the plan does not use.
func (p *parquetRows) want(plan *plan) {
	used := map[int]bool{}
	for _, f := range plan.fields {
		used[f.source.col] = true
	}
	for _, a := range plan.attrs {
		used[a.source.col] = true
	}
	for _, f := range []*filter{plan.where, plan.removeWhere} {
		if f != nil {
			for _, col := range f.cols {
				used[col] = true
			}
		}
	}
	var cols []int
	for col := range p.cols.names {
		if used[col] || plan.rest {
			cols = append(cols, col)
		}
	}
	p.rows.Want(cols)
}

// next implements rowReader.
func (p *parquetRows) next() (*row, error) {
	cells, err := p.rows.Next()
	if errors.Is(err, io.EOF) {
		return nil, io.EOF
	}
	if err != nil {
		return nil, inputErrorf(p.name, stream.CodeCorrupt, "after row %d: %v", p.line, err)
	}
	p.line++
	p.row.line, p.row.fault = p.line, nil
	for i, c := range cells {
		p.row.cells[i] = cell{parquetKinds[c.Kind], c.Text}
		if len(c.Text) > MaxRow {
			p.row.fault = &event.Invalid{Code: event.CodeTooLarge, Detail: "column " + p.cols.names[i] + " has more than " + itoa(MaxRow) + " bytes"}
		}
	}
	return &p.row, nil
}

// parquetKinds are the kinds of cells, by the reader's. A text is what it looks
// like: many writers store numbers and times as texts.
var parquetKinds = [...]cellKind{
	parquet.Null: cellAbsent, parquet.Text: cellText, parquet.Number: cellNumber, parquet.Bool: cellBool,
}
