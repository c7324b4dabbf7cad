// Package progress shows people how far long work is, and writes counts as
// tables and bars have them. It knows the names of the appliance's stages and
// nothing else of it.
package progress

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// Bar shows how far long work is: a bar that redraws itself on a
// terminal, plain lines elsewhere, and nothing there for work that is over
// before the first line is due. It uses no colour, so NO_COLOR changes nothing.
type Bar struct {
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

// New is the bar of a writer; it draws one only where that is a terminal.
func New(w io.Writer) *Bar {
	f, ok := w.(*os.File)
	return &Bar{w: w, terminal: ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"}
}

// stageName is what a stage of the appliance is called on the screen.
func stageName(stage string) string {
	switch stage {
	case "fill":
		return "filling the shop"
	case "export":
		return "exporting"
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
	case "blend":
		return "choosing the blend"
	case "tables":
		return "building the tables beside it"
	case "refit":
		return "fitting on everything"
	case "write":
		return "writing the model"
	}
	return stage
}

// Terminal says whether there is one to draw on.
func (p *Bar) Terminal() bool { return p.terminal }

// Show tells that done of total units of a stage are done; total 0 is unknown.
func (p *Bar) Show(stage string, done, total int64) { p.ShowLoss(stage, done, total, 0) }

// ShowLoss is Show of a fit, whose units are sweeps that lower a loss.
func (p *Bar) ShowLoss(stage string, done, total int64, loss float64) {
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

func (p *Bar) text(done, total int64, spent time.Duration) string {
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
			fmt.Fprintf(&b, "  %s/s", Count(int64(rate)))
		}
		if left := time.Duration(float64(total-done) / rate * float64(time.Second)); left >= time.Second {
			fmt.Fprintf(&b, "  %s left", left.Round(time.Second))
		}
	}
	return b.String()
}

// Done ends the bar.
func (p *Bar) Done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
	p.stage = ""
}

// erase takes the bar off the line.
func (p *Bar) erase() {
	if p.open {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.open = false
	}
}

// Write puts whole lines above the bar: the log goes through here, so that
// the two do not run into each other.
func (p *Bar) Write(line []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open {
		p.erase()
		p.shown = time.Time{} // the bar comes back with the next step
	}
	return p.w.Write(line)
}

// Count writes a number with thousands separators.
func Count(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
