package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// progress shows how far long work is: a bar that redraws itself on a
// terminal, plain lines now and then elsewhere.
type progress struct {
	mu       sync.Mutex
	w        io.Writer
	terminal bool
	stage    string
	start    time.Time
	shown    time.Time
	open     bool // a bar stands on the current line
}

const (
	redrawEvery = 100 * time.Millisecond
	lineEvery   = 2 * time.Second
	barWidth    = 28
)

func newProgress(w io.Writer) *progress {
	f, ok := w.(*os.File)
	return &progress{w: w, terminal: ok && term.IsTerminal(int(f.Fd()))}
}

// show tells that done of total units of a stage are done; total 0 is unknown.
func (p *progress) show(stage string, done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if stage != p.stage {
		p.finish()
		p.stage, p.start, p.shown = stage, now, time.Time{}
	}
	every := lineEvery
	if p.terminal {
		every = redrawEvery
	}
	if now.Sub(p.shown) < every {
		return
	}
	p.shown = now
	text := p.text(done, total, now.Sub(p.start))
	if p.terminal {
		fmt.Fprintf(p.w, "\r\x1b[K%s", text)
		p.open = true
		return
	}
	fmt.Fprintln(p.w, text)
}

func (p *progress) text(done, total int64, spent time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-9s", p.stage)
	if total > 0 {
		done = min(done, total)
		if p.terminal {
			full := int(barWidth * done / total)
			b.WriteString(" [" + strings.Repeat("#", full) + strings.Repeat("-", barWidth-full) + "]")
		}
		fmt.Fprintf(&b, " %3d %%", 100*done/total)
	}
	if rate := float64(done) / spent.Seconds(); done > 0 && spent > 500*time.Millisecond {
		fmt.Fprintf(&b, "  %s/s", count(int64(rate)))
		if total > done {
			fmt.Fprintf(&b, "  %s left", time.Duration(float64(total-done)/rate*float64(time.Second)).Round(time.Second))
		}
	}
	return b.String()
}

// done ends the bar.
func (p *progress) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.finish()
	p.stage = ""
}

func (p *progress) finish() {
	if p.open {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.open = false
	}
}

// count writes a number with thousands separators.
func count(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
