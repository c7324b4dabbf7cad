package flow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"vitrine/bridge"
	"vitrine/bridge/deadletter"
	"vitrine/bridge/event"
	"vitrine/bridge/event/frames"
	"vitrine/bridge/kafka/fetch"
	"vitrine/bridge/kafka/values"
)

// batch is a part of what a broker answered, on its way into the log. One stage
// after another owns it.
type batch struct {
	parts []part
	// bytes are what it holds of its records when they are decompressed, of memory.
	bytes  int
	memory *memory
	// large tells that what is decoded now is copied out of its bytes.
	large bool

	records []event.Record
	// ready is what the pump needs of them, frame its decoder's.
	ready   *bridge.Batch
	frame   *frames.Builder
	letters []deadletter.Letter
	counts  Counts
	// good is how many parts could be read, broken why the next could not be,
	// and err why nothing is kept.
	good        int
	broken, err error

	// decoded takes one token when the stages up to decoding are done.
	decoded chan struct{}
	pending *bridge.Pending
}

// part is a part of what a producer wrote at once.
type part struct {
	*fetch.Batch
	n int
	// from is the offset of its first record, to the one behind its last. Until it is
	// read they are those of the whole.
	from, to int64
	// gone tells that nothing of its bytes is held any more.
	gone bool
}

// partOf is a part that is not read yet.
func partOf(b *fetch.Batch, n int) part { return part{Batch: b, n: n, from: b.First, to: b.Next} }

func (p *part) place() bridge.Place { return bridge.Place{Name: p.Topic, Partition: p.Partition} }

// letGo releases its bytes.
func (p *part) letGo() {
	if !p.gone {
		p.gone = true
		p.Release()
	}
}

// values are those of its records.
func (p *part) values(yield func([]byte) bool) {
	var r fetch.Record
	for w := p.Walk(p.n); w.Next(&r) && yield(r.Value); {
	}
}

// waiting is what a broker answered and no batch has yet: the batches from the
// first part of the first on.
type waiting struct {
	batches []*fetch.Batch
	part    int
}

// fill makes the batch one of the first records that wait, about so many of them, and
// takes them away. What is stale is passed over.
func (b *batch) fill(from *waiting, records int) {
	b.parts, b.bytes = b.parts[:0], 0
	b.records, b.letters, b.counts = b.records[:0], b.letters[:0], Counts{}
	b.good, b.broken, b.err, b.pending = 0, nil, nil, nil
	b.ready.Reset()
	for n := 0; len(from.batches) > 0 && n < records && len(b.parts) < batchRecords; {
		of := from.batches[0]
		if !of.Stale() {
			n += of.Len(from.part)
			b.parts = append(b.parts, partOf(of, from.part))
		}
		if from.part++; of.Stale() || from.part == of.Parts() {
			from.batches[0] = nil
			from.batches, from.part = from.batches[1:], 0
		}
	}
}

// release lets go of the records' bytes.
func (b *batch) release() {
	b.pending = nil
	for i := range b.parts {
		b.parts[i].letGo()
	}
	if b.memory != nil {
		b.memory.hold(-b.bytes)
	}
	clear(b.parts)
	clear(b.letters)
}

// decode reads the records of a batch, as far as they can be read.
func (f *Pipe) decode(ctx context.Context, with *values.Reader, b *batch) {
	now := f.opt.Now()
	b.memory = &f.memory
	b.memory.begin()
	defer b.memory.end()
	defer func() { b.memory.learn(b.bytes, len(b.records)+len(b.letters)) }()
	for i := range b.parts {
		p := &b.parts[i]
		if i > 0 && b.bytes >= windowBytes {
			b.broken = errFull
			return
		}
		err := b.memory.wait(ctx)
		if err == nil {
			err = f.decodePart(ctx, with, b, p, now)
		}
		if err != nil {
			b.broken = &Unread{p.place(), p.from, err}
			return
		}
		b.good++
	}
}

// hold notes bytes that b holds, or with a negative number no more.
func (b *batch) hold(bytes int) {
	b.bytes += bytes
	b.memory.hold(bytes)
}

