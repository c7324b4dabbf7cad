package parquet

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/format"
)

// Cell is a value of a foreign file as text. Numbers are plain decimals, times
// RFC 3339 in UTC.
type Cell struct {
	Kind CellKind
	Text []byte
}

// CellKind is what a Cell is.
type CellKind uint8

// The kinds of cells.
const (
	Null CellKind = iota
	Text
	Number
	Bool
)

// Rows reads a Parquet file of any flat columns row by row, whoever wrote it.
// It is for one goroutine. A hostile file gives an error, or at worst ends the
// process for want of memory: read files of strangers in a child process.
type Rows struct {
	path    string
	file    *os.File
	pq      *parquet.File
	columns []foreignColumn
	wanted  []int
	group   int
	left    int64 // rows of the group
	cells   []Cell
	arena   []byte
}

// foreignColumn walks the values of one column.
type foreignColumn struct {
	name   string
	leaf   int
	format func(dst []byte, v parquet.Value) ([]byte, CellKind)
	pages  parquet.Pages
	values parquet.ValueReader
	page   parquet.Page
	buf    [256]parquet.Value
	at, n  int
}

// OpenRows opens a file of unknown columns.
func OpenRows(path string) (r *Rows, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open parquet file: %w", err)
	}
	r = &Rows{path: path, file: file}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("open parquet file: %w", err), file.Close())
			r = nil
		}
	}()
	defer guard(&err)
	stat, err := file.Stat()
	if err != nil {
		return r, err
	}
	if err := checkFooter(file, stat.Size()); err != nil {
		return r, err
	}
	if r.pq, err = parquet.OpenFile(file, stat.Size(), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true)); err != nil {
		return r, err
	}
	for _, path := range r.pq.Schema().Columns() {
		leaf, ok := r.pq.Schema().Lookup(path...)
		if !ok || len(path) != 1 || leaf.MaxRepetitionLevel != 0 {
			continue // lists and structs are nothing a row of events has
		}
		if format := formatOf(leaf.Node.Type()); format != nil {
			r.columns = append(r.columns, foreignColumn{name: path[0], leaf: leaf.ColumnIndex, format: format})
		}
	}
	r.cells = make([]Cell, len(r.columns))
	return r, nil
}

// Columns names the columns that can be read.
func (r *Rows) Columns() []string {
	names := make([]string, len(r.columns))
	for i := range r.columns {
		names[i] = r.columns[i].name
	}
	return names
}

// Want says which columns are read, by their places in Columns; the cells of
// the others stay null.
func (r *Rows) Want(columns []int) { r.wanted = columns }

// Next returns the next row, a cell for every column, or io.EOF. It is valid
// until the next call.
func (r *Rows) Next() (cells []Cell, err error) {
	defer guard(&err)
	for r.left == 0 {
		groups := r.pq.RowGroups()
		if r.group == len(groups) {
			return nil, io.EOF
		}
		if err := r.open(groups[r.group]); err != nil {
			return nil, err
		}
		r.group++
	}
	r.left--
	r.arena = r.arena[:0]
	for _, n := range r.wanted {
		v, err := r.columns[n].next()
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", r.columns[n].name, err)
		}
		start := len(r.arena)
		var kind CellKind
		if !v.IsNull() {
			r.arena, kind = r.columns[n].format(r.arena, v)
		}
		// A slice of an arena that grew later still holds what it held.
		r.cells[n] = Cell{kind, r.arena[start:len(r.arena):len(r.arena)]}
	}
	return r.cells, nil
}

// open starts the wanted columns of a row group.
func (r *Rows) open(group parquet.RowGroup) error {
	chunks := group.ColumnChunks()
	for _, n := range r.wanted {
		c := &r.columns[n]
		if c.leaf >= len(chunks) {
			return fmt.Errorf("a row group misses column %s", c.name)
		}
		if err := c.close(); err != nil {
			return err
		}
		c.pages, c.at, c.n = chunks[c.leaf].Pages(), 0, 0
	}
	r.left = group.NumRows()
	return nil
}

// Close closes the file; a second call does nothing.
func (r *Rows) Close() (err error) {
	if r.file == nil {
		return nil
	}
	defer guard(&err)
	for i := range r.columns {
		err = errors.Join(err, r.columns[i].close())
	}
	err = errors.Join(err, r.file.Close())
	r.file = nil
	return err
}

// next returns the next value of the column.
func (c *foreignColumn) next() (parquet.Value, error) {
	for c.at == c.n {
		if c.values == nil {
			page, err := c.pages.ReadPage()
			if errors.Is(err, io.EOF) {
				return parquet.Value{}, errors.New("it has too few rows")
			}
			if err != nil {
				return parquet.Value{}, err
			}
			c.page, c.values = page, page.Values()
		}
		n, err := c.values.ReadValues(c.buf[:])
		if err != nil && !errors.Is(err, io.EOF) {
			return parquet.Value{}, err
		}
		c.at, c.n = 0, n
		if err != nil {
			c.values = nil
			if n > 0 {
				break // the page is let go of when its last values are used
			}
		}
		if c.values == nil {
			parquet.Release(c.page)
			c.page = nil
		}
	}
	v := c.buf[c.at]
	c.at++
	return v, nil
}

