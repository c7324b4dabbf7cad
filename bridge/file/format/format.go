// Package format tells which format a file of rows has: by its name, then by its
// first bytes.
//
// It owns the names of the formats. It must not import anything of this module but
// bridge/file/stream (faults).
package format

import (
	"bytes"
	"path"
	"strings"

	"vitrine/bridge/file/stream"
)

// The formats.
const (
	CSV    = "csv"
	TSV    = "tsv"
	NDJSON = "ndjson"
	// Lists has a user and his items on every line, with blanks between them.
	Lists = "lists"
	// Sessions has the items of one session on every line.
	Sessions = "sessions"
	// Parquet is not read from front to end, so it is not guessed here.
	Parquet = "parquet"
)

// Guess settles the format of the file of a name that begins with data and, for CSV
// and TSV, its delimiter. given is the format that the user named, "" for none;
// lines is what lines of numbers are taken for, Lists, Sessions or "". Faults are a
// *stream.Error.
func Guess(name, given, lines string, data []byte) (format string, delimiter byte, err error) {
	first := bytes.TrimLeft(data, " \t\r\n")
	if len(first) == 0 {
		return "", 0, stream.Errorf(name, stream.CodeEmptyFile, "it holds nothing but blanks in its first %d bytes", len(data))
	}
	header := first
	if i := bytes.IndexByte(header, '\n'); i >= 0 {
		header = header[:i]
	}
	format = given
	if format == "" {
		format = byName(name)
	}
	if format == "" {
		switch {
		case lines != "" && looksLikeLists(first):
			format = lines
		case first[0] == '{':
			format = NDJSON
		case first[0] == '[':
			return "", 0, jsonArrayFault(name)
		case bytes.Count(header, []byte{'\t'}) > bytes.Count(header, []byte{','}):
			format = TSV
		default:
			format = CSV
		}
	}
	switch format {
	case NDJSON:
		if first[0] == '[' {
			return "", 0, jsonArrayFault(name)
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
	return "", 0, stream.Errorf(name, stream.CodeUnknownFormat, "unknown format %.32q; there are csv, tsv, ndjson, lists and sessions", format)
}

func jsonArrayFault(name string) error {
	return stream.Errorf(name, stream.CodeUnknownFormat, "it is one JSON array; a file needs one JSON object per line").
		WithHint("jq -c '.[]' FILE > NEW.ndjson")
}

// byName reads the extension below that of a compressor.
func byName(name string) string {
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

// listLines are how many lines must look like lists to be taken for them.
const listLines = 16

// looksLikeLists tells whether the first lines of a file are numbers with
// blanks between them.
func looksLikeLists(data []byte) bool {
	for n := 0; n < listLines && len(data) > 0; n++ {
		line, rest, complete := bytes.Cut(data, []byte{'\n'})
		line = bytes.TrimSpace(line)
		if n == 0 && bytes.IndexByte(line, ' ') < 0 {
			return false
		}
		if !complete && n > 0 {
			return true // cut off
		}
		if bytes.IndexFunc(line, func(r rune) bool { return r != ' ' && (r < '0' || r > '9') }) >= 0 {
			return false
		}
		data = rest
	}
	return true
}
