package jetstream

import (
	"context"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"

	"vitrine/bridge"
)

// sequenceHeader holds a read frame's sequence.
const sequenceHeader = "Nats-Sequence"

// Read calls fn with all frames from the sequence from (0 is the first) to
// the last one at the time of the call, in order. next is the sequence after
// the last frame that fn took. A frame that is missing is a *bridge.GapError
// (and closes Damaged), a position beyond the end a *bridge.AheadError; an error of fn ends the
// reading and is returned as it is. frame is fn's to keep.
func (b *Bus) Read(ctx context.Context, from uint64, fn func(seq uint64, frame []byte) error) (next uint64, err error) {
	from, last, err := begin(ctx, b.Bounds, from)
	if err != nil {
		return from, err
	}
	for next = from; next <= last; {
		msgs, err := b.fetch(ctx, next, last)
		if err == nil {
			next, err = hand(msgs, next, last, fn)
		}
		if gap, ok := err.(*bridge.GapError); ok && gap.Want == next { //nolint:errorlint // one of fn's own is none
			b.damage.Do(func() { close(b.damaged) })
		}
		if err != nil {
			return next, err
		}
	}
	return next, nil
}

// begin gives where a read from a sequence starts and ends.
func begin(ctx context.Context, bounds func(context.Context) (first, last uint64, err error), from uint64) (start, last uint64, err error) {
	first, last, err := bounds(ctx)
	switch {
	case err != nil:
		return from, last, err
	case from == 0:
		return first, last, nil
	case from > last+1:
		return from, last, &bridge.AheadError{Position: from, Last: last}
	case from < first:
		return from, last, &bridge.GapError{Want: from, Got: first}
	}
	return from, last, nil
}

// hand gives the frames of a batch to fn, the first of which must be next.
func hand(msgs []*nats.Msg, next, last uint64, fn func(uint64, []byte) error) (uint64, error) {
	for _, m := range msgs {
		seq, err := strconv.ParseUint(m.Header.Get(sequenceHeader), 10, 64)
		if err != nil {
			return next, fmt.Errorf("read frame %d: the answer has no sequence: %w", next, err)
		}
		if seq > last {
			break
		}
		if seq != next {
			return next, &bridge.GapError{Want: next, Got: seq}
		}
		if err := fn(seq, m.Data); err != nil {
			return next, err
		}
		next++
	}
	return next, nil
}

// fetch collects one batch before fn sees any of it: fn may take its time,
// and may append to the bus or close it.
func (b *Bus) fetch(ctx context.Context, next, last uint64) ([]*nats.Msg, error) {
	n, err := b.use()
	if err != nil {
		return nil, err
	}
	defer b.mu.RUnlock()
	return n.fetch(ctx, next, last)
}
