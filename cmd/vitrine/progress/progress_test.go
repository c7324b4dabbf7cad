package progress

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// TestBarAndLog: on a terminal the log's lines push the bar aside, and nothing
// of it stays in the end.
func TestBarAndLog(t *testing.T) {
	var screen bytes.Buffer
	p := &Bar{w: &screen, terminal: true}
	p.Show("import", 50, 100)
	if got := screen.String(); got != "importing                  [##############--------------]  50 %" {
		t.Errorf("bar %q", got)
	}
	screen.Reset()
	if _, err := p.Write([]byte("a line\n")); err != nil {
		t.Fatal(err)
	}
	if got := screen.String(); got != "\r\x1b[Ka line\n" {
		t.Errorf("after a line of the log %q", got)
	}
	screen.Reset()
	p.Show("import", 60, 100)
	p.Done()
	if got := screen.String(); !strings.HasPrefix(got, "importing") || !strings.HasSuffix(got, "\r\x1b[K") {
		t.Errorf("in the end %q", got)
	}
}

// TestPlainLines: elsewhere short work prints nothing, long work plain lines.
func TestPlainLines(t *testing.T) {
	var out bytes.Buffer
	p := &Bar{w: &out}
	for n := range int64(100) {
		p.Show("fill", n, 100)
	}
	p.Done()
	if out.Len() > 0 {
		t.Errorf("short work prints %q", out.String())
	}
	p.Show("fill", 0, 100)
	p.shown = p.shown.Add(-lineEvery) // as if that time had passed
	p.Show("fill", 40, 100)
	p.Show("fill", 41, 100)
	if got := out.String(); got != "filling the shop  40 %\n" {
		t.Errorf("long work prints %q", got)
	}
}

func TestProgressText(t *testing.T) {
	for _, c := range []struct {
		stage       string
		done, total int64
		spent       time.Duration
		want        string
	}{
		{"commit", 0, 0, time.Hour, "committing to the archive"},
		{"fit", 3, 12, time.Second, "fitting the model  25 %  3s left"},
		{"fill", 1000, 4000, 2 * time.Second, "filling the shop  25 %  500/s  6s left"},
		{"import", 10 << 20, 20 << 20, 4 * time.Second, "importing  50 %  2.5 MiB/s  4s left"},
		{"import", 30 << 20, 20 << 20, 4 * time.Second, "importing 100 %  5.0 MiB/s"},
	} {
		p := &Bar{stage: c.stage}
		if got := p.text(c.done, c.total, c.spent); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	p := &Bar{stage: "fit", loss: 12345.678}
	if got := p.text(3, 12, time.Second); got != "fitting the model  25 %  sweep 3 of 12, loss 12346  3s left" {
		t.Errorf("a fit: %q", got)
	}
	if got := Count(1234567); got != "1,234,567" {
		t.Errorf("count: %s", got)
	}
}
