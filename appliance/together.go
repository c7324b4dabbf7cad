package appliance

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"vitrine/appliance/admit"
	"vitrine/appliance/answer"
	"vitrine/appliance/httpapi"
	"vitrine/appliance/httpapi/wire"
	"vitrine/appliance/recommend"
)

// lists is what the ladder stands on.
type lists interface {
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
func (l *ladder) RecommendBatch(ctx context.Context, qs []httpapi.Query, lists []httpapi.List) (at int, err error) {
	for lo := 0; lo < len(qs); lo += recommend.BatchSize {
		hi := min(lo+recommend.BatchSize, len(qs))
		if at, err := l.together(ctx, qs[lo:hi], lists[lo:hi]); err != nil {
			return lo + at, err
		}
	}
	return 0, nil
}

// together makes the lists of up to recommend.BatchSize queries.
func (l *ladder) together(ctx context.Context, qs []httpapi.Query, lists []httpapi.List) (at int, err error) {
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
	verdict := l.gate.Enter(ctx)
	if verdict == admit.Refuse {
		return 0, wire.Overloaded()
	}
	defer l.gate.Leave(verdict)
	var batch answer.Batch
	if verdict == admit.Work {
		// Where it panics, each list is asked for by itself.
		_ = l.try(ctx, func(ctx context.Context) error {
			batch = l.live.Batch(ctx, qs)
			return nil
		})
	}
	for i := range qs {
		err := l.rungs(ctx, verdict, func(ctx context.Context) error {
			if batch == nil {
				return l.live.Recommend(ctx, &qs[i], &lists[i])
			}
			if err := batch.List(ctx, i, &lists[i]); err != nil {
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

// The next list of a batch waits at most wayTries times wayStep for others.
const (
	wayStep  = time.Millisecond
	wayTries = 10
)

// giveWay lets others have the processor: who is ready to run, and as long as
// requests queue up for it, also those that come meanwhile, for a while. A batch
// makes some 100 lists a second at least, and as many as it can where nobody
// waits.
func (l *ladder) giveWay() {
	runtime.Gosched()
	for range wayTries {
		if !l.gate.Queues() || l.gate.InFlight() <= len(l.turns) {
			return
		}
		time.Sleep(wayStep)
	}
}
