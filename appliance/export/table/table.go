// Package table makes files of the lines that the appliance exports: Parquet or
// NDJSON, with ids or with codes and a dictionary.
//
// It owns the folders, files and names, and that nothing looks whole that is not:
// all is written aside and put into place by renaming, once the last line has come
// and every byte is on disk. What the rows hold is package export's, the columns
// are those of bridge/parquet/tables. It must not know the appliance.
//
//	result, err := table.Receive(ctx, stream, table.Options{Dir: dir, Kind: "items"})
package table

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// The kinds of tables.
const (
	Recommendations = "recommendations"
	Events          = "events"
	Items           = "items"
	Users           = "users"
	Model           = "model"
)

// Options say what becomes of the lines.
type Options struct {
	// Dir is the folder that the tables' own folders come to lie in.
	Dir string
	// Kind is what the lines are.
	Kind string
	// NDJSON asks for lines of JSON instead of Parquet.
	NDJSON bool
	// Codes asks for numbers from 0 instead of ids, and for tables that explain
	// them.
	Codes bool
	// Metadata is put into the footers of Parquet files.
	Metadata map[string]string
	// Progress, when set, is told how many rows there are, now and then.
	Progress func(rows int64)
	// partRows are the rows of a file; 0 is the constant, tests take fewer.
	partRows int
}

// Result is what was written.
type Result struct {
	// Rows are those of the kind's own tables, Failed those that the appliance
	// could not make.
	Rows, Failed int64
	Files        int
	Bytes        int64
	// Tables are the folders in Options.Dir.
	Tables []string
}

// ErrExists says that a table is there already.
var ErrExists = errors.New("it is there already")

// CutError says that a stream ended before its last line.
type CutError struct{ Rows int64 }

// Error says how far it came.
func (e *CutError) Error() string {
	return fmt.Sprintf("the appliance stopped sending after %d rows; nothing was written", e.Rows)
}

// Hint says what to type next.
func (e *CutError) Hint() string { return "look at the appliance's log, then export again" }

// sink takes rows, as lines without their end.
type sink interface {
	add(line []byte) error
	// close finishes the files.
	close() error
	// abandon lets go of what is open, after an error or at the end.
	abandon()
}

// Receive writes the tables of one kind. Unless all lines came and are on disk, it
// leaves nothing but folders that it made for others.
func Receive(ctx context.Context, r io.Reader, opt Options) (res Result, err error) {
	st, err := newStage(opt.Dir, tablesOf(opt))
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, st.discard()) }()
	to, err := newSink(st, opt)
	if err != nil {
		return res, err
	}
	defer to.abandon()
	if res, err = lines(ctx, r, opt.Progress, to.add); err == nil {
		err = to.close()
	}
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = st.publish()
	}
	if err != nil {
		return Result{}, err
	}
	res.Files, res.Bytes, res.Tables = st.files, st.bytes, st.tables
	return res, nil
}

// maxLine bounds a line: the longest is an item with all its attributes, or a list
// of 500 items.
const maxLine = 16 << 20

// tellEvery is after how many rows progress is told.
const tellEvery = 256

// lines hands each row to add, and sees that the last line comes.
func lines(ctx context.Context, r io.Reader, tell func(int64), add func(line []byte) error) (res Result, err error) {
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 256<<10), maxLine)
	var last struct{ Rows, Failed *int64 }
	for in.Scan() {
		line := in.Bytes()
		switch {
		case last.Rows != nil:
			return res, errors.New("there is more behind the last line of the export")
		case bytes.HasPrefix(line, []byte(`{"rows":`)):
			if err := json.Unmarshal(line, &last); err != nil {
				return res, fmt.Errorf("understand the last line of the export: %w", err)
			}
			continue
		}
		if err := add(line); err != nil {
			return res, err
		}
		if res.Rows++; tell != nil && res.Rows%tellEvery == 0 {
			tell(res.Rows)
		}
	}
	switch {
	case ctx.Err() != nil:
		return res, ctx.Err()
	case last.Rows == nil:
		// However the connection broke: it is told by how far it came.
		return res, errors.Join(&CutError{Rows: res.Rows}, in.Err())
	case in.Err() != nil:
		return res, fmt.Errorf("read the export: %w", in.Err())
	case *last.Rows != res.Rows:
		return res, fmt.Errorf("the export has %d rows, not %d as its last line says", res.Rows, *last.Rows)
	}
	if last.Failed != nil {
		res.Failed = *last.Failed
	}
	return res, nil
}
