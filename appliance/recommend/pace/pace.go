// Package pace splits the time that a list may take between the stages of its
// making. Each has to be over by its share of that time, so that what comes
// behind it has its own; where one is not, what can be left out is, or the list
// is given up while there is time for another one.
//
// It owns the shares. No timer watches them: a stage asks how long it has been
// since the request began, once, which takes some 25 ns. It imports nothing of
// this module.
//
//	clock := pace.Start(ctx)
//	...
//	if err := clock.Check(pace.Visitor); err != nil {
package pace

import (
	"context"
	"fmt"
	"time"
)

// Stage is a part of making a list.
type Stage uint8

// The stages in their order.
const (
	// Filter finds out which items pass a new filter.
	Filter Stage = iota
	// Visitor reads a history and folds it in.
	Visitor
	// Candidates are searched for, blended and filled up.
	Candidates
	// Plugins compute features, score and filter.
	Plugins
	// Page is what rules and the writing of the page are left.
	Page
	// stages is how many there are.
	stages
)

// String is the stage's name in metrics.
func (s Stage) String() string {
	return [stages]string{"filter", "visitor", "candidates", "plugins", "page"}[s]
}

// Stages are all of them.
func Stages() []Stage { return []Stage{Filter, Visitor, Candidates, Plugins, Page} }

// percent is the part of the time at which a stage is to be over. A filter that
// is new may take two fifths: it goes on with the next request that names it. The
// two behind it take a thousandth of 100 ms where nothing holds them up, so they
// may be held up for as long as what is behind them still fits: plugins have a
// budget of their own, 10 ms a round, and get no less as long as the stages before
// are in time. Rules and the page are the last, and need least.
func (s Stage) percent() time.Duration {
	return [stages]time.Duration{40, 75, 80, 95, 100}[s]
}

// Clock is the time of one request. Its zero value never ends.
type Clock struct {
	begun time.Time
	whole time.Duration // 0 has no end
}

// Start begins with what ctx leaves.
func Start(ctx context.Context) Clock {
	c := Clock{begun: time.Now()}
	if deadline, ok := ctx.Deadline(); ok {
		c.whole = max(1, deadline.Sub(c.begun))
	}
	return c
}

// End is when a stage is to be over; the zero time where there is no end.
func (c *Clock) End(s Stage) time.Time {
	if c.whole == 0 {
		return time.Time{}
	}
	return c.begun.Add(c.share(s))
}

func (c *Clock) share(s Stage) time.Duration { return c.whole / 100 * s.percent() }

// Over tells whether the share of a stage is used up.
func (c *Clock) Over(s Stage) bool { return c.whole != 0 && time.Since(c.begun) > c.share(s) }

// Check is *Late where the share of a stage is used up.
func (c *Clock) Check(s Stage) error {
	if c.Over(s) {
		return &Late{s}
	}
	return nil
}

// Late says that a stage took more than its share. It is a
// context.DeadlineExceeded.
type Late struct{ Stage Stage }

// Error names the stage.
func (l *Late) Error() string {
	return fmt.Sprintf("make a list: its stage %s took too long: %v", l.Stage, context.DeadlineExceeded)
}

// Unwrap is what it is.
func (l *Late) Unwrap() error { return context.DeadlineExceeded }

// Until is a context that ends at a time that no timer watches: the stages of a
// request ask for it between each other, and a timer would cost each request more
// than that. The zero time is no end of its own.
type Until struct {
	context.Context
	At time.Time
}

// Deadline is the earlier of the two.
func (u *Until) Deadline() (time.Time, bool) {
	if at, ok := u.Context.Deadline(); u.At.IsZero() || ok && at.Before(u.At) {
		return at, ok
	}
	return u.At, true
}

// Err looks at the clock.
func (u *Until) Err() error {
	if err := u.Context.Err(); err != nil {
		return err
	}
	if !u.At.IsZero() && time.Now().After(u.At) {
		return context.DeadlineExceeded
	}
	return nil
}
