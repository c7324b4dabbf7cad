package ladder

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"

	"vitrine/appliance/admit"
	"vitrine/appliance/answer"
	"vitrine/appliance/httpapi"
	"vitrine/appliance/httpapi/publicapi"
	"vitrine/appliance/httpapi/wire"
	"vitrine/appliance/recommend"
	"vitrine/internal/pause"
)

// Lists is what a ladder stands on.
type Lists interface {
	httpapi.Lists
	Recommend(ctx context.Context, q *httpapi.Query, list *httpapi.List) error
	Rank(ctx context.Context, q *httpapi.Query, items []string, list *httpapi.List) error
	Explain(ctx context.Context, q *httpapi.Query, itemID string) (httpapi.Explanation, error)
	Similar(ctx context.Context, itemID string, limit int, list *httpapi.List) error
	// Batch begins to answer up to recommend.BatchSize queries.
	Batch(ctx context.Context, qs []httpapi.Query) answer.Batch
}

// maxBatches is how many batches wait for their turn at most.
const maxBatches = 64

// RecommendBatch makes a list for each query, some at a time. So long as they
// take, they are one request to the gate and have one slot of it; between two
// of them others come first (giveWay), and of several batches only so many at a
// time are under way that half of the processors are left.
func (l *Ladder) RecommendBatch(ctx context.Context, qs []httpapi.Query, lists []httpapi.List) (at int, err error) {
	for lo := 0; lo < len(qs); lo += recommend.BatchSize {
		hi := min(lo+recommend.BatchSize, len(qs))
		if at, err := l.together(ctx, qs[lo:hi], lists[lo:hi]); err != nil {
			return lo + at, err
		}
	}
	return 0, nil
}

// together makes the lists of up to recommend.BatchSize queries.
func (l *Ladder) together(ctx context.Context, qs []httpapi.Query, lists []httpapi.List) (at int, err error) {
	if l.batches.Add(1) > maxBatches {
		l.batches.Add(-1)
		return 0, wire.Overloaded()
	}
	defer l.batches.Add(-1)
	select {
	case l.turns <- struct{}{}:
	case <-ctx.Done():
		return 0, fmt.Errorf("wait for a turn: %w", ctx.Err())
	}
	defer func() { <-l.turns }()
	err = l.inside(ctx, func(verdict admit.Verdict) (err error) {
		at, err = l.lists(ctx, verdict, qs, lists)
		return err
	})
	return at, err
}

// lists is together for those who are in.
func (l *Ladder) lists(ctx context.Context, verdict admit.Verdict, qs []httpapi.Query, lists []httpapi.List) (at int, err error) {
	for i := range qs {
		qs[i].Brief = verdict == admit.Brief
	}
	var batch answer.Batch
	if verdict.Works() {
		batch = l.begin(ctx, qs)
	}
	for i := range qs {
		err := l.rungs(ctx, verdict, func(ctx context.Context) error {
			if err := l.one(ctx, batch, i, &qs[i], &lists[i]); err != nil || batch == nil {
				return err
			}
			l.keep(&qs[i], &lists[i])
			return nil
		}, func(reason string) error { return l.below(ctx, &qs[i], &lists[i], reason) })
		if err != nil {
			return i, err
		}
		l.giveWay()
	}
	if batch != nil {
		batch.End()
	}
	return 0, nil
}

// begin makes a batch, or none: where that panics, each list is asked for by
// itself.
func (l *Ladder) begin(ctx context.Context, qs []httpapi.Query) (batch answer.Batch) {
	_ = l.try(ctx, func(ctx context.Context) error {
		batch = l.live.Batch(ctx, qs)
		return nil
	})
	return batch
}

// one makes the list of a query of a batch; where there is none, by itself.
func (l *Ladder) one(ctx context.Context, batch answer.Batch, i int, q *httpapi.Query, list *httpapi.List) error {
	if batch == nil {
		return l.live.Recommend(ctx, q, list)
	}
	return batch.List(ctx, i, list)
}

// Patiently makes the lists of up to recommend.BatchSize queries for one who has
// time: like a batch's, but none is answered with less than what was asked for.
// While requests are turned away or answered in brief it waits, and in so far as
// others were inside while it worked it rests, up to as long as that took, a second
// at most. What went wrong with a list is in errs.
func (l *Ladder) Patiently(ctx context.Context, qs []httpapi.Query, lists []httpapi.List, errs []error) error {
	rest, err := l.patiently(ctx, qs, lists, errs)
	if err != nil || rest == 0 {
		return err
	}
	return pause.For(ctx, rest)
}

func (l *Ladder) patiently(ctx context.Context, qs []httpapi.Query, lists []httpapi.List, errs []error) (rest time.Duration, err error) {
	select {
	case l.turns <- struct{}{}:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	defer func() { <-l.turns }()
	verdict := l.gate.Enter(ctx)
	for ; verdict != admit.Work; verdict = l.gate.Enter(ctx) {
		if verdict != admit.Refuse {
			l.gate.Leave(verdict)
		}
		if err := pause.For(ctx, askAgain); err != nil {
			return 0, err
		}
	}
	defer l.gate.Leave(verdict)
	began, met, again := time.Now(), 0, askedAgain
	batch := l.begin(ctx, qs)
	for i := range qs {
		errs[i] = l.within(ctx, atLeisure, func(ctx context.Context) error { return l.one(ctx, batch, i, &qs[i], &lists[i]) })
		for ; errs[i] == nil && again > 0 && skipped(&lists[i]); again-- {
			errs[i] = l.within(ctx, atLeisure, func(ctx context.Context) error { return l.live.Recommend(ctx, &qs[i], &lists[i]) })
		}
		if l.gate.InFlight() > len(l.turns) {
			met++
		}
		l.giveWay()
	}
	if batch != nil {
		batch.End()
	}
	return min(time.Since(began), maxRest) * time.Duration(met) / time.Duration(len(qs)), ctx.Err()
}

const (
	// askAgain is how long who has time waits before it asks again whether there is
	// room.
	askAgain = 10 * time.Millisecond
	// maxRest is the longest rest behind a batch: what took longer was no work.
	maxRest = time.Second
	// atLeisure is how long one of its lists may take.
	atLeisure = 30 * time.Second
	// askedAgain is how many lists of a batch are made anew because a plugin had no
	// time for them. One that never has any is not to cost the export its own.
	askedAgain = 8
)

// skipped tells whether a plugin has no part in a list for want of time.
func skipped(list *httpapi.List) bool {
	return slices.ContainsFunc(list.Plugins, func(c httpapi.PluginCall) bool { return c.Status == string(publicapi.CallSkipped) })
}

// The next list of a batch waits at most wayTries times wayStep for others.
const (
	wayStep  = time.Millisecond
	wayTries = 10
)

// giveWay lets others have the processor: who is ready to run, and as long as
// requests queue up for it, also those that come meanwhile, for a while. A batch
// makes some 100 lists a second at least, and as many as it can where nobody
// waits.
func (l *Ladder) giveWay() {
	runtime.Gosched()
	for range wayTries {
		if !l.gate.Queues() || l.gate.InFlight() <= len(l.turns) {
			return
		}
		time.Sleep(wayStep)
	}
}
