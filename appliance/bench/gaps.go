package bench

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

// tickEvery is how often a goroutine that measures gaps should run.
const tickEvery = time.Millisecond

// gapLine begins the lines of AnswerGaps.
const gapLine = "longest gap in us: "

// ticker runs every millisecond and keeps the longest time that it did not.
type ticker struct{ longest atomic.Int64 }

func (t *ticker) run(ctx context.Context) {
	tick := time.NewTicker(tickEvery)
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

// take is the longest gap since the last take.
func (t *ticker) take() time.Duration { return time.Duration(t.longest.Swap(0)) }

// AnswerGaps writes a line for each line that it reads: the longest time, since
// the one before, that a goroutine of this process could not run which should
// every millisecond. It returns when in ends.
func AnswerGaps(in io.Reader, out io.Writer) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	t := new(ticker)
	lines := bufio.NewScanner(in)
	for first := true; lines.Scan(); first = false {
		if first { // until somebody asks, nothing is to be paid for it
			go t.run(ctx)
		}
		if _, err := fmt.Fprintf(out, "%s%d\n", gapLine, t.take().Microseconds()); err != nil {
			return // nobody listens any more
		}
	}
}

// gapMeter asks an AnswerGaps in another process.
type gapMeter struct {
	ask     io.Writer
	answers chan time.Duration
}

func newGapMeter() *gapMeter { return &gapMeter{answers: make(chan time.Duration, 1)} }

// line takes a line of the process.
func (g *gapMeter) line(text string) {
	rest, ok := strings.CutPrefix(text, gapLine)
	if us, err := strconv.ParseInt(rest, 10, 64); ok && err == nil {
		select {
		case g.answers <- time.Duration(us) * time.Microsecond:
		default: // nobody asked
		}
	}
}

// take is the longest gap in the process since the last take.
func (g *gapMeter) take(ctx context.Context) (time.Duration, error) {
	if _, err := io.WriteString(g.ask, "\n"); err != nil {
		return 0, fmt.Errorf("ask for the gaps of the appliance: %w", err)
	}
	timeout := time.NewTimer(readyTimeout)
	defer timeout.Stop()
	select {
	case gap := <-g.answers:
		return gap, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-timeout.C:
		return 0, fmt.Errorf("ask for the gaps of the appliance: no answer within %s", readyTimeout)
	}
}
