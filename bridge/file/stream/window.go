package stream

import (
	"bytes"
	"io"
	"strconv"
)

// MaxRow is the most bytes of one row.
const MaxRow = 1 << 20

// Window is the part of the decompressed stream that is being looked at: a row
// must lie in it as a whole, so it grows up to a row's limit.
type Window struct {
	r        io.Reader
	buf      []byte
	pos, end int
	line     int64 // physical line at pos, from 1
	err      error // why no more comes; io.EOF is a clean end
}

// windowBytes is the usual size: small enough for the cache of a core.
const windowBytes = 256 << 10

// NewWindow looks at a text that is not compressed.
func NewWindow(r io.Reader) *Window {
	return &Window{r: r, buf: make([]byte, windowBytes), line: 1}
}

// start fills the window and refuses what is no text.
func (w *Window) start(name string) error {
	for w.end-w.pos < 4096 && w.More() {
	}
	data := w.Peek()
	switch {
	case len(data) == 0 && w.err == io.EOF:
		return Errorf(name, CodeEmptyFile, "it is empty").WithHint(HintEmpty)
	case len(data) == 0:
		return readFault(name, w.err, 0)
	case bytes.HasPrefix(data, []byte("\xef\xbb\xbf")):
		w.pos += 3
		if w.pos == w.end {
			return Errorf(name, CodeEmptyFile, "it is empty").WithHint(HintEmpty)
		}
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")):
		return Errorf(name, CodeUnknownFormat, "it is UTF-16; text must be UTF-8").
			WithHint("iconv -f UTF-16 -t UTF-8 FILE > NEW")
	case bytes.HasPrefix(data, []byte("PAR1")):
		return Errorf(name, CodeUnknownFormat, "it is a Parquet file; csv, tsv and ndjson are read")
	case bytes.IndexByte(data[:min(len(data), 4096)], 0) >= 0:
		return Errorf(name, CodeUnknownFormat, "it is binary, not text")
	}
	return nil
}

// Peek returns what is in the window.
func (w *Window) Peek() []byte { return w.buf[w.pos:w.end] }

// More reads on behind the window; false when nothing more comes.
func (w *Window) More() bool {
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

// AtEnd tells whether the window holds the last bytes of a clean stream. The
// last bytes before a fault are no complete row: who can say what was cut off.
func (w *Window) AtEnd() bool { return w.err == io.EOF }

// Fault is the fault of the stream, after all rows were read.
func (w *Window) Fault(name string) error {
	if w.err == nil || w.err == io.EOF {
		return nil
	}
	return readFault(name, w.err, w.line-1)
}

// Take moves the window past n bytes that hold the given number of line ends.
func (w *Window) Take(n int, lines int64) {
	w.pos += n
	w.line += lines
}

// PhysicalLine returns the line at pos without its end, and the bytes to take
// for it. A line beyond MaxRow is cut: whole is false, and SkipLine must
// follow. ok is false when there is no complete line any more.
func (w *Window) PhysicalLine() (line []byte, n int, whole, ok bool) {
	for from := 0; ; {
		data := w.Peek()
		if i := bytes.IndexByte(data[from:], '\n'); i >= 0 {
			if n = from + i; n > MaxRow {
				return data[:MaxRow], MaxRow, false, true
			}
			return TrimCR(data[:n]), n + 1, true, true
		}
		if len(data) > MaxRow {
			return data[:MaxRow], MaxRow, false, true
		}
		from = len(data)
		if !w.More() {
			break
		}
	}
	data := w.Peek()
	if len(data) == 0 || !w.AtEnd() {
		return nil, 0, false, false
	}
	return TrimCR(data), len(data), true, true
}

// SkipLine drops everything up to and with the next line end, in bounded
// memory.
func (w *Window) SkipLine() {
	for {
		data := w.Peek()
		if i := bytes.IndexByte(data, '\n'); i >= 0 {
			w.Take(i+1, 1)
			return
		}
		w.pos = w.end
		if !w.More() {
			return
		}
	}
}

// TrimCR cuts the carriage return off a line of Windows.
func TrimCR(line []byte) []byte {
	if n := len(line); n > 0 && line[n-1] == '\r' {
		return line[:n-1]
	}
	return line
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// Line is the number, from 1, of the physical line that comes next.
func (w *Window) Line() int64 { return w.line }

// BrokeOff tells whether the stream ended in a fault.
func (w *Window) BrokeOff() bool { return w.err != nil && w.err != io.EOF }
