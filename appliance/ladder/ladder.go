// Package ladder answers as well as it can, whatever fails behind it: the list
// that was asked for, the last good one, popular items, none with a reason.
//
// It owns the rungs and their reasons, and the turns of batches. It stands on
// the lists of an engine and behind a gate, and may import what these speak; it
// must not know the parts that lists are made of.
//
//	l := ladder.New(ladder.Options{Live: answer.New(engine, now), Gate: gate, ...})
//	err := l.Recommend(ctx, &query, &list)
package ladder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"vitrine/appliance/admit"
	"vitrine/appliance/httpapi"
	"vitrine/appliance/httpapi/wire"
	"vitrine/appliance/kept"
	"vitrine/appliance/recommend/pace"
	"vitrine/internal/logkey"
)

// Reasons why a list is not what was asked for, beside the engine's.
const (
	reasonOverload = "overload"
	reasonDeadline = "deadline"
	reasonFailed   = "failed"
)

// lenience is how many deadlines popular items may take where the list that was
// asked for cannot be had: late they are more than an empty list in time.
const lenience = 10

// Options are what a ladder stands on; all of it.
type Options struct {
	Live Lists
	Gate *admit.Gate
	// Deadline is the time that a list has.
	Deadline time.Duration
	// Late is told which stage of a list took more than its share of the time.
	Late func(stage string)
	// Known says whether a user has a history: after his erasure nothing that
	// was made of it may be shown.
	Known func(userID string) bool
	// Shown says whether an item may be shown at a time.
	Shown func(itemID string, now int64) bool
	Log   *slog.Logger
}

// Ladder answers as well as it can: the list that was asked for (the engine
// leaves out plugins that fail by itself), the last good one, popular items,
// none with a reason. Nothing that fails behind it is an error of the answer. It
// may be asked concurrently.
type Ladder struct {
	live     Lists
	gate     *admit.Gate
	kept     *kept.Lists
	deadline time.Duration
	log      *slog.Logger
	late     func(stage string)
	known    func(userID string) bool
	shown    func(itemID string, now int64) bool
	// turns has room for the batches under way, and batches counts all of them.
	turns   chan struct{}
	batches atomic.Int64
}

// New has no last good lists yet.
func New(opt Options) *Ladder {
	return &Ladder{
		live: opt.Live, gate: opt.Gate, kept: kept.New(), deadline: opt.Deadline, log: opt.Log, late: opt.Late, known: opt.Known, shown: opt.Shown,
		turns: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
	}
}

// Turns is how many batches may be under way at a time.
func (l *Ladder) Turns() int { return cap(l.turns) }

// inside does what the gate's verdict leaves to be done of a request, unless that
// is to refuse it.
func (l *Ladder) inside(ctx context.Context, do func(admit.Verdict) error) error {
	verdict := l.gate.Enter(ctx)
	if verdict == admit.Refuse {
		return wire.Overloaded()
	}
	defer l.gate.Leave(verdict)
	return do(verdict)
}

// ask asks for the list that is wanted, where the gate has room for it, and
// goes below where it cannot be had, with the reason.
func (l *Ladder) ask(ctx context.Context, wanted func(context.Context) error, below func(reason string) error) error {
	return l.inside(ctx, func(verdict admit.Verdict) error { return l.rungs(ctx, verdict, wanted, below) })
}

// rungs is ask for one who is in.
func (l *Ladder) rungs(ctx context.Context, verdict admit.Verdict, wanted func(context.Context) error, below func(reason string) error) error {
	reason := reasonOverload
	if verdict.Works() {
		err := l.try(ctx, wanted)
		if err == nil {
			return nil
		}
		if reason = climb(ctx, err); reason == "" {
			return err
		}
		var late *pace.Late
		if errors.As(err, &late) {
			l.late(late.Stage.String())
		}
	}
	return below(reason)
}

// Recommend climbs down as far as it must.
func (l *Ladder) Recommend(ctx context.Context, q *httpapi.Query, list *httpapi.List) error {
	return l.inside(ctx, func(verdict admit.Verdict) error { return l.recommend(ctx, verdict, q, list) })
}

// recommend is Recommend for one who is in.
func (l *Ladder) recommend(ctx context.Context, verdict admit.Verdict, q *httpapi.Query, list *httpapi.List) error {
	q.Brief = verdict == admit.Brief
	return l.rungs(ctx, verdict, func(ctx context.Context) error {
		if err := l.live.Recommend(ctx, q, list); err != nil {
			return err
		}
		l.keep(q, list)
		return nil
	}, func(reason string) error { return l.below(ctx, q, list, reason) })
}

// keep remembers a list for the rung below; a brief one, which has a reason, is
// less than the one that is there.
func (l *Ladder) keep(q *httpapi.Query, list *httpapi.List) {
	if kept.Keepable(q) && list.Source == httpapi.SourceLive && list.Reason == "" {
		l.kept.Put(q, list)
	}
}

