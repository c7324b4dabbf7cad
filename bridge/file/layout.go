package file

import (
	"bytes"
	"io"
	"slices"
	"strconv"

	"vitrine/bridge/file/stream"
)

// listRows reads lines of ids with blanks between them, as data sets of the
// literature are written: "user item item ..." (Lists), or the items of one
// session (Sessions), whose user is the number of the line. Every item is a
// row of its own with the columns user_id and item_id. A line with a user
// alone has no rows.
type listRows struct {
	w        *stream.Window
	cols     *columns
	sessions bool
	user     []byte
	rest     []byte
	row      row
}

func newListRows(w *stream.Window, sessions bool) *listRows {
	l := &listRows{w: w, cols: newColumns("column"), sessions: sessions}
	l.cols.add(fieldNames[fieldUser])
	l.cols.add(fieldNames[fieldItem])
	return l
}

func (l *listRows) columns() *columns { return l.cols }

// next implements rowReader.
func (l *listRows) next() (*row, error) {
	r := &l.row
	if len(l.rest) == 0 {
		line, n, whole, ok := l.w.PhysicalLine()
		if !ok {
			return nil, io.EOF
		}
		*r = row{line: l.w.Line(), raw: line, cells: r.cells[:0]}
		if !whole {
			r.skip(l.w)
			return r, nil
		}
		l.w.Take(n, 1)
		if l.rest = bytes.TrimSpace(line); len(l.rest) == 0 {
			return nil, nil
		}
		if l.sessions {
			l.user = strconv.AppendInt(l.user[:0], r.line, 10)
		} else {
			l.user = l.token()
		}
		if len(l.rest) == 0 {
			return nil, nil
		}
	}
	// What the cells show lies in the window, which moves at the next line.
	r.cells = append(r.cells[:0], textCell(l.user), textCell(l.token()))
	return r, nil
}

// token cuts the first id off the rest of the line.
func (l *listRows) token() []byte {
	end := bytes.IndexAny(l.rest, " \t")
	if end < 0 {
		end = len(l.rest)
	}
	token := l.rest[:end]
	l.rest = bytes.TrimLeft(l.rest[end:], " \t")
	return token
}

// bare tells whether the first row of a CSV or TSV file is data already, the
// file having no header: all its cells are numbers, or the mapping names
// columns by their position, and not all of them stand in the row as names.
func bare(cells []cell, spec *Spec) bool {
	return len(cells) > 1 && (allNumbers(cells) || byPosition(cells, spec.Map))
}

func allNumbers(cells []cell) bool {
	for i := range cells {
		if _, err := strconv.ParseFloat(string(bytes.TrimSpace(cells[i].text)), 64); err != nil {
			return false
		}
	}
	return true
}

func byPosition(cells []cell, maps []Mapping) bool {
	named := true
	for i := range maps {
		if maps[i].Constant {
			continue
		}
		if n, err := strconv.Atoi(maps[i].Column); err != nil || n < 1 || n > len(cells) {
			return false
		}
		named = named && slices.ContainsFunc(cells, func(c cell) bool { return string(bytes.TrimSpace(c.text)) == maps[i].Column })
	}
	return !named
}

// mapBare fills the fields that the mapping leaves out by Spec.Bare, for a
// file without a header.
func (p *plan) mapBare(spec *Spec, mapped *[numFields]bool) error {
	for i := range spec.Bare {
		m := &spec.Bare[i]
		col, found := p.cols.index[m.Column]
		f := fieldNumber(m.Field)
		if !found || col < 0 || f < 0 || mapped[f] || p.taken[col] {
			continue
		}
		if err := p.mapField(spec, m, mapped); err != nil {
			return err
		}
	}
	return nil
}