// decodePart reads the records of a part of b.
func (f *Pipe) decodePart(ctx context.Context, with *values.Reader, b *batch, p *part, now time.Time) error {
	text, err := p.Open()
	if errors.Is(err, kgo.ErrMaxDecompress) {
		f.tooLarge(b, p, now)
		return nil
	}
	if err != nil {
		return f.opt.Rotten(p.Batch, err)
	}
	size := text / p.Parts()
	b.hold(size)
	b.large = b.bytes > heldBytes || text > largeText
	decoder := with.Of(p.Topic)
	if decoder.Prepare != nil {
		if err := decoder.Prepare(ctx, p.values); err != nil {
			return err
		}
	}
	var r fetch.Record
	from := f.origin(p.Topic, p.Partition, decoder)
	w := p.Walk(p.n)
	for n := 0; w.Next(&r); n++ {
		if n == 0 && p.n > 0 {
			p.from = r.Offset
		}
		b.add(&from, &r, now)
	}
	if p.n < p.Parts()-1 {
		p.to = w.Position()
	}
	if b.large {
		p.letGo()
		b.hold(-size)
	}
	if err := w.Err(); err != nil {
		return f.opt.Rotten(p.Batch, err)
	}
	return nil
}

// tooLarge makes one letter of a batch of the cluster that is too large when it
// is decompressed, and passes over it.
func (f *Pipe) tooLarge(b *batch, p *part, now time.Time) {
	if p.n > 0 {
		return // the first part of it has told
	}
	from := f.origin(p.Topic, p.Partition, nil)
	b.reject(from.letter(p.First, nil), &event.Invalid{
		Code:   event.CodeTooLarge,
		Detail: fmt.Sprintf("the batch of offsets %d to %d has more than %d MiB when it is decompressed; none of it was read", p.First, p.Next-1, MaxText>>20),
	}, now)
}

// origin is where records come from: the partition of a topic, its Source.Name, and
// what decodes its values.
type origin struct {
	topic, name string
	partition   int32
	// refused is the offset below which records may have been refused before, and
	// kept as letters: they lie behind the last one in the log, so they are read
	// again with each start. One that has become readable gets the event_id that a
	// replay of its letter gives it, and so is known to whichever comes second.
	refused int64
	decoder *values.Decoder
}

// origin says where the records of a partition come from.
func (f *Pipe) origin(topic string, partition int32, decoder *values.Decoder) origin {
	name, refused := f.opt.Group.Origin(topic, partition)
	return origin{topic, name, partition, refused, decoder}
}

// letter is one of what lies at an offset: all that the letter is known by.
func (o *origin) letter(offset int64, value []byte) deadletter.Letter {
	return deadletter.Letter{Source: o.topic, Generation: o.name, Partition: o.partition, Offset: offset, Raw: value}
}

// reject keeps a letter, and why it is one.
func (b *batch) reject(l deadletter.Letter, why *event.Invalid, now time.Time) {
	l.Code, l.Detail, l.Time = why.Code, why.Detail, now.UnixMilli()
	b.counts.Rejected++
	b.letters = append(b.letters, l)
}

// add decodes one record.
func (b *batch) add(from *origin, r *fetch.Record, now time.Time) {
	n := len(b.records)
	if n == cap(b.records) {
		b.records = append(b.records, event.Record{})
	}
	b.records = b.records[:n+1]
	dst := &b.records[n]
	if dst.Kind != event.KindEvent {
		*dst = event.Record{}
	} // else the decoder empties the rest that there is
	dst.Source = event.Source{Name: from.name, Partition: from.partition, Offset: r.Offset}
	unknown, clamped, inv := from.decoder.Read(r, dst, now)
	b.counts.UnknownFields += unknown
	if clamped {
		b.counts.Clamped++
	}
	if inv == nil {
		if r.Offset < from.refused && dst.Kind == event.KindEvent && dst.Event.EventID == "" {
			l := from.letter(r.Offset, r.Value)
			dst.Event.EventID = l.EventID()
		}
		switch {
		case !b.large:
		case dst.Kind == event.KindEvent:
			b.hold(detach(&dst.Event))
		default:
			b.hold(len(r.Value)) // the others are read with a copy
		}
		b.ready.Add(dst, b.frame)
		return
	}
	b.records = b.records[:n]
	l := from.letter(r.Offset, r.Value)
	l.Context = values.LetterContext(r)
	if b.large {
		b.hold(shorten(&l))
	}
	b.reject(l, inv, now)
}
