package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"

	"vitrine/bridge"
	"vitrine/internal/pause"
)

// The bounds of what is between the client and the log.
const (
	// batchRecords bounds a batch: as much as stays in a core's cache from the poll
	// to the frame, which takes several.
	batchRecords = 1024
	// window is how many batches are under way at most.
	window = 8
	// windowBytes is what the values of the batches under way take at most; one
	// batch may go beyond it. The rest of what a poll brought waits beside them.
	windowBytes = 32 << 20
)

// flow is the way of records from the client into the log, in stages that work
// at the same time, each in the order of the polls: the poll, decoding (some
// batches at once), the hand-over to the log with the letters before it, and
// its answer. It ends with the first batch that is not kept: the pump keeps none
// that was sent behind it on the same lane, and the next flow polls all of them
// again.
type flow struct {
	*session
	lane *bridge.Lane
	// free are the batches that nothing is in, decoding those to be decoded;
	// ordered and sent keep the order of the polls.
	free, decoding, ordered, sent chan *batch
	// done ends when no more is to be polled.
	done context.Context
	end  context.CancelFunc

	// The outcome: where to go on, why a batch was not kept, and why the
	// session cannot go on. acknowledge alone writes them.
	back       offsets
	err, fatal error
	// refused are skips of batches that were not kept.
	refused []offsets

	// bytes are those of the values under way; lighter has a token when they
	// went down.
	bytes   atomic.Int64
	lighter chan struct{}
	// rest is what a poll brought and no batch has; poll's alone.
	rest []kgo.FetchTopicPartition
}

// newFlow makes one that nothing is under way in.
func newFlow(s *session) *flow {
	f := &flow{
		session: s, lane: s.opt.Into.Lane(), back: offsets{}, lighter: make(chan struct{}, 1),
		free: make(chan *batch, window), decoding: make(chan *batch, window), ordered: make(chan *batch, window), sent: make(chan *batch, window),
	}
	for range window {
		f.free <- &batch{decoded: make(chan struct{}, 1)}
	}
	return f
}

// read moves records until ctx ends or the session cannot go on.
func (s *session) read(ctx context.Context) error {
	for {
		f := newFlow(s)
		f.run(ctx)
		switch {
		case errors.Is(f.err, bridge.ErrClosed):
			return f.err
		case ctx.Err() != nil:
			return nil
		case f.err != nil:
			s.waiting(f.err)
			if pause.For(ctx, busyPause) != nil {
				return nil
			}
		case f.fatal != nil:
			return f.fatal
		}
	}
}

// run moves records until a batch is not kept, the cluster reports a fault, or
// ctx ends. It returns when nothing is under way and the client is set to go on
// behind what was kept.
func (f *flow) run(ctx context.Context) {
	drain := f.begin(ctx)
	defer f.end()
	dropped := f.poll()
	drain()
	f.goBack(dropped)
	// The last poll has held rebalances off, so that these partitions are ours. One
	// that has met a batch which cannot be had stands still until it is set to another
	// place than its own, also where it is to meet that again.
	for _, past := range f.refused {
		f.client.SetOffsets(past)
	}
	f.client.SetOffsets(f.back)
	f.client.AllowRebalance()
}

// begin lets the stages behind the poll work. When no more is handed to them,
// drain waits until nothing is under way.
func (f *flow) begin(ctx context.Context) (drain func()) {
	f.done, f.end = context.WithCancel(ctx)
	var stages sync.WaitGroup
	for _, with := range f.readers {
		stages.Go(func() {
			for b := range f.decoding {
				f.decode(f.done, with, b)
				b.decoded <- struct{}{}
			}
		})
	}
	stages.Go(func() { f.send(ctx) })
	stages.Go(func() { f.acknowledge(ctx) })
	return func() {
		close(f.decoding)
		close(f.ordered)
		stages.Wait()
	}
}

