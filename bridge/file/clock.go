package file

import (
	"strings"
	"time"
	_ "time/tzdata" // zones by name also where the system has no zone files

	"vitrine/bridge/event"
	"vitrine/bridge/file/stream"
	"vitrine/bridge/file/strftime"
)

// clock reads the times of a file.
type clock struct {
	loc    *time.Location
	layout string // Go layout; empty: the usual forms
	unit   int64  // milliseconds per unit of a number; 0: not a number
	// lastText and last spare most of the work: the lines of an invoice share
	// their time.
	lastText []byte
	last     int64
}

func newClock(spec *Spec) (*clock, error) {
	c := &clock{loc: time.UTC}
	if spec.TZ != "" {
		loc, err := time.LoadLocation(spec.TZ)
		if err != nil || spec.TZ == "Local" {
			return nil, inputErrorf("", stream.CodeInvalidTZ, "tz: unknown time zone %q", clip(spec.TZ, 64)).
				WithHint("a zone is written like Europe/Berlin or Asia/Shanghai")
		}
		c.loc = loc
	}
	switch format := spec.TSFormat; {
	case format == "":
	case format == "unix":
		c.unit = 1000
	case format == "unix_ms":
		c.unit = 1
	default:
		layout, ok := strftime.Layout(format)
		if !ok {
			return nil, inputErrorf("", stream.CodeInvalidTSForm, "ts-format: %q does not describe a date and time", clip(format, 64)).
				WithHint("write it like %%d/%%m/%%Y %%H:%%M, or unix, or unix_ms")
		}
		c.layout = layout
	}
	return c, nil
}

// parse reads the time in a cell.
func (c *clock) parse(f field, cell *cell) (int64, *event.Invalid) {
	if cell.kind > cellNumber {
		return 0, wrongKind(f, event.CodeInvalidTime, "must be a time")
	}
	if string(cell.text) == string(c.lastText) {
		return c.last, nil
	}
	ms, ok := c.read(strings.TrimSpace(string(cell.text)))
	if !ok {
		what := "is not a time; RFC 3339, 2010-12-01 08:26:00, Unix seconds and milliseconds are understood, others by an import's --ts-format"
		if c.layout != "" || c.unit != 0 {
			what = "is not a time of the given ts-format"
		}
		return 0, wrongKind(f, event.CodeInvalidTime, quote(cell.text)+" "+what)
	}
	c.lastText, c.last = append(c.lastText[:0], cell.text...), ms
	return ms, nil
}

func (c *clock) read(text string) (int64, bool) {
	switch {
	case c.unit != 0:
		v, ok := plainNumber([]byte(text))
		return int64(v * float64(c.unit)), ok && v >= 0
	case c.layout != "":
		t, err := time.ParseInLocation(c.layout, text, c.loc)
		return t.UnixMilli(), err == nil
	default:
		return event.ParseTime(text, c.loc)
	}
}
