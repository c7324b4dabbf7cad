package file

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"vitrine/bridge/event"
	"vitrine/bridge/file/stream"
)

// jsonRows reads NDJSON: one object per line. The members are the columns.
type jsonRows struct {
	w    *stream.Window
	cols *columns
	// open makes every new member name a column; else they are passed over.
	open bool
	row  row
}

// sampleBytes and sampleRows bound the rows whose members are the known
// columns of a file: what a mapping or filter names must be among them.
const (
	sampleBytes = MaxRow
	sampleRows  = 1000
)

// newJSONRows looks at the first rows without taking them.
func newJSONRows(w *stream.Window) *jsonRows {
	for len(w.Peek()) < sampleBytes && w.More() {
	}
	j := &jsonRows{w: w, cols: newColumns("field"), open: true}
	sample := w.Peek()
	for n := 0; n < sampleRows && len(sample) > 0; n++ {
		line, rest, complete := bytes.Cut(sample, []byte{'\n'})
		if sample = rest; !complete && !w.AtEnd() {
			break
		}
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] == '{' && json.Valid(line) {
			j.members(line)
		}
	}
	j.open = false
	return j
}

func (j *jsonRows) columns() *columns { return j.cols }

// next implements rowReader.
func (j *jsonRows) next() (*row, error) {
	line, n, whole, ok := j.w.PhysicalLine()
	if !ok {
		return nil, io.EOF
	}
	r := &j.row
	*r = row{line: j.w.Line(), raw: line, cells: r.cells}
	if !whole {
		r.skip(j.w)
		return r, nil
	}
	j.w.Take(n, 1)
	line = bytes.TrimSpace(line)
	switch {
	case len(line) == 0:
		return nil, nil
	case !json.Valid(line):
		r.fault = &event.Invalid{Code: event.CodeInvalidJSON, Detail: jsonFault(line)}
	case line[0] != '{':
		r.fault = &event.Invalid{Code: event.CodeInvalidJSON, Detail: "the line is JSON but not an object"}
	default:
		j.members(line)
	}
	return r, nil
}

// jsonFault says what is wrong with a line that is not valid JSON.
func jsonFault(line []byte) string {
	var any json.RawMessage
	err := json.Unmarshal(line, &any)
	var fault *json.SyntaxError
	if errors.As(err, &fault) {
		return "at byte " + itoa(fault.Offset) + ": " + fault.Error()
	}
	return "the line is not valid JSON"
}

// members puts the members of an object into the cells. The text must be
// valid JSON, which is what makes this scan so short.
func (j *jsonRows) members(object []byte) {
	r := &j.row
	clear(r.cells)
	r.cells = append(r.cells, make([]cell, max(0, len(j.cols.names)-len(r.cells)))...)
	rest := object[1:]
	for {
		rest = bytes.TrimLeft(rest, " \t\r\n,")
		if rest[0] == '}' {
			return
		}
		name, after := cutString(rest)
		after = bytes.TrimLeft(after, " \t\r\n:")
		var value cell
		value, rest = cutValue(after)
		col, known := j.cols.index[string(name)]
		if !known && j.open {
			if len(j.cols.names) >= maxColumns {
				r.fault = &event.Invalid{Code: event.CodeInvalidAttribute, Detail: "the file has more than " + itoa(maxColumns) + " different fields"}
				return
			}
			col, known = j.cols.add(string(name)), true
			r.cells = append(r.cells, cell{})
		}
		if known {
			r.cells[col] = value
		}
	}
}

// cutString takes the string literal at the start of data.
func cutString(data []byte) (text, rest []byte) {
	end := stringEnd(data)
	text, rest = data[1:end], data[end+1:]
	if bytes.IndexByte(text, '\\') >= 0 {
		var s string
		if json.Unmarshal(data[:end+1], &s) == nil { // always: the text is valid
			text = []byte(s)
		}
	}
	return text, rest
}

// stringEnd returns the position of the quote that closes the string at the
// start of data.
func stringEnd(data []byte) int {
	for i := 1; ; i++ {
		switch data[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
}

// cutValue takes the value at the start of data.
func cutValue(data []byte) (cell, []byte) {
	switch data[0] {
	case '"':
		text, rest := cutString(data)
		return cell{cellString, text}, rest
	case 'n':
		return cell{}, data[len("null"):]
	case 't':
		return cell{cellBool, data[:len("true")]}, data[len("true"):]
	case 'f':
		return cell{cellBool, data[:len("false")]}, data[len("false"):]
	case '{', '[':
		end := nestedEnd(data)
		kind := cellArray
		if data[0] == '{' {
			kind = cellObject
		}
		return cell{kind, data[:end]}, data[end:]
	}
	end := bytes.IndexAny(data, ",} \t\r\n]")
	return cell{cellNumber, data[:end]}, data[end:]
}

// nestedEnd returns the length of the object or array at the start of data.
func nestedEnd(data []byte) int {
	depth := 0
	for i := 0; ; i++ {
		switch data[i] {
		case '"':
			i += stringEnd(data[i:])
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
}
