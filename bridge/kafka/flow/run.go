package flow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"vitrine/bridge"
	"vitrine/bridge/event/frames"
)

// run is one go of a pipe, in stages that work at the same time, each in the order of
// the answers: the poll, decompressing and decoding (some batches at once), the
// hand-over to the log with the letters before it, and its answer. It ends with the
// first batch that is not kept: the pump keeps none that was sent behind it on the same
// lane, and the next run reads all of them again.
type run struct {
	*Pipe
	lane *bridge.Lane
	// free are the batches that nothing is in, decoding those to be decoded;
	// ordered and sent keep the order of the answers.
	free, decoding, ordered, sent chan *batch
	// done ends when no more is to be polled.
	done context.Context
	end  context.CancelFunc

	// Where to go on, and why a batch was not kept; acknowledge alone writes them.
	back []part
	kept map[bridge.Place]int64 // the offsets behind what was kept
	err  error
	// fatal is why the pipe cannot go on; poll's.
	fatal error

	// bytes are those of the records under way; lighter has a token when they fell.
	bytes   atomic.Int64
	lighter chan struct{}
	// rest is what a broker answered and no batch has; poll's alone.
	rest waiting
}

// newRun makes one that nothing is under way in.
func newRun(p *Pipe) *run {
	f := &run{
		Pipe: p, lane: p.opt.Into.Lane(), kept: map[bridge.Place]int64{}, lighter: make(chan struct{}, 1),
		free: make(chan *batch, window), decoding: make(chan *batch, window), ordered: make(chan *batch, window), sent: make(chan *batch, window),
	}
	for range window {
		f.free <- &batch{decoded: make(chan struct{}, 1), ready: p.opt.Into.Batch()}
	}
	return f
}

// move moves records until a batch is not kept, the cluster reports a fault, or ctx
// ends. Then nothing is under way, and reading goes on behind what was kept.
func (f *run) move(ctx context.Context) {
	drain := f.begin(ctx)
	defer f.end()
	f.poll()
	drain()
	f.goBack()
}

// begin lets the stages behind the poll work. When no more is handed to them,
// drain waits until nothing is under way.
func (f *run) begin(ctx context.Context) (drain func()) {
	f.done, f.end = context.WithCancel(ctx)
	var stages sync.WaitGroup
	for _, with := range f.opt.Readers {
		stages.Go(func() {
			var frame frames.Builder
			for b := range f.decoding {
				b.frame = &frame
				f.decode(f.done, with, b)
				b.ready.Seal(&frame)
				f.bytes.Add(int64(b.bytes))
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

// poll fills batches until the run ends.
func (f *run) poll() {
	for {
		b := f.room()
		// Not for ever: offsets are committed also when nothing comes.
		tick, cancel := context.WithTimeout(f.done, f.opt.Every)
		got, err := f.opt.Fetcher.Next(tick)
		cancel()
		f.rest = waiting{batches: got}
		switch {
		case f.done.Err() != nil:
			return
		case err == nil:
			if !f.hand(b) {
				return
			}
		case errors.Is(err, context.DeadlineExceeded):
			f.free <- b
		default:
			f.fatal = err
			return
		}
		f.opt.Group.Tell(f.done)
	}
}

// hand hands the rest to the stages, in batches of which the first is free. It
// is false when the run has ended, and then some of the rest may be left.
func (f *run) hand(first *batch) bool {
	for b := first; b != nil; b = f.room() {
		// A partition that is not ours any more is not handed on: whoever takes
		// it away waits for what is under way, and nothing is added meanwhile.
		f.gate.Lock()
		b.fill(&f.rest, f.memory.records())
		f.underWay.Add(1)
		f.gate.Unlock()
		f.decoding <- b
		f.ordered <- b
		if len(f.rest.batches) == 0 {
			return true
		}
		f.opt.Group.Tell(f.done)
	}
	return false
}

// room waits for a free batch; it gives none when the run ends.
func (f *run) room() *batch {
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
func (f *run) send(ctx context.Context) {
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
			b.pending = f.lane.SendBatch(ctx, b.ready, b.records)
		}
		if broken == nil {
			broken = cmp.Or(b.err, b.broken)
		}
		f.sent <- b
	}
}

// acknowledge takes the answers of the log.
func (f *run) acknowledge(ctx context.Context) {
	for b := range f.sent {
		f.await(ctx, b)
		left := b.parts
		if b.err == nil {
			f.opt.Count(b.counts)
			for _, p := range b.parts[:b.good] {
				f.opt.Group.Passed(p.Batch, p.to)
				f.kept[p.place()] = p.to
			}
			left, b.err = b.parts[b.good:], b.broken
		}
		if b.err != nil {
			f.back = append(f.back, left...)
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

// await waits until the log has kept a batch, or has not. One of letters alone asks no
// log, and yet must not let its partition pass over what was sent before it.
func (f *run) await(ctx context.Context, b *batch) {
	if b.pending != nil {
		var res bridge.Result
		res, b.err = b.pending.Wait(ctx)
		b.counts.Accepted, b.counts.Duplicate = res.Accepted, res.Duplicate
		if b.err != nil && res.Accepted > 0 {
			// Its first frames are kept; read again they are duplicates.
			f.opt.Count(Counts{Accepted: res.Accepted})
		}
	}
	if b.err == nil {
		b.err = f.err
	}
}

// goBack makes the reading go on from what was not kept, or not even handed on. Who
// takes partitions away waits meanwhile.
func (f *run) goBack() {
	f.gate.Lock()
	defer f.gate.Unlock()
	first := map[bridge.Place]int64{}
	for _, b := range f.rest.batches {
		f.back = append(f.back, partOf(b, 0))
	}
	for _, p := range f.back {
		at := p.place()
		if kept := f.kept[at]; kept > p.from && kept < p.to {
			p.from = kept // another part of it was read
		}
		if before, ok := first[at]; !p.Stale() && (!ok || p.from < before) {
			first[at] = p.from
		}
	}
	for at, offset := range first {
		f.opt.Fetcher.Back(at.Name, at.Partition, offset)
	}
	if f.err != nil && len(f.back) > 0 { // what cannot be read holds up no other partition
		f.opt.Fetcher.Last(f.back[0].Topic, f.back[0].Partition)
	}
}
