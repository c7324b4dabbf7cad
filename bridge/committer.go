package bridge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"vitrine/bridge/event"
	"vitrine/bridge/event/frames"
	"vitrine/internal/logkey"
)

// appendTries bounds how often a frame is offered to a log that breaks.
const appendTries = 3

// refusePause keeps a log that is out of reach from being hammered.
const refusePause = 100 * time.Millisecond

// committer is the state of the one goroutine that owns the end of the log.
type committer struct {
	builder frames.Builder
	// whole is a frame that came ready with its records, the only ones of it; nil
	// where the builder's is to be appended.
	whole []byte
	// group are the requests in the frame, fresh the runs of their records that
	// are no duplicates, known how many identities they added.
	group []*request
	fresh [][]event.Record
	known int
	// last is the newest sequence that the consumers have seen; positioned
	// tells that it is known.
	last       uint64
	positioned bool
	// replayed counts the records that came out of the log.
	replayed int
	// unsure is a frame that may be in the log: its append broke, and so did
	// every attempt to find out.
	unsure []byte
	// calls are the requests in the frame whose callers wait for their answer
	// before they come again; who sends on a lane does not. siblings and lastAppend
	// are of the previous frame: how many calls it held and how long its append
	// took.
	calls      int
	siblings   int
	lastAppend time.Duration
	// flow says that more came while the previous frame was on its way.
	flow  bool
	timer *time.Timer
}

// few calls are not worth a frame while more come: each frame is a sync of the
// disk and some 100 us of processor time in the log, whatever is in it.
const few = 8

// touchIDs are read ahead of their look-up: as many as a processor waits for at
// once, some times over, and few enough that the first are still in its nearest
// cache.
const touchIDs = 128

// Run is the committer. When ctx ends it refuses new calls, finishes those
// that were queued and returns nil. It returns an error only when the log
// cannot be trusted any more; every caller then gets ErrClosed. It must not be
// called twice.
func (p *Pump) Run(ctx context.Context) error {
	defer close(p.stopped)
	// What was submitted is finished also after ctx has ended.
	work := context.WithoutCancel(ctx)
	stop := context.AfterFunc(ctx, func() { p.queue.end(ErrClosed) })
	defer stop()
	p.timer = time.NewTimer(time.Hour)
	defer p.timer.Stop()
	for {
		p.yield()
		if err := p.step(work); err != nil {
			p.fail(err)
			return fmt.Errorf("commit to the bus: %w", err)
		}
		if p.queue.ended() {
			return nil
		}
		if p.queue.depth() == 0 {
			select {
			case <-p.queue.ready:
			case do := <-p.between:
				do()
			}
		}
	}
}

// step commits one frame, if there is something to commit. An error ends the
// pump.
func (p *Pump) step(ctx context.Context) error {
	if err := p.settle(ctx); err != nil {
		if fatal(err) {
			return err
		}
		p.opt.Log.Warn("bus out of reach", logkey.Error, err)
		p.reject(err)
		time.Sleep(refusePause)
		return nil
	}
	now := p.opt.Now().UnixMilli()
	p.ids.expire(now)
	p.gather(now)
	if len(p.group) == 0 {
		return nil
	}
	err := p.commit(ctx)
	p.finish(err)
	if fatal(err) {
		return err
	}
	return nil
}

// fatal tells the errors after which the end of the log is not where the pump
// believes, so that it must not go on.
func fatal(err error) bool {
	var gap *GapError
	var ahead *AheadError
	var corrupt *frames.CorruptError
	return errors.Is(err, ErrFenced) || errors.As(err, &gap) || errors.As(err, &ahead) || errors.As(err, &corrupt)
}

// fail ends the pump: everybody who waits or comes gets the reason.
func (p *Pump) fail(err error) {
	reason := fmt.Errorf("%w: %w", ErrClosed, err)
	p.queue.end(reason)
	p.reject(reason)
}

// reject answers all that is queued with err.
func (p *Pump) reject(err error) {
	for r := p.queue.next(math.MaxInt); r != nil; r = p.queue.next(math.MaxInt) {
		p.failed.Add(uint64(len(r.records)))
		r.answer(err)
	}
}

