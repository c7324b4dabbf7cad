package table

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"vitrine/bridge/parquet/tables"
)

const (
	// partRows is how many rows a file has at most: what reads the table on many
	// machines shares it out by files.
	partRows = 1 << 20
	// chunkRows are handed to the Parquet library at once.
	chunkRows = 256
	// fileBuffer is how many bytes are written to a file at once.
	fileBuffer = 256 << 10
)

// file is the file of a table that is being written.
type file struct {
	st     *stage
	table  string
	suffix string
	// most rows, of which there are n.
	most, n int
	number  int
	file    *os.File
	buf     *bufio.Writer
}

// The ends of the files' names.
const (
	parquetSuffix = ".parquet"
	linesSuffix   = ".ndjson"
)

func newFile(st *stage, table string, opt *Options) file {
	f := file{st: st, table: table, suffix: parquetSuffix, most: cmp.Or(opt.partRows, partRows)}
	if opt.NDJSON {
		f.suffix = linesSuffix
	}
	return f
}

// begin opens the next file.
func (f *file) begin() (err error) {
	if f.file, err = f.st.create(f.table, fmt.Sprintf("part-%05d%s", f.number, f.suffix)); err != nil {
		return err
	}
	f.number++
	if f.buf == nil {
		f.buf = bufio.NewWriterSize(nil, fileBuffer)
	}
	f.buf.Reset(f.file)
	f.n = 0
	return nil
}

// end gets it onto the disk.
func (f *file) end() error {
	err := errors.Join(f.buf.Flush(), f.st.finish(f.file))
	f.file = nil
	return err
}

// parts are the files of one table, with rows of one type.
type parts[R tables.Row] struct {
	file
	metadata map[string]string
	out      *tables.Writer[R]
	lines    *json.Encoder
	rows     []R
}

// newParts begins a table.
func newParts[R tables.Row](st *stage, table string, opt *Options) *parts[R] {
	return &parts[R]{file: newFile(st, table, opt), metadata: opt.Metadata, rows: make([]R, 0, chunkRows)}
}

// add takes a row.
func (p *parts[R]) add(row R) error {
	if p.rows = append(p.rows, row); len(p.rows) < chunkRows {
		return nil
	}
	return p.flush()
}

// flush writes the rows that wait.
func (p *parts[R]) flush() error {
	if p.file.file == nil {
		if err := p.open(); err != nil {
			return err
		}
	}
	if err := p.write(); err != nil {
		return err
	}
	p.n += len(p.rows)
	clear(p.rows)
	if p.rows = p.rows[:0]; p.n >= p.most {
		return p.shut()
	}
	return nil
}

func (p *parts[R]) open() error {
	if err := p.begin(); err != nil {
		return err
	}
	if p.suffix == parquetSuffix {
		p.out = tables.NewWriter[R](p.buf, p.metadata)
		return nil
	}
	p.lines = json.NewEncoder(p.buf)
	p.lines.SetEscapeHTML(false)
	return nil
}

func (p *parts[R]) write() error {
	if p.out != nil {
		return p.out.Write(p.rows)
	}
	for i := range p.rows {
		if err := p.lines.Encode(&p.rows[i]); err != nil {
			return fmt.Errorf("write a line: %w", err)
		}
	}
	return nil
}

// shut finishes the present file.
func (p *parts[R]) shut() error {
	if p.out != nil {
		if err := p.out.Close(); err != nil {
			return err
		}
	}
	return p.end()
}

// close writes what waits. A table without rows gets a file all the same: it has
// the columns.
func (p *parts[R]) close() error {
	if len(p.rows) > 0 || p.number == 0 {
		if err := p.flush(); err != nil {
			return err
		}
	}
	if p.file.file == nil {
		return nil
	}
	return p.shut()
}

// abandon lets go of a file that is of no use any more.
func (f *file) abandon() {
	if f.file != nil {
		_ = f.file.Close()
		f.file = nil
	}
}

// plain writes the lines as they come.
type plain struct{ file }

func (p *plain) add(line []byte) error {
	if p.file.file == nil {
		if err := p.begin(); err != nil {
			return err
		}
	}
	_, err := p.buf.Write(line)
	if err == nil {
		err = p.buf.WriteByte('\n')
	}
	if err != nil {
		return fmt.Errorf("write a line: %w", err)
	}
	if p.n++; p.n >= p.most {
		return p.end()
	}
	return nil
}

func (p *plain) close() error {
	if p.number == 0 {
		if err := p.begin(); err != nil {
			return err
		}
	}
	if p.file.file == nil {
		return nil
	}
	return p.end()
}
