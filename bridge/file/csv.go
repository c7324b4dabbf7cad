package file

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"vitrine/bridge/event"
	"vitrine/bridge/file/stream"
)

// maxColumns bounds the header of a file.
const maxColumns = 4096

// csvRows reads CSV after RFC 4180, and TSV: a quoted field begins with a
// quote, may hold delimiters and line ends, and a quote in it is doubled. A
// quote inside an unquoted field is an ordinary character. A quoted field that
// is never closed, or that goes on behind its closing quote, costs its first
// physical line only; reading goes on at the next line, so a stray quote does
// not swallow the file. In TSV, where most writers know no quoting, a field is
// quoted only if it is closed on its line, and a stray quote is text.
type csvRows struct {
	w         *stream.Window
	cols      *columns
	delimiter byte
	tsv       bool
	scratch   []byte
	row       row
	// bare says that the file has no header; first that the row that was read
	// in its place is the next.
	bare, first bool
}

func newCSVRows(w *stream.Window, spec *Spec, delimiter byte) (*csvRows, error) {
	c := &csvRows{w: w, cols: newColumns("column"), delimiter: delimiter, tsv: delimiter == '\t'}
	for {
		row, err := c.next()
		if err == io.EOF {
			if fault := w.Fault(spec.Name); fault != nil {
				return nil, fault
			}
			return nil, inputErrorf(spec.Name, stream.CodeEmptyFile, "it holds no header")
		}
		if row == nil {
			continue
		}
		if row.fault != nil {
			return nil, inputErrorf(spec.Name, stream.CodeUnknownFormat, "line %d, the header: %s", row.line, row.fault.Detail)
		}
		if len(row.cells) > maxColumns {
			return nil, inputErrorf(spec.Name, stream.CodeTooManyColumns, "the header has %d columns, the limit is %d", len(row.cells), maxColumns)
		}
		if c.bare = bare(row.cells, spec); c.bare {
			c.first = true
			for n := range row.cells {
				c.cols.add(itoa(int64(n) + 1))
			}
			return c, nil
		}
		for _, cell := range row.cells {
			if !utf8.Valid(cell.text) {
				return nil, inputErrorf(spec.Name, stream.CodeUnknownFormat, "the header is not valid UTF-8").
					WithHint("iconv -f LATIN1 -t UTF-8 FILE > NEW, with the encoding that the file has")
			}
			c.cols.add(strings.TrimSpace(string(cell.text)))
		}
		c.cols.head = bytes.Clone(row.raw)
		return c, nil
	}
}

func (c *csvRows) columns() *columns { return c.cols }

// next implements rowReader.
func (c *csvRows) next() (*row, error) {
	if c.first {
		c.first = false
		return &c.row, nil
	}
	line, n, whole, ok := c.w.PhysicalLine()
	if !ok {
		return nil, io.EOF
	}
	r := &c.row
	*r = row{line: c.w.Line(), raw: line, cells: r.cells[:0]}
	switch {
	case !whole:
		r.skip(c.w)
	case len(line) == 0:
		c.w.Take(n, 1)
		return nil, nil
	case bytes.IndexByte(line, '"') < 0:
		c.split(line)
		c.w.Take(n, 1)
	default:
		if !c.quoted(n) {
			return nil, io.EOF
		}
	}
	if header := len(c.cols.names); r.fault == nil && header > 0 && len(r.cells) != header {
		r.fault = &event.Invalid{
			Code:   CodeInvalidRow,
			Detail: fmt.Sprintf("the row has %d fields, the header has %d", len(r.cells), header),
		}
	}
	return r, nil
}

// split cuts a line without quotes.
func (c *csvRows) split(line []byte) {
	cells := c.row.cells
	start := 0
	for i := range line {
		if line[i] == c.delimiter {
			cells = append(cells, textCell(line[start:i]))
			start = i + 1
		}
	}
	c.row.cells = append(cells, textCell(line[start:]))
}