// gather fills the frame. When the frame before held several calls, their
// callers are about to come again: without a short wait the first of them
// would travel alone and all others one fsync later, for ever. The wait is no
// longer than the last append, so it at most doubles a frame's time. Where calls
// come by themselves, which is seen by their coming while a frame is on its way,
// a frame waits until it has a few.
func (p *Pump) gather(now int64) {
	var wait time.Duration
	switch {
	case p.flow:
		wait = p.opt.FrameDelay
	case p.siblings > 1:
		wait = min(p.opt.FrameDelay, p.lastAppend)
	}
	enough := func() bool {
		return p.calls >= p.siblings && (p.calls >= few || p.calls == 0 || !p.flow)
	}
	started := false
	for {
		for !p.full() {
			r := p.queue.next(p.opt.maxCall())
			if r == nil {
				break
			}
			p.take(r, now)
		}
		n := len(p.group)
		if n == 0 || enough() || wait == 0 || p.full() {
			return
		}
		if !started {
			p.timer.Reset(wait)
			started = true
		}
		select {
		case <-p.queue.ready:
		case <-p.timer.C:
			wait = 0
		}
	}
}

// take adds the records of r that are no duplicates to the frame, unless one
// before it on its lane was not kept.
func (p *Pump) take(r *request, now int64) {
	if r.lane != nil && r.lane.broken != nil {
		p.failed.Add(uint64(len(r.records)))
		r.answer(r.lane.broken)
		return
	}
	p.group = append(p.group, r)
	if r.lane == nil {
		p.calls++
	}
	first := len(p.fresh)
	p.sift(r, now)
	r.res.Accepted = len(r.records) - r.res.Duplicate
	if r.res.Duplicate == 0 && p.ready(r.batch) {
		p.whole = r.batch.frame
		return
	}
	for _, run := range p.fresh[first:] {
		for i := range run {
			p.builder.Add(&run[i])
		}
	}
}

// ready tells whether the frame that came with a request is the next one: where nothing
// else is in it, and it is large enough to leave what waits behind it to another.
func (p *Pump) ready(b *portion) bool {
	return b != nil && p.builder.Len() == 0 && (len(b.frame) >= p.opt.FrameBytes/2 || p.queue.depth() == 0)
}

// full tells whether no more goes into the frame.
func (p *Pump) full() bool { return p.whole != nil || p.builder.Size() >= p.opt.FrameBytes }

// sift keeps the records of r that are no duplicates, and remembers them.
func (p *Pump) sift(r *request, now int64) {
	// Where a whole stretch is new by its place, the records up to passed need no look.
	from, passed, next, left := 0, 0, 0, []stretch(nil)
	if r.batch != nil {
		left = r.batch.stretches
	}
	for i := range r.keys {
		if i%touchIDs == 0 {
			p.ids.touch(r.keys[i:min(i+touchIDs, len(r.keys))])
		}
		if i == next && len(left) > 0 {
			if next += left[0].n; p.places.takeAll(&left[0].first, left[0].last) {
				passed = next
			}
			left = left[1:]
		}
		if i >= passed && !p.places.take(&r.records[i].Source, true) || !p.isNew(r.keys[i], now) {
			r.res.Duplicate++
			p.keep(r.records[from:i])
			from = i + 1
		}
	}
	p.keep(r.records[from:])
}

// isNew tells whether an identity is no duplicate, and remembers it.
func (p *Pump) isNew(id identity, now int64) bool {
	if id == (identity{}) {
		return true
	}
	if !p.ids.add(id, now) {
		return false
	}
	p.known++
	return true
}

// keep notes a run of new records.
func (p *Pump) keep(run []event.Record) {
	if len(run) > 0 {
		p.fresh = append(p.fresh, run)
	}
}

// commit makes the frame durable and applies it.
func (p *Pump) commit(ctx context.Context) error {
	frame := p.whole
	switch {
	case frame != nil:
	case p.builder.Len() == 0:
		return nil
	default:
		frame = p.builder.Seal()
	}
	start := time.Now()
	err := p.append(ctx, frame)
	p.lastAppend, p.flow = time.Since(start), p.queue.depth() > 0
	if err != nil {
		return err
	}
	p.frames.Add(1)
	p.frameBytes.Add(uint64(len(frame)))
	for _, run := range p.fresh {
		p.apply(p.last+1, run)
	}
	p.position(p.last + 1)
	return nil
}

// finish answers the callers of the frame and makes room for the next one.
// Without a durable frame its event ids are unknown again.
func (p *Pump) finish(err error) {
	if err != nil {
		p.ids.undo(p.known)
	}
	if passed := p.places.settle(err == nil, p.last); len(passed) > 0 {
		p.miss(passed, Passed)
	}
	p.remembered.Store(int64(p.ids.count))
	p.siblings, p.calls = p.calls, 0
	for i, r := range p.group {
		n := uint64(len(r.records))
		switch {
		case err == nil:
			p.accepted.Add(uint64(r.res.Accepted))
			p.duplicate.Add(uint64(r.res.Duplicate))
		case errors.Is(err, ErrBusFull):
			p.refused.Add(n)
		default:
			p.failed.Add(n)
		}
		r.answer(err)
		p.group[i] = nil
	}
	p.group, p.known = p.group[:0], 0
	p.builder.Reset()
	p.whole = nil
	clear(p.fresh)
	p.fresh = p.fresh[:0]
}