func (c *foreignColumn) close() error {
	if c.pages == nil {
		return nil
	}
	c.values, c.page = nil, nil
	err := c.pages.Close()
	c.pages = nil
	return err
}

// formatOf is how values of a type become text; nil for what is no id, number
// or time.
func formatOf(t parquet.Type) func([]byte, parquet.Value) ([]byte, CellKind) {
	if isDecimal(t) {
		return nil // unscaled, its numbers would be wrong
	}
	if unit := unitOf(t); unit != 0 {
		return func(dst []byte, v parquet.Value) ([]byte, CellKind) {
			n := v.Int64()
			if t.Kind() == parquet.Int32 {
				n = int64(v.Int32())
			}
			return appendTime(dst, n, unit), Text
		}
	}
	switch t.Kind() {
	case parquet.Boolean:
		return func(dst []byte, v parquet.Value) ([]byte, CellKind) {
			return strconv.AppendBool(dst, v.Boolean()), Bool
		}
	case parquet.Int32:
		if unsigned(t) {
			return func(dst []byte, v parquet.Value) ([]byte, CellKind) {
				return strconv.AppendUint(dst, uint64(v.Uint32()), 10), Number
			}
		}
		return func(dst []byte, v parquet.Value) ([]byte, CellKind) {
			return strconv.AppendInt(dst, int64(v.Int32()), 10), Number
		}
	case parquet.Int64:
		if unsigned(t) {
			return func(dst []byte, v parquet.Value) ([]byte, CellKind) {
				return strconv.AppendUint(dst, v.Uint64(), 10), Number
			}
		}
		return func(dst []byte, v parquet.Value) ([]byte, CellKind) {
			return strconv.AppendInt(dst, v.Int64(), 10), Number
		}
	case parquet.Float:
		return func(dst []byte, v parquet.Value) ([]byte, CellKind) {
			return strconv.AppendFloat(dst, float64(v.Float()), 'f', -1, 32), Number
		}
	case parquet.Double:
		return func(dst []byte, v parquet.Value) ([]byte, CellKind) {
			return strconv.AppendFloat(dst, v.Double(), 'f', -1, 64), Number
		}
	case parquet.Int96: // the time stamps of old Spark, Impala and Hive
		return func(dst []byte, v parquet.Value) ([]byte, CellKind) { return appendInt96(dst, v.Int96()), Text }
	case parquet.ByteArray, parquet.FixedLenByteArray:
		return func(dst []byte, v parquet.Value) ([]byte, CellKind) { return append(dst, v.ByteArray()...), Text }
	}
	return nil
}

// unitOf is the unit of a column of times, 0 for other columns.
func unitOf(t parquet.Type) time.Duration {
	switch l := logical(t).(type) {
	case *format.DateType:
		return 24 * time.Hour
	case *format.TimestampType:
		switch l.Unit.Value.(type) {
		case *format.NanoSeconds:
			return time.Nanosecond
		case *format.MicroSeconds:
			return time.Microsecond
		}
		return time.Millisecond
	}
	if old := t.ConvertedType(); old != nil {
		switch *old {
		case deprecated.Date:
			return 24 * time.Hour
		case deprecated.TimestampMillis:
			return time.Millisecond
		case deprecated.TimestampMicros:
			return time.Microsecond
		}
	}
	return 0
}

// logical is what the writer says that a type means.
func logical(t parquet.Type) format.LogicalTypeValue {
	if l := t.LogicalType(); l != nil {
		return l.Value
	}
	return nil
}

func unsigned(t parquet.Type) bool {
	l, ok := logical(t).(*format.IntType)
	return ok && !l.IsSigned
}

func isDecimal(t parquet.Type) bool {
	_, ok := logical(t).(*format.DecimalType)
	old := t.ConvertedType()
	return ok || old != nil && *old == deprecated.Decimal
}

// appendTime formats n units since 1970.
func appendTime(dst []byte, n int64, unit time.Duration) []byte {
	var at time.Time
	switch {
	case unit >= time.Second:
		at = time.Unix(n*int64(unit/time.Second), 0)
	default:
		perSecond := int64(time.Second / unit)
		at = time.Unix(n/perSecond, n%perSecond*int64(unit))
	}
	return at.UTC().AppendFormat(dst, time.RFC3339Nano)
}

// julianEpoch is the Julian day of 1970-01-01.
const julianEpoch = 2440588

func appendInt96(dst []byte, v deprecated.Int96) []byte {
	nanos := int64(v[1])<<32 | int64(v[0])
	day := int64(v[2]) - julianEpoch
	return time.Unix(day*86400, nanos).UTC().AppendFormat(dst, time.RFC3339Nano)
}
