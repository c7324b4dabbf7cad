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
// terminal, plain lines elsewhere, and nothing there for work that is over
// before the first line is due. It uses no colour, so NO_COLOR changes nothing.
type progress struct {
	mu       sync.Mutex
	w        io.Writer
	terminal bool
	stage    string
	loss     float64   // of a fit; 0 is not known
	start    time.Time // of the stage
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
	return &progress{w: w, terminal: ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"}
}

// stageName is what a stage of the appliance is called on the screen.
func stageName(stage string) string {
	switch stage {
	case "fill":
		return "filling the shop"
	case "import":
		return "importing"
	case "commit":
		return "committing to the archive"
	case "read":
		return "reading the archive"
	case "tune":
		return "trying settings"
	case "fit":
		return "fitting the model"
	case "evaluate":
		return "judging it on newer events"
	case "blend", "tables":
		return "choosing the blend"
	case "refit":
		return "fitting on everything"
	case "write":
		return "writing the model"
	}
	return stage
}

// show tells that done of total units of a stage are done; total 0 is unknown.
func (p *progress) show(stage string, done, total int64) { p.showLoss(stage, done, total, 0) }

// showLoss is show of a fit, whose units are sweeps that lower a loss.
func (p *progress) showLoss(stage string, done, total int64, loss float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.loss = loss
	now := time.Now()
	if p.shown.IsZero() && !p.terminal {
		p.shown = now // the first line is due when the work has proved long
	}
	fresh := stage != p.stage
	if fresh {
		p.stage, p.start = stage, now
	}
	if p.terminal && !fresh && now.Sub(p.shown) < redrawEvery || !p.terminal && now.Sub(p.shown) < lineEvery {
		return
	}
	p.shown = now
	text := p.text(done, total, now.Sub(p.start))
	if !p.terminal {
		fmt.Fprintln(p.w, text)
		return
	}
	p.erase()
	fmt.Fprint(p.w, text)
	p.open = true
}

func (p *progress) text(done, total int64, spent time.Duration) string {
	name := stageName(p.stage)
	if total <= 0 {
		return name
	}
	var b strings.Builder
	done = min(done, total)
	if p.terminal {
		full := int(barWidth * done / total)
		fmt.Fprintf(&b, "%-26s [%s%s]", name, strings.Repeat("#", full), strings.Repeat("-", barWidth-full))
	} else {
		b.WriteString(name)
	}
	fmt.Fprintf(&b, " %3d %%", 100*done/total)
	if p.loss != 0 {
		fmt.Fprintf(&b, "  sweep %d of %d, loss %.5g", done, total, p.loss)
	}
	// A handful of steps says nothing as a rate.
	if rate := float64(done) / spent.Seconds(); done > 0 && spent > 500*time.Millisecond {
		switch {
		case p.stage == "import":
			fmt.Fprintf(&b, "  %.1f MiB/s", rate/(1<<20))
		case total >= 1000:
			fmt.Fprintf(&b, "  %s/s", count(int64(rate)))
		}
		if left := time.Duration(float64(total-done) / rate * float64(time.Second)); left >= time.Second {
			fmt.Fprintf(&b, "  %s left", left.Round(time.Second))
		}
	}
	return b.String()
}

// done ends the bar.
func (p *progress) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
	p.stage = ""
}

// erase takes the bar off the line.
func (p *progress) erase() {
	if p.open {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.open = false
	}
}

// Write puts whole lines above the bar: the log goes through here, so that
// the two do not run into each other.
func (p *progress) Write(line []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open {
		p.erase()
		p.shown = time.Time{} // the bar comes back with the next step
	}
	return p.w.Write(line)
}

// count writes a number with thousands separators.
func count(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
