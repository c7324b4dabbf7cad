package bridge

import (
	"context"
	"fmt"

	"vitrine/bridge/event"
)

// Lane hands in batches that must be kept in their order or not at all, without
// waiting for one before the next: after a batch that was not kept, those that
// were sent behind it are not kept either. So a reader of a topic never passes
// over records, though many of its batches are under way. After a failure the
// sender waits for all that is under way and goes on with a new lane.
//
// Send is for one goroutine; what is under way may be awaited by another.
type Lane struct {
	pump *Pump
	// broken is why a batch of the lane was not kept; the committer alone reads
	// and writes it.
	broken error
	// refused is why a batch did not even get into the queue; it is Send's.
	refused error
}

// Lane opens one.
func (p *Pump) Lane() *Lane { return &Lane{pump: p} }

// Pending is a batch under way.
type Pending struct {
	pump *Pump
	// first is what mostly is all; a batch of more than a frame has more.
	first *request
	more  []*request
	err   error
}

// Send queues a batch, waiting for room until ctx ends. The records are the
// pump's until Wait has returned.
func (l *Lane) Send(ctx context.Context, records []event.Record) *Pending {
	out := &Pending{pump: l.pump}
	for l.refused == nil && len(records) > 0 {
		n, size := l.pump.framed(records)
		if n == 0 {
			l.refused = fmt.Errorf("submit a record of %d bytes: %w", sizeBound(&records[0]), ErrTooLarge)
			break
		}
		r := l.pump.request(records[:n:n], size)
		if !l.put(ctx, r) {
			break
		}
		out.add(r)
		records = records[n:]
	}
	out.err = l.refused
	return out
}

// add notes a request that is under way.
func (b *Pending) add(r *request) {
	if b.first == nil {
		b.first = r
	} else {
		b.more = append(b.more, r)
	}
}

// put queues a part of what is sent; it is false when that was refused.
func (l *Lane) put(ctx context.Context, r *request) bool {
	r.lane = l
	if l.refused = l.pump.queue.put(ctx, r); l.refused != nil {
		l.pump.recycle(r)
	}
	return l.refused == nil
}

// Wait returns when the batch is durable and applied, or when its outcome is
// that it was not kept; with an error, the first part of a batch of more than a
// frame may have been. When ctx ends first, what is in the queue still is
// withdrawn. It is called once.
func (b *Pending) Wait(ctx context.Context) (Result, error) {
	var sum Result
	err := error(nil)
	if b.first != nil {
		sum, err = b.pump.outcome(ctx, b.first)
	}
	for _, r := range b.more {
		res, failed := b.pump.outcome(ctx, r)
		sum.Accepted += res.Accepted
		sum.Duplicate += res.Duplicate
		if err == nil {
			err = failed
		}
	}
	if err == nil {
		err = b.err
	}
	return sum, err
}

// framed is how many of the records go into one frame, and an upper bound of
// their size in it.
func (p *Pump) framed(records []event.Record) (n, size int) {
	for n < len(records) {
		s := sizeBound(&records[n])
		if size+s > p.opt.maxCall() {
			break
		}
		size += s
		n++
	}
	return n, size
}
