package file

import (
	"strconv"

	"vitrine/bridge/event"
	"vitrine/bridge/file/stream"
)

// rowReader yields the rows of one format as cells by column.
type rowReader interface {
	// next returns the next row, io.EOF at the end, or a nil row for an empty
	// line. The row is valid until the next call.
	next() (*row, error)
	// columns names the columns known before the first row.
	columns() *columns
}

// columns numbers the names of columns.
type columns struct {
	names []string
	// index gives the number of a name; a name that stands twice has -1.
	index map[string]int
	// noun is what the format calls a column, for faults.
	noun string
	head []byte // the header as it stands in the file
}

func newColumns(noun string) *columns { return &columns{index: map[string]int{}, noun: noun} }

// add numbers a name.
func (c *columns) add(name string) int {
	n := len(c.names)
	c.names = append(c.names, name)
	if _, twice := c.index[name]; twice {
		c.index[name] = -1
	} else {
		c.index[name] = n
	}
	return n
}

// row is one row of a file. When fault is set, the cells are worthless.
type row struct {
	line  int64
	raw   []byte
	cells []cell
	fault *event.Invalid
}

// cellKind is what a format knows about the type of a cell.
type cellKind uint8

const (
	cellAbsent cellKind = iota
	cellText            // of CSV: any type may be meant
	cellString          // the others are of JSON
	cellNumber
	cellBool
	cellArray
	cellObject
)

// cell is one value of a row. The text of arrays and objects is raw JSON.
type cell struct {
	kind cellKind
	text []byte
}

// skip makes the line that w stands at, of which r has the beginning, a faulty row:
// it is longer than MaxRow. What is kept of it is copied, for the rest is read over
// it.
func (r *row) skip(w *stream.Window) {
	r.fault = &event.Invalid{Code: event.CodeTooLarge, Detail: "the row has more than " + itoa(MaxRow) + " bytes"}
	r.raw = append([]byte(nil), r.raw[:MaxRaw+1]...)
	w.SkipLine()
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
