package bridge

import (
	"context"

	"vitrine/bridge/event"
	"vitrine/bridge/event/frames"
)

// Batch is records made ready for the log by their sender, while he has them at
// hand: their identities, their size, and frames of them. The committer, of which
// there is one, then only looks for duplicates, and where there are none a frame
// goes into the log as it is. It is for one goroutine at a time.
type Batch struct {
	pump *Pump
	// portions are what one frame each has; the last is being filled.
	portions []portion
	// spare are empty ones, for their memory.
	spare []portion
	// sealed is false when one of the records is too large for a frame.
	sealed, tooLarge bool
}

// portion is records that follow each other in a batch, and the frame of them.
type portion struct {
	keys      []identity
	stretches []stretch
	// size is an upper bound of what the records take in a frame.
	size  int
	frame []byte
}

// stretch is records of a partition that follow each other in a batch, in the order of
// their offsets: the source of the first, the offset of the last, and how many.
type stretch struct {
	first event.Source
	last  int64
	n     int
}

// The frames of a batch.
const (
	// portionFrames times Options.FrameBytes is where one ends: 768 KiB, more than some
	// thousand events take without much text of their own.
	portionFrames = 3
	// spareFrames are how many frames' memory a batch keeps.
	spareFrames = 4
)

// Batch makes an empty one. It belongs behind Restore.
func (p *Pump) Batch() *Batch { return &Batch{pump: p} }

// Reset empties the batch, which must not be under way.
func (b *Batch) Reset() {
	for i := range b.portions {
		s := &b.portions[i]
		if len(b.spare) < spareFrames && cap(s.frame) <= spareFrames*b.pump.opt.FrameBytes {
			b.spare = append(b.spare, portion{keys: s.keys[:0], stretches: s.stretches[:0], frame: s.frame})
		} // the memory of large records is not kept
		*s = portion{}
	}
	b.portions, b.sealed, b.tooLarge = b.portions[:0], false, false
}

// Add makes a record ready, of which it keeps the strings, and puts it into the frame.
func (b *Batch) Add(r *event.Record, frame *frames.Builder) {
	size, most := sizeBound(r), b.pump.opt.maxCall()
	if size > most {
		b.tooLarge = true
	}
	if b.tooLarge {
		return
	}
	if n := len(b.portions); n == 0 || b.portions[n-1].size+size > most || frame.Size() >= portionFrames*b.pump.opt.FrameBytes {
		b.next(frame)
	}
	s := &b.portions[len(b.portions)-1]
	s.keys = append(s.keys, b.pump.identityOf(r))
	s.size += size
	s.note(&r.Source)
	frame.Add(r)
}

// note adds the source of a record to the stretches.
func (s *portion) note(src *event.Source) {
	if n := len(s.stretches); n > 0 && src.Offset > s.stretches[n-1].last && src.Partition == s.stretches[n-1].first.Partition && src.Name == s.stretches[n-1].first.Name {
		s.stretches[n-1].last = src.Offset
		s.stretches[n-1].n++
	} else {
		s.stretches = append(s.stretches, stretch{*src, src.Offset, 1})
	}
}

// next ends the portion that there may be, and begins another one.
func (b *Batch) next(frame *frames.Builder) {
	b.end(frame)
	var s portion
	if n := len(b.spare); n > 0 {
		s, b.spare = b.spare[n-1], b.spare[:n-1]
	}
	b.portions = append(b.portions, s)
}

// end makes the frame the last portion's, and empties it.
func (b *Batch) end(frame *frames.Builder) {
	if n := len(b.portions); n > 0 {
		s := &b.portions[n-1]
		s.frame = frame.SealInto(s.frame)
	}
	frame.Reset()
}

// Seal ends the adding. The frame, which had been empty before, is empty again.
func (b *Batch) Seal(frame *frames.Builder) {
	b.end(frame)
	b.sealed = !b.tooLarge
}

// SendBatch is Send of records that were made ready, all that were added to the
// sealed batch. It is the pump's, too, until Wait has returned.
func (l *Lane) SendBatch(ctx context.Context, b *Batch, records []event.Record) *Pending {
	if !b.sealed {
		return l.Send(ctx, records)
	}
	out := &Pending{pump: l.pump}
	for i := 0; i < len(b.portions) && l.refused == nil; i++ {
		s := &b.portions[i]
		n := len(s.keys)
		r := l.pump.spare.Get().(*request)
		r.begin(records[:n:n], s.keys, s.size)
		r.batch = s
		if l.put(ctx, r) {
			out.add(r)
		}
		records = records[n:]
	}
	out.err = l.refused
	return out
}
