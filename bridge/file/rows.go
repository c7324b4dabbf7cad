package file

import (
	"bytes"
	"path"
	"strconv"
	"strings"

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

// guessFormat settles the format and, for CSV and TSV, the delimiter.
func guessFormat(spec *Spec, data []byte) (format string, delimiter byte, err error) {
	first := bytes.TrimLeft(data, " \t\r\n")
	if len(first) == 0 {
		return "", 0, inputErrorf(spec.Name, stream.CodeEmptyFile, "it holds nothing but blanks in its first %d bytes", len(data))
	}
	header := first
	if i := bytes.IndexByte(header, '\n'); i >= 0 {
		header = header[:i]
	}
	format = spec.Format
	if format == "" {
		format = formatByName(spec.Name)
	}
	if format == "" {
		switch {
		case spec.Lines != "" && looksLikeLists(first):
			format = spec.Lines
		case first[0] == '{':
			format = NDJSON
		case first[0] == '[':
			return "", 0, jsonArrayFault(spec.Name)
		case bytes.Count(header, []byte{'\t'}) > bytes.Count(header, []byte{','}):
			format = TSV
		default:
			format = CSV
		}
	}
	switch format {
	case NDJSON:
		if first[0] == '[' {
			return "", 0, jsonArrayFault(spec.Name)
		}
		return NDJSON, 0, nil
	case TSV:
		return TSV, '\t', nil
	case Lists, Sessions:
		return format, 0, nil
	case CSV:
		// Spreadsheets of half the world write "CSV" with semicolons.
		if bytes.IndexByte(header, ',') < 0 && bytes.IndexByte(header, ';') >= 0 {
			return CSV, ';', nil
		}
		return CSV, ',', nil
	}
	return "", 0, inputErrorf(spec.Name, stream.CodeUnknownFormat, "unknown format %q; there are csv, tsv, ndjson, lists and sessions", clip(format, 32))
}

func jsonArrayFault(name string) error {
	return inputErrorf(name, stream.CodeUnknownFormat, "it is one JSON array; a file needs one JSON object per line").
		WithHint("jq -c '.[]' FILE > NEW.ndjson")
}

// formatByName reads the extension below that of a compressor.
func formatByName(name string) string {
	base := strings.ToLower(path.Base(name))
	for _, ext := range []string{".gz", ".xz", ".zst", ".zstd"} {
		base = strings.TrimSuffix(base, ext)
	}
	switch path.Ext(base) {
	case ".csv":
		return CSV
	case ".tsv", ".tab":
		return TSV
	case ".ndjson", ".jsonl", ".jsonlines":
		return NDJSON
	}
	return ""
}

// tooLarge is the fault of a row beyond MaxRow.
func tooLarge() *event.Invalid {
	return &event.Invalid{Code: event.CodeTooLarge, Detail: "the row has more than " + itoa(MaxRow) + " bytes"}
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