// append offers the frame until it is in the log, or surely not. If even that
// cannot be found out, the frame is kept in unsure.
func (p *Pump) append(ctx context.Context, frame []byte) error {
	for try := 1; ; try++ {
		_, err := p.log.Append(ctx, frame, p.last)
		if err == nil || errors.Is(err, ErrBusFull) || errors.Is(err, ErrFenced) || errors.Is(err, ErrTooLarge) {
			return err
		}
		p.opt.Log.Warn("append to the bus broke", logkey.Seq, p.last+1, logkey.Error, err)
		stored, serr := p.stored(ctx, frame)
		switch {
		case fatal(serr):
			return serr
		case serr != nil:
			p.unsure = bytes.Clone(frame)
			// serr is not wrapped: a full disk may be why, but the frame may be in.
			return fmt.Errorf("%w: %w; and asking for it: %v", ErrUnsure, err, serr)
		case stored:
			return nil
		case try == appendTries:
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
}

// stored looks whether the log ends with this frame, one after last.
func (p *Pump) stored(ctx context.Context, frame []byte) (bool, error) {
	_, last, err := p.log.Bounds(ctx)
	if err != nil {
		return false, err
	}
	if last == p.last {
		return false, nil
	}
	same := false
	if _, err := p.log.Read(ctx, p.last+1, func(_ uint64, f []byte) error {
		same = bytes.Equal(f, frame)
		return nil
	}); err != nil {
		return false, err
	}
	if !same || last != p.last+1 {
		return false, fmt.Errorf("frame %d of the bus is not the one that was sent: %w", p.last+1, ErrFenced)
	}
	return true, nil
}

// settle makes sure that last is the end of the log before a frame is built:
// it asks for it at the first time, and after an append of unknown outcome it
// adopts the frame if the log has it.
func (p *Pump) settle(ctx context.Context) error {
	if !p.positioned {
		_, last, err := p.log.Bounds(ctx)
		if err != nil {
			return err
		}
		p.position(last)
	}
	if p.unsure == nil {
		return nil
	}
	stored, err := p.stored(ctx, p.unsure)
	if err != nil {
		return err
	}
	if stored {
		if err := p.replay(ctx, p.last+1); err != nil {
			return err
		}
	}
	p.unsure = nil
	return nil
}

// replay applies the log from the sequence from to its end.
func (p *Pump) replay(ctx context.Context, from uint64) error {
	var records []event.Record
	next, err := p.log.Read(ctx, from, func(seq uint64, frame []byte) error {
		records = records[:0]
		if err := frames.Decode(frame, func(r *event.Record) error {
			records = append(records, *r)
			return nil
		}); err != nil {
			return fmt.Errorf("decode frame %d: %w", seq, err)
		}
		if len(records) == 0 { // the log's own mark, for the committer makes no such frame
			p.places.lost()
		}
		p.remember(seq, records)
		p.replayed += len(records)
		p.apply(seq, records)
		p.position(seq)
		return nil
	})
	if err != nil {
		return err
	}
	p.places.whole()
	p.position(next - 1)
	return nil
}

// remember adds the event ids and the places of records that are in the log, in the
// frame seq. The log does not say when they arrived, so they count as new.
func (p *Pump) remember(seq uint64, records []event.Record) {
	now := p.opt.Now().UnixMilli()
	p.ids.expire(now)
	for i := range records {
		p.places.take(&records[i].Source, false)
		if r := &records[i]; r.Kind == event.KindEvent && r.Event.EventID != "" {
			p.ids.add(p.ids.identify(r.Event.EventID), now)
		}
	}
	p.places.settle(true, seq)
	p.remembered.Store(int64(p.ids.count))
}

// apply feeds the consumers with records of a frame.
func (p *Pump) apply(seq uint64, records []event.Record) {
	for _, c := range p.consumers {
		c.Apply(seq, records)
	}
	if slices.ContainsFunc(records, func(r event.Record) bool { return r.Kind != event.KindServed }) {
		p.news.Store(seq)
	}
}

func (p *Pump) position(seq uint64) {
	p.last, p.positioned = seq, true
	p.lastSeq.Store(seq)
}
