// Package gap measures how long a process keeps its goroutines from running:
// here, or in another process that runs Answer on its standard input and output.
//
// It owns the ticker and the lines between the two processes, and imports
// nothing of this module.
package gap

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// every is how often a goroutine that measures gaps should run.
const every = time.Millisecond

// prefix begins the lines of Answer.
const prefix = "longest gap in us: "

// Ticker runs every millisecond and keeps the longest time that it did not.
type Ticker struct{ longest atomic.Int64 }

// Run ticks until ctx ends.
func (t *Ticker) Run(ctx context.Context) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for last := time.Now(); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		if gap := int64(now.Sub(last)); gap > t.longest.Load() {
			t.longest.Store(gap)
		}
		last = now
	}
}

// Take is the longest gap since the last Take.
func (t *Ticker) Take() time.Duration { return time.Duration(t.longest.Swap(0)) }

// Answer writes a line for each line that it reads: the longest time, since
// the one before, that a goroutine of this process could not run which should
// every millisecond. It returns when in ends.
func Answer(in io.Reader, out io.Writer) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	t := new(Ticker)
	lines := bufio.NewScanner(in)
	for first := true; lines.Scan(); first = false {
		if first { // until somebody asks, nothing is to be paid for it
			go t.Run(ctx)
		}
		if _, err := fmt.Fprintf(out, "%s%d\n", prefix, t.Take().Microseconds()); err != nil {
			return // nobody listens any more
		}
	}
}

// answerTimeout is how long a process may take to answer.
const answerTimeout = time.Minute

// Meter asks an Answer in another process.
type Meter struct {
	// Ask is its standard input.
	Ask     io.Writer
	answers chan time.Duration
}

// NewMeter makes a meter, whose Ask is still to be set.
func NewMeter() *Meter { return &Meter{answers: make(chan time.Duration, 1)} }

// Line takes a line of the process.
func (g *Meter) Line(text string) {
	rest, ok := strings.CutPrefix(text, prefix)
	if us, err := strconv.ParseInt(rest, 10, 64); ok && err == nil {
		select {
		case g.answers <- time.Duration(us) * time.Microsecond:
		default: // nobody asked
		}
	}
}

// Take is the longest gap in the process since the last Take.
func (g *Meter) Take(ctx context.Context) (time.Duration, error) {
	if _, err := io.WriteString(g.Ask, "\n"); err != nil {
		return 0, fmt.Errorf("ask for the gaps of the appliance: %w", err)
	}
	timeout := time.NewTimer(answerTimeout)
	defer timeout.Stop()
	select {
	case gap := <-g.answers:
		return gap, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-timeout.C:
		return 0, fmt.Errorf("ask for the gaps of the appliance: no answer within %s", answerTimeout)
	}
}