// quoted cuts a row that may hold quoted fields and then may go over several
// physical lines; the first has n bytes with its end. It returns false when
// the stream broke off inside the row.
func (c *csvRows) quoted(n int) bool {
	for {
		data, final := c.w.Peek(), c.w.AtEnd()
		if c.tsv {
			data, final = data[:n], true
		} else if len(data) > MaxRow {
			data, final = data[:MaxRow], false
		}
		used, lines, state := c.scan(data, final)
		if state == scanDone {
			c.row.raw = stream.TrimCR(bytes.TrimSuffix(data[:used], []byte{'\n'}))
			c.w.Take(used, lines)
			return true
		}
		if state == scanMalformed || len(data) == MaxRow || c.tsv {
			break
		}
		if !c.w.More() {
			if c.w.BrokeOff() {
				return false
			}
			if final {
				break
			}
		}
	}
	// The window may have moved: take the line afresh.
	c.row.raw = stream.TrimCR(bytes.TrimSuffix(c.w.Peek()[:n], []byte{'\n'}))
	if c.tsv {
		c.row.cells = c.row.cells[:0]
		c.split(c.row.raw)
		c.w.Take(n, 1)
		return true
	}
	c.row.fault = &event.Invalid{Code: CodeInvalidRow, Detail: fmt.Sprintf(
		"the quote that opens field %d is out of place: no quote closes the field, or text follows the closing one; a quote inside a quoted field is doubled", len(c.row.cells)+1)}
	c.w.Take(n, 1)
	return true
}

// scanState is how the scan of a row with quotes ended.
type scanState uint8

const (
	scanDone      scanState = iota // the row is complete
	scanOpen                       // the data ends inside the row
	scanMalformed                  // a quoted field goes on behind its end
)

// scan cuts the row at the start of data and tells how many bytes and line
// ends it has. final says that nothing follows data, which then ends the row.
func (c *csvRows) scan(data []byte, final bool) (used int, lines int64, state scanState) {
	c.row.cells, c.scratch = c.row.cells[:0], c.scratch[:0]
	for pos := 0; ; {
		var text []byte
		if pos < len(data) && data[pos] == '"' {
			var breaks int64
			text, pos, breaks, state = c.scanQuoted(data, pos+1, final)
			if lines += breaks; state != scanDone {
				return 0, 0, state
			}
		} else {
			start := pos
			for pos < len(data) && data[pos] != c.delimiter && data[pos] != '\n' {
				pos++
			}
			if text = data[start:pos]; pos == len(data) || data[pos] == '\n' {
				text = stream.TrimCR(text)
			}
		}
		switch {
		case pos < len(data) && data[pos] == c.delimiter:
			c.row.cells = append(c.row.cells, textCell(text))
			pos++
		case pos < len(data):
			c.row.cells = append(c.row.cells, textCell(text))
			return pos + 1, lines + 1, scanDone
		case final:
			c.row.cells = append(c.row.cells, textCell(text))
			return pos, lines, scanDone
		default:
			return 0, 0, scanOpen
		}
	}
}

// scanQuoted reads a quoted field from behind its opening quote. end is the
// position of what follows the field: a delimiter, a line end or the end of
// the data.
func (c *csvRows) scanQuoted(data []byte, pos int, final bool) (text []byte, end int, lines int64, state scanState) {
	start, mark := pos, len(c.scratch)
	for {
		i := bytes.IndexByte(data[pos:], '"')
		if i < 0 {
			return nil, 0, 0, scanOpen
		}
		lines += int64(bytes.Count(data[pos:pos+i], []byte{'\n'}))
		pos += i
		if pos+1 < len(data) && data[pos+1] == '"' {
			// A doubled quote: the field must be copied without the second.
			c.scratch = append(c.scratch, data[start:pos+1]...)
			pos += 2
			start = pos
			continue
		}
		break
	}
	if text = data[start:pos]; len(c.scratch) > mark {
		c.scratch = append(c.scratch, text...)
		text = c.scratch[mark:]
	}
	pos++
	if pos < len(data) && data[pos] == '\r' && (pos+1 < len(data) && data[pos+1] == '\n' || pos+1 == len(data) && final) {
		pos++
	}
	switch {
	case pos == len(data) && !final:
		return nil, 0, 0, scanOpen
	case pos < len(data) && data[pos] == '\r' && pos+1 == len(data):
		return nil, 0, 0, scanOpen
	case pos < len(data) && data[pos] != c.delimiter && data[pos] != '\n':
		return nil, 0, 0, scanMalformed
	}
	return text, pos, lines, scanDone
}

func textCell(text []byte) cell { return cell{kind: cellText, text: text} }