// poll fills batches until the flow ends, and returns what the last poll
// brought and no batch has. It leaves rebalances held off.
//
// A poll takes all that the client has: it asks a broker for more only when
// everything of the answer before is taken, so that it fetches and decompresses
// the next answer while this one is on its way into the log.
func (f *flow) poll() (dropped []span) {
	for {
		b := f.room()
		f.wanted.Store(false)
		// Not for ever: offsets are committed also when nothing comes.
		tick, cancel := context.WithTimeout(f.done, commitEvery)
		fetches := f.client.PollFetches(tick)
		cancel()
		f.rest = f.rest[:0]
		fetches.EachPartition(func(p kgo.FetchTopicPartition) { f.rest = append(f.rest, p) })
		if f.done.Err() != nil {
			return spansOf(f.rest)
		}
		if err := fetches.Err0(); errors.Is(err, context.DeadlineExceeded) {
			f.free <- b
		} else if !f.hand(b) {
			return spansOf(f.rest)
		}
		f.tell()
		f.client.AllowRebalance()
	}
}

// hand hands the rest to the stages, in batches of which the first is free. It
// is false when no more is to be polled, and then some of the rest may be left.
func (f *flow) hand(first *batch) bool {
	for b := first; b != nil; b = f.room() {
		f.rest = b.fill(f.rest)
		f.bytes.Add(int64(b.bytes))
		f.underWay.Add(1)
		last := b.last // it is the stages' from here on
		f.decoding <- b
		f.ordered <- b
		switch {
		case last:
			return false
		case len(f.rest) == 0:
			return true
		case f.wanted.Load():
			return false // a rebalance need not wait for all of it
		}
		f.tell()
	}
	return false
}

// tell commits what is in the log, when it is time.
func (f *flow) tell() {
	if f.opt.Now().Sub(f.committed) >= commitEvery {
		_ = f.commit(f.done) // what is not taken is told the next time
	}
}

// room waits for a free batch; it gives none when the flow ends.
func (f *flow) room() *batch {
	for f.bytes.Load() >= windowBytes {
		select {
		case <-f.lighter:
		case <-f.done.Done():
			return nil
		}
	}
	select {
	case b := <-f.free:
		return b
	case <-f.done.Done():
		return nil
	}
}

// send hands the batches to the log, each with its letters before it.
func (f *flow) send(ctx context.Context) {
	defer close(f.sent)
	var broken error
	for b := range f.ordered {
		<-b.decoded
		if b.err == nil {
			b.err = broken
		}
		if b.err == nil && len(b.letters) > 0 {
			if _, err := f.opt.Letters.Add(ctx, b.letters); err != nil {
				b.err = fmt.Errorf("keep what cannot be read: %w", err)
			}
		}
		if b.err == nil && len(b.records) > 0 {
			b.pending = f.lane.Send(ctx, b.records)
		}
		if broken == nil {
			broken = b.err
		}
		f.sent <- b
	}
}

// acknowledge takes the answers of the log.
func (f *flow) acknowledge(ctx context.Context) {
	for b := range f.sent {
		if b.pending != nil {
			var res bridge.Result
			res, b.err = b.pending.Wait(ctx)
			b.counts.Accepted, b.counts.Duplicate = res.Accepted, res.Duplicate
		}
		if b.err == nil {
			f.count(b.counts)
			f.passed(b.spans)
			for topic, partitions := range b.skips {
				for n, to := range partitions {
					f.back.set(topic, n, to)
				}
			}
			f.fatal = b.fatal
		} else {
			f.goBack(b.spans)
			f.refused = append(f.refused, b.skips)
			if f.err == nil {
				f.err = b.err
			}
			f.end()
		}
		f.bytes.Add(-int64(b.bytes))
		select {
		case f.lighter <- struct{}{}:
		default:
		}
		b.release()
		f.underWay.Done()
		f.free <- b
	}
}

// goBack makes the client go on from what was not kept, unless it goes on from
// before that.
func (f *flow) goBack(spans []span) {
	for _, p := range spans {
		if _, earlier := f.back[p.topic][p.partition]; !earlier {
			f.back.set(p.topic, p.partition, kgo.EpochOffset{Epoch: -1, Offset: p.first})
		}
	}
}