// below gives the last good list, or popular items.
func (l *Ladder) below(ctx context.Context, q *httpapi.Query, list *httpapi.List, reason string) error {
	if kept.Keepable(q) && l.known(q.UserID) && l.kept.Get(q, list, l.shown) {
		list.Reason = reason
		return nil
	}
	plain := *q
	plain.NotPersonalized, plain.Explain = true, httpapi.ExplainNone
	return l.popular(ctx, list, reason, func(ctx context.Context) error {
		if reason == reasonDeadline && q.Filter != "" {
			// What is late may be the look for the items that pass: it goes on with
			// the next request, and this one has waited enough.
			ctx = &pace.Until{Context: ctx, At: time.Now().Add(l.deadline)}
		}
		return l.live.Recommend(ctx, &plain, list)
	})
}

// Rank gives the items as they came where nothing better can be had.
func (l *Ladder) Rank(ctx context.Context, q *httpapi.Query, items []string, list *httpapi.List) error {
	return l.ask(ctx, func(ctx context.Context) error { return l.live.Rank(ctx, q, items, list) }, func(reason string) error {
		*list = httpapi.List{Picks: list.Picks[:0], Plugins: list.Plugins[:0], Source: httpapi.SourcePopular, Reason: reason}
		for _, id := range items {
			list.Picks = append(list.Picks, httpapi.Pick{ItemID: id})
		}
		return nil
	})
}

// Explain is for people: it has no rungs, and waits for its turn like a list.
func (l *Ladder) Explain(ctx context.Context, q *httpapi.Query, itemID string) (x httpapi.Explanation, err error) {
	err = l.inside(ctx, func(verdict admit.Verdict) error {
		if !verdict.Works() {
			return wire.Overloaded()
		}
		return l.try(ctx, func(ctx context.Context) (err error) {
			x, err = l.live.Explain(ctx, q, itemID)
			return err
		})
	})
	return x, err
}

// Similar has no other rung than popular items.
func (l *Ladder) Similar(ctx context.Context, itemID string, limit int, list *httpapi.List) error {
	return l.ask(ctx, func(ctx context.Context) error { return l.live.Similar(ctx, itemID, limit, list) }, func(reason string) error {
		return l.popular(ctx, list, reason, func(ctx context.Context) error {
			return l.live.Popular(ctx, &httpapi.ListQuery{Limit: limit, Now: time.Now().UnixMilli()}, list)
		})
	})
}

// Popular is cheap by itself.
func (l *Ladder) Popular(ctx context.Context, q *httpapi.ListQuery, list *httpapi.List) error {
	return l.cheap(ctx, list, func(ctx context.Context) error { return l.live.Popular(ctx, q, list) })
}

// Trending is as cheap.
func (l *Ladder) Trending(ctx context.Context, q *httpapi.ListQuery, list *httpapi.List) error {
	return l.cheap(ctx, list, func(ctx context.Context) error { return l.live.Trending(ctx, q, list) })
}

// Latest is as cheap.
func (l *Ladder) Latest(ctx context.Context, q *httpapi.ListQuery, list *httpapi.List) error {
	return l.cheap(ctx, list, func(ctx context.Context) error { return l.live.Latest(ctx, q, list) })
}

// cheap lists have no rung below but the empty one.
func (l *Ladder) cheap(ctx context.Context, list *httpapi.List, ask func(context.Context) error) error {
	return l.inside(ctx, func(admit.Verdict) error { return l.popular(ctx, list, "", ask) })
}

// popular is the last rung but one: when it fails too, the list is empty. A
// reason, where there is one, stands for the list's own.
func (l *Ladder) popular(ctx context.Context, list *httpapi.List, reason string, ask func(context.Context) error) error {
	within := l.deadline
	if reason != "" {
		within *= lenience
	}
	err := l.within(context.WithoutCancel(ctx), within, ask)
	if err != nil {
		failed := climb(ctx, err)
		if failed == "" {
			return err
		}
		*list = httpapi.List{Picks: list.Picks[:0], Plugins: list.Plugins[:0], Source: httpapi.SourceEmpty, Reason: failed}
	}
	if reason != "" {
		list.Reason = reason
	}
	return nil
}

// try asks within the deadline.
func (l *Ladder) try(ctx context.Context, ask func(context.Context) error) error {
	return l.within(ctx, l.deadline, ask)
}

// within asks within a time; a panic is an error.
func (l *Ladder) within(ctx context.Context, most time.Duration, ask func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			l.log.Error("recommending panicked", slog.String(logkey.Reason, fmt.Sprint(p)), slog.String("stack", string(debug.Stack())))
			err = errPanicked
		}
	}()
	return ask(&pace.Until{Context: ctx, At: time.Now().Add(most)})
}

// errPanicked stands for a panic that is in the log.
var errPanicked = errors.New("recommending panicked")

// climb is the reason to go a rung down for an error; "" when it is for the
// caller to know: he has gone, or what he asked for is wrong.
func climb(ctx context.Context, err error) string {
	var problem *httpapi.Problem
	switch {
	case err == nil, ctx.Err() != nil, errors.As(err, &problem), errors.Is(err, httpapi.ErrNotFound):
		return ""
	case errors.Is(err, context.DeadlineExceeded):
		return reasonDeadline
	}
	return reasonFailed
}
