package bridge

import (
	"context"

	"vitrine/bridge/event"
)

// Batch is records made ready for the log by their sender, while he has them at
// hand: their identities, their size, and a frame of them. The committer, of which
// there is one, then only looks for duplicates, and where there are none the frame
// goes into the log as it is. It is for one goroutine at a time.
type Batch struct {
	pump      *Pump
	keys      []identity
	stretches []stretch
	// size is an upper bound of what the records take in a frame.
	size int
	// frame is not sealed when the records do not fit into one.
	frame  []byte
	sealed bool
}

// stretch is records of a partition that follow each other in a batch, in the order of
// their offsets: the source of the first, the offset of the last, and how many.
type stretch struct {
	first event.Source
	last  int64
	n     int
}

// Batch makes an empty one. It belongs behind Restore.
func (p *Pump) Batch() *Batch { return &Batch{pump: p} }

// Reset empties the batch, which must not be under way.
func (b *Batch) Reset() {
	if cap(b.frame) > spareFrames*b.pump.opt.FrameBytes {
		b.frame = nil // the memory of large records is not kept
	}
	b.keys, b.stretches, b.size, b.sealed = b.keys[:0], b.stretches[:0], 0, false
}

// spareFrames are how many frames' memory a batch keeps.
const spareFrames = 4

// Add makes a record ready, of which it keeps the strings, and puts it into the frame.
func (b *Batch) Add(r *event.Record, frame *event.FrameBuilder) {
	b.keys = append(b.keys, b.pump.identityOf(r))
	src := &r.Source
	if n := len(b.stretches); n > 0 && src.Offset > b.stretches[n-1].last && src.Partition == b.stretches[n-1].first.Partition && src.Name == b.stretches[n-1].first.Name {
		b.stretches[n-1].last = src.Offset
		b.stretches[n-1].n++
	} else {
		b.stretches = append(b.stretches, stretch{*src, src.Offset, 1})
	}
	if b.size += sizeBound(r); b.size <= b.pump.opt.maxCall() {
		frame.Add(r)
	}
}

// Seal ends the adding. The frame, which had been empty before, is empty again.
func (b *Batch) Seal(frame *event.FrameBuilder) {
	if b.sealed = b.size <= b.pump.opt.maxCall(); b.sealed {
		b.frame = frame.SealInto(b.frame)
	}
	frame.Reset()
}

// SendBatch is Send of records that were made ready, all that were added to the
// sealed batch. It is the pump's, too, until Wait has returned.
func (l *Lane) SendBatch(ctx context.Context, b *Batch, records []event.Record) *Pending {
	if !b.sealed || len(records) == 0 || l.refused != nil {
		return l.Send(ctx, records)
	}
	r := l.pump.spare.Get().(*request)
	r.begin(records, b.keys, b.size)
	r.batch = b
	out := &Pending{pump: l.pump}
	if l.put(ctx, r) {
		out.first = r
	}
	out.err = l.refused
	return out
}
