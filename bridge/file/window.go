package file

import (
	"bytes"
	"io"
	"strconv"
)

// window is the part of the decompressed stream that is being looked at: a row
// must lie in it as a whole, so it grows up to a row's limit.
type window struct {
	r        io.Reader
	buf      []byte
	pos, end int
	line     int64 // physical line at pos, from 1
	err      error // why no more comes; io.EOF is a clean end
}

// windowBytes is the usual size: small enough for the cache of a core.
const windowBytes = 256 << 10

func newWindow(r io.Reader) *window {
	return &window{r: r, buf: make([]byte, windowBytes), line: 1}
}

// start fills the window and refuses what is no text.
func (w *window) start(name string) error {
	for w.end-w.pos < 4096 && w.more() {
	}
	data := w.peek()
	switch {
	case len(data) == 0 && w.err == io.EOF:
		return inputErrorf(name, CodeEmptyFile, "it is empty").withHint(hintEmpty)
	case len(data) == 0:
		return readFault(name, w.err, 0)
	case bytes.HasPrefix(data, []byte("\xef\xbb\xbf")):
		w.pos += 3
		if w.pos == w.end {
			return inputErrorf(name, CodeEmptyFile, "it is empty").withHint(hintEmpty)
		}
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")):
		return inputErrorf(name, CodeUnknownFormat, "it is UTF-16; text must be UTF-8").
			withHint("iconv -f UTF-16 -t UTF-8 FILE > NEW")
	case bytes.HasPrefix(data, []byte("PAR1")):
		return inputErrorf(name, CodeUnknownFormat, "it is a Parquet file; csv, tsv and ndjson are read")
	case bytes.IndexByte(data[:min(len(data), 4096)], 0) >= 0:
		return inputErrorf(name, CodeUnknownFormat, "it is binary, not text")
	}
	return nil
}

// peek returns what is in the window.
func (w *window) peek() []byte { return w.buf[w.pos:w.end] }

// more reads on behind the window; false when nothing more comes.
func (w *window) more() bool {
	if w.err != nil {
		return false
	}
	if w.pos > 0 {
		copy(w.buf, w.buf[w.pos:w.end])
		w.end -= w.pos
		w.pos = 0
	}
	if w.end == len(w.buf) {
		grown := make([]byte, 2*len(w.buf))
		copy(grown, w.buf[:w.end])
		w.buf = grown
	}
	n, err := w.r.Read(w.buf[w.end:])
	w.end += n
	w.err = err
	return n > 0 || err == nil
}

// atEnd tells whether the window holds the last bytes of a clean stream. The
// last bytes before a fault are no complete row: who can say what was cut off.
func (w *window) atEnd() bool { return w.err == io.EOF }

// fault is the fault of the stream, after all rows were read.
func (w *window) fault(name string) error {
	if w.err == nil || w.err == io.EOF {
		return nil
	}
	return readFault(name, w.err, w.line-1)
}

// take moves the window past n bytes that hold the given number of line ends.
func (w *window) take(n int, lines int64) {
	w.pos += n
	w.line += lines
}

// physicalLine returns the line at pos without its end, and the bytes to take
// for it. A line beyond MaxRow is cut: whole is false, and skipLine must
// follow. ok is false when there is no complete line any more.
func (w *window) physicalLine() (line []byte, n int, whole, ok bool) {
	for from := 0; ; {
		data := w.peek()
		if i := bytes.IndexByte(data[from:], '\n'); i >= 0 {
			if n = from + i; n > MaxRow {
				return data[:MaxRow], MaxRow, false, true
			}
			return trimCR(data[:n]), n + 1, true, true
		}
		if len(data) > MaxRow {
			return data[:MaxRow], MaxRow, false, true
		}
		from = len(data)
		if !w.more() {
			break
		}
	}
	data := w.peek()
	if len(data) == 0 || !w.atEnd() {
		return nil, 0, false, false
	}
	return trimCR(data), len(data), true, true
}

// skipLine drops everything up to and with the next line end, in bounded
// memory.
func (w *window) skipLine() {
	for {
		data := w.peek()
		if i := bytes.IndexByte(data, '\n'); i >= 0 {
			w.take(i+1, 1)
			return
		}
		w.pos = w.end
		if !w.more() {
			return
		}
	}
}

func trimCR(line []byte) []byte {
	if n := len(line); n > 0 && line[n-1] == '\r' {
		return line[:n-1]
	}
	return line
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
