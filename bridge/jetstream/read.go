package jetstream

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"vitrine/bridge"
)

const (
	// readBatch and readBytes bound what is under way at once; a batch ends
	// with the frame that exceeds readBytes. Measured: larger ones are no
	// faster, and 64 MB break the connection.
	readBatch = 256
	readBytes = 2 << 20

	readTimeout = 10 * time.Second
)

// batchGet asks for the frames from Seq on, without a consumer on the server:
// nothing to keep alive, nothing to resume, strictly in order.
type batchGet struct {
	Seq      uint64 `json:"seq"`
	Batch    int    `json:"batch"`
	MaxBytes int    `json:"max_bytes"`
}

// Read calls fn with all frames from the sequence from (0 is the first) to
// the last one at the time of the call, in order. next is the sequence after
// the last frame that fn took. A frame that is missing is a *bridge.GapError,
// a position beyond the end a *bridge.AheadError; an error of fn ends the
// reading and is returned as it is. frame is fn's to keep.
func (b *Bus) Read(ctx context.Context, from uint64, fn func(seq uint64, frame []byte) error) (next uint64, err error) {
	first, last, err := b.Bounds(ctx)
	if err != nil {
		return from, err
	}
	switch {
	case from == 0:
		from = first
	case from > last+1:
		return from, &bridge.AheadError{Position: from, Last: last}
	case from < first:
		return from, &bridge.GapError{Want: from, Got: first}
	}
	for next = from; next <= last; {
		if next, err = b.readBatch(ctx, next, last, fn); err != nil {
			return next, err
		}
	}
	return next, nil
}

// readBatch hands at least one frame to fn, starting with next.
func (b *Bus) readBatch(ctx context.Context, next, last uint64, fn func(uint64, []byte) error) (uint64, error) {
	msgs, err := b.fetch(ctx, next, last)
	if err != nil {
		return next, err
	}
	for _, m := range msgs {
		seq, err := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
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
	conn := n.reads
	inbox := conn.NewInbox()
	sub, err := conn.SubscribeSync(inbox)
	if err != nil {
		return nil, fmt.Errorf("read frame %d: %w", next, err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	ask, err := json.Marshal(batchGet{Seq: next, Batch: int(min(readBatch, last-next+1)), MaxBytes: readBytes})
	if err != nil {
		return nil, fmt.Errorf("read frame %d: %w", next, err)
	}
	if err := conn.PublishRequest("$JS.API.DIRECT.GET."+streamName, inbox, ask); err != nil {
		return nil, fmt.Errorf("read frame %d: %w", next, err)
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var msgs []*nats.Msg
	for {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return nil, fmt.Errorf("read frame %d: %w", next+uint64(len(msgs)), err)
		}
		switch status := m.Header.Get("Status"); status {
		case "":
			msgs = append(msgs, m)
		case "204": // the end of the batch
			if len(msgs) == 0 {
				return nil, &bridge.GapError{Want: next}
			}
			return msgs, nil
		case "404":
			return nil, &bridge.GapError{Want: next}
		default:
			return nil, fmt.Errorf("read frame %d: the server answers %s %s", next, status, m.Header.Get("Description"))
		}
	}
}
