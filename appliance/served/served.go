// Package served logs the lists that are answered, so that clicks can be
// joined to them later: a sample of them, bounded, written behind the answers'
// back through the same log as events.
//
// It owns the choice of lists, the queue and its figures. It imports the HTTP
// layer's terms, bridge/event and the metrics library; whoever makes the
// answers does not know it.
package served

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"vitrine/appliance/httpapi"
	"vitrine/bridge/event"
	"vitrine/internal/logkey"
)

const (
	// flushEvery is how long a list waits for others: each hand-in costs one
	// fsync, and what waits is lost by a kill.
	flushEvery = 2 * time.Second
	// maxWaiting bounds the places (items of lists) that wait: 3 MB, and as much
	// again while they are handed in.
	maxWaiting = 1 << 16
	// lastFlush bounds the hand-in of a clean stop.
	lastFlush = 5 * time.Second
)

// Options say what is logged. Share, Submit, Erased and Now are needed.
type Options struct {
	// Share is the part of the lists that is logged, 0 to 1.
	Share float64
	// Rate is how many lists are logged a second at most.
	Rate int
	// Submit hands records in; it may block, and refuse them.
	Submit func(ctx context.Context, records []event.Record) error
	// Erased is when a user was erased, in Unix milliseconds.
	Erased func(userID string) (at int64, ok bool)
	// Rules is the version of the business rules in force; nil is none.
	Rules func() int
	Log   *slog.Logger
}

// Log takes lists. Its methods are safe for concurrent use.
type Log struct {
	opt Options
	// second is the one that taken counts the lists of.
	second, taken atomic.Int64

	mu      sync.Mutex
	waiting []event.Record
	places  int

	logged, thinned, dropped atomic.Uint64
}

// New makes a log; nothing is handed in until Run.
func New(opt Options) *Log { return &Log{opt: opt} }

// Served takes a list that was answered, if it falls into the sample. It never
// waits for anybody but for another list's copy.
func (l *Log) Served(in httpapi.Served) {
	if !l.wanted(in.Query.Now) {
		l.thinned.Add(1)
		return
	}
	r := event.Record{Kind: event.KindServed, Served: l.record(in)}
	l.mu.Lock()
	room := l.places+len(r.Served.Items) < maxWaiting
	if room {
		l.waiting = append(l.waiting, r)
		l.places += len(r.Served.Items) + 1
	}
	l.mu.Unlock()
	if !room {
		l.dropped.Add(1)
	}
}

// wanted chooses. Whether a list is taken does not depend on what is in it, so
// the sample is fair; beyond the rate it is the first ones of each second.
func (l *Log) wanted(now int64) bool {
	if l.opt.Share <= 0 || l.opt.Share < 1 && rand.Float64() >= l.opt.Share {
		return false
	}
	second := now / 1000
	if was := l.second.Load(); was != second && l.second.CompareAndSwap(was, second) {
		l.taken.Store(0)
	}
	return l.taken.Add(1) <= int64(l.opt.Rate)
}

// record copies a list. Ids are shared with the catalogue, which keeps them.
func (l *Log) record(in httpapi.Served) *event.Served {
	q, list := in.Query, in.List
	s := &event.Served{
		RequestID: in.RequestID, UserID: q.UserID, Time: q.Now, List: in.Kind, Subject: in.Subject, Scene: q.Scene,
		Source: list.Source, Reason: list.Reason, Model: list.ModelVersion,
		Items: make([]event.ServedItem, len(list.Picks)),
	}
	if l.opt.Rules != nil {
		s.Rules = uint32(l.opt.Rules())
	}
	for i := range list.Picks {
		s.Items[i] = event.ServedItem{ID: list.Picks[i].ItemID, Score: list.Picks[i].Score}
	}
	for i := range list.Plugins {
		if p := &list.Plugins[i]; p.Status == "ok" {
			s.Plugins = append(s.Plugins, p.Name+"@"+p.Version)
		}
	}
	return s
}

// Run hands lists in until ctx ends, and what waits then.
func (l *Log) Run(ctx context.Context) error {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.Flush(ctx)
		case <-ctx.Done():
			last, done := context.WithTimeout(context.WithoutCancel(ctx), lastFlush)
			defer done()
			l.Flush(last)
			return ctx.Err()
		}
	}
}

// Flush hands in what waits. What is refused is dropped: events need the room.
func (l *Log) Flush(ctx context.Context) {
	l.mu.Lock()
	records := l.waiting
	l.waiting, l.places = nil, 0
	l.mu.Unlock()
	kept := records[:0]
	for _, r := range records {
		// Nothing of a user may be written behind his erasure.
		if at, erased := l.opt.Erased(r.Served.UserID); !erased || at < r.Served.Time {
			kept = append(kept, r)
		}
	}
	if len(kept) == 0 {
		return
	}
	if err := l.opt.Submit(ctx, kept); err != nil {
		l.dropped.Add(uint64(len(kept)))
		if !errors.Is(err, context.Canceled) {
			l.opt.Log.Warn("served lists not logged", logkey.Error, err, logkey.Count, len(kept))
		}
		return
	}
	l.logged.Add(uint64(len(kept)))
}
