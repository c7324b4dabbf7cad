package jetstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"vitrine/bridge"
	"vitrine/internal/logkey"
)

// fewFrames is when the next append waits for the last frames to be brought over.
const fewFrames = 8

// run brings what is aside to the cluster whenever that is back.
func (c *Cluster) run(ctx context.Context) {
	defer close(c.done)
	tick := time.NewTicker(clusterLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.kick:
		case <-tick.C:
		}
		c.mu.Lock()
		idle := c.direct || c.foreign != nil
		c.mu.Unlock()
		if idle {
			continue
		}
		err := c.join(ctx)
		c.mu.Lock()
		if c.joining != nil {
			close(c.joining)
			c.joining = nil
		}
		if err != nil && ctx.Err() == nil {
			c.away = err
		}
		c.mu.Unlock()
		if err == nil || ctx.Err() != nil {
			continue
		}
		if errors.Is(err, bridge.ErrFenced) {
			c.mu.Lock()
			c.foreign = err
			c.mu.Unlock()
			c.opt.Log.Error("bus: somebody else has written to the stream; frames wait on this machine", logkey.Error, err)
		}
		// Each new frame wakes this up, and the cluster must not be hammered.
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// join brings all that is aside to the cluster and lets frames go there again.
func (c *Cluster) join(ctx context.Context) error {
	if err := c.agree(ctx); err != nil {
		return err
	}
	for {
		c.mu.Lock()
		asides, calm := c.asides, c.pending == 0
		c.mu.Unlock()
		_, last, err := c.aside.Bounds(ctx)
		if err != nil {
			return err
		}
		c.mu.Lock()
		left := last - min(last, c.end)
		switch {
		case left == 0 && calm && c.asides == asides: // none has come since before last was read
			c.direct, c.away = true, nil
			end := c.end
			c.mu.Unlock()
			c.opt.Log.Info("bus: the cluster has all frames again", logkey.Last, end)
			return nil
		case left <= fewFrames && c.joining == nil:
			c.joining = make(chan struct{})
		}
		c.mu.Unlock()
		if left == 0 {
			time.Sleep(time.Millisecond) // a frame is on its way aside
			continue
		}
		if err := c.bring(ctx, last); err != nil {
			return err
		}
	}
}

// agree compares what the cluster has beyond the last frame that it confirmed
// with what was kept aside: a frame may be in both, when its answer got lost.
func (c *Cluster) agree(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	st, err := c.state(limited)
	if err != nil {
		return err
	}
	c.mu.Lock()
	end, unsure, pending := c.end, c.unsure, c.pending
	c.mu.Unlock()
	_, aside, err := c.aside.Bounds(limited)
	switch {
	case err != nil:
		return err
	case st.LastSeq < end:
		return fmt.Errorf("the stream %s ends with frame %d, and the cluster had confirmed %d: frames are missing there", c.name, st.LastSeq, end)
	case unsure && st.LastSeq <= end+1:
		// The committer compares it with its own.
	case st.LastSeq > max(aside, end) && pending > 0:
		return errors.New("a frame is just being kept aside")
	case st.LastSeq > max(aside, end):
		return fmt.Errorf("%w: the stream %s ends with frame %d, ours with %d", bridge.ErrFenced, c.name, st.LastSeq, max(aside, end))
	default:
		if err := c.compare(limited, end+1, st.LastSeq); err != nil {
			return err
		}
	}
	c.mu.Lock()
	c.end, c.unsure = st.LastSeq, false
	c.mu.Unlock()
	return nil
}

// compare holds the cluster's frames against those aside.
func (c *Cluster) compare(ctx context.Context, from, to uint64) error {
	for next := from; next <= to; {
		theirs, err := c.fetch(ctx, next, to)
		if err != nil {
			return err
		}
		var ours [][]byte
		mine, err := c.aside.fetch(ctx, next, to)
		if err != nil {
			return err
		}
		if _, err := hand(mine, next, to, func(_ uint64, frame []byte) error { ours = append(ours, frame); return nil }); err != nil {
			return err
		}
		n := next
		if next, err = hand(theirs, next, to, func(seq uint64, frame []byte) error {
			if i := int(seq - n); i < len(ours) && !bytes.Equal(frame, ours[i]) {
				return fmt.Errorf("%w: frame %d of the stream %s is another one", bridge.ErrFenced, seq, c.name)
			}
			return nil
		}); err != nil {
			return err
		}
		next = min(next, n+uint64(len(ours)))
	}
	return nil
}

// bring publishes a batch of the frames aside, up to last. Each has its fence,
// so that after one that fails none gets in.
func (c *Cluster) bring(ctx context.Context, last uint64) error {
	c.mu.Lock()
	next := c.end + 1
	c.mu.Unlock()
	msgs, err := c.aside.fetch(ctx, next, last)
	if err != nil {
		return err
	}
	var acks []jetstream.PubAckFuture
	if _, err := hand(msgs, next, last, func(seq uint64, frame []byte) error {
		ack, err := c.put.PublishMsgAsync(&nats.Msg{Subject: c.subject, Data: frame}, jetstream.WithExpectLastSequence(seq-1), jetstream.WithRetryAttempts(0))
		if err == nil {
			acks = append(acks, ack)
		}
		return err
	}); err != nil {
		return err
	}
	limit := time.NewTimer(clusterTimeout + time.Duration(len(acks))*100*time.Millisecond)
	defer limit.Stop()
	for i, ack := range acks {
		select {
		case <-ack.Ok():
			c.mu.Lock()
			c.end = next + uint64(i)
			c.mu.Unlock()
		case err := <-ack.Err():
			if err = refusal(err); errors.Is(err, bridge.ErrFenced) {
				// Not a stranger yet: what was sent before may have arrived.
				return fmt.Errorf("bring frame %d to the cluster: %v", next+uint64(i), err)
			}
			return fmt.Errorf("bring frame %d to the cluster: %w", next+uint64(i), err)
		case <-limit.C:
			return fmt.Errorf("bring frame %d to the cluster: %w", next+uint64(i), context.DeadlineExceeded)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return c.aside.Trim(ctx, next+uint64(len(acks))-1)
}
