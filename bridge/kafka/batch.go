package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"vitrine/bridge"
	"vitrine/bridge/deadletter"
	"vitrine/bridge/event"
	"vitrine/bridge/kafka/fetch"
	"vitrine/internal/logkey"
)

// batch is a part of what a poll brought, on its way into the log. One stage after
// another owns it.
type batch struct {
	parts []kgo.FetchTopicPartition
	// spans are the partitions that it has records of, and bytes what these
	// take, keys included.
	spans []span
	bytes int
	// last says that a partition cannot be read on without more ado: nothing is
	// polled behind this batch.
	last bool

	records []event.Record
	letters []deadletter.Letter
	counts  Counts
	// skips are offsets to go on from, behind batches of the cluster that
	// cannot be had.
	skips offsets
	// err is why it is not kept, fatal why the session cannot go on behind it.
	err, fatal error

	// decoded takes one token when the stages up to decoding are done.
	decoded chan struct{}
	pending *bridge.Pending
}

// span is the records of a partition in a batch: the offset of the first, the
// one that comes behind the last with its epoch, and the end of the partition.
type span struct {
	topic            string
	partition, epoch int32
	first, next, end int64
}

// fill makes the batch one of the first records of what a poll brought, and
// returns what it leaves. The error of a partition goes with its last record.
func (b *batch) fill(from []kgo.FetchTopicPartition) (rest []kgo.FetchTopicPartition) {
	b.parts, b.bytes, b.last = b.parts[:0], 0, false
	b.records, b.letters, b.counts = b.records[:0], b.letters[:0], Counts{}
	b.skips, b.err, b.fatal, b.pending = nil, nil, nil, nil
	for room := batchRecords; len(from) > 0 && room > 0; {
		p := from[0]
		if n := len(p.Records); n > room {
			p.Records, p.Err = p.Records[:room:room], nil
			from[0].Records = from[0].Records[room:]
		} else {
			from = from[1:]
		}
		room -= len(p.Records)
		var lost *kgo.ErrDataLoss
		b.last = b.last || p.Err != nil && !errors.As(p.Err, &lost)
		for _, r := range p.Records {
			b.bytes += len(r.Key) + len(r.Value)
		}
		b.parts = append(b.parts, p)
	}
	b.spans = appendSpans(b.spans[:0], b.parts)
	return from
}

// spansOf are the spans of what a poll brought.
func spansOf(parts []kgo.FetchTopicPartition) []span { return appendSpans(nil, parts) }

func appendSpans(spans []span, parts []kgo.FetchTopicPartition) []span {
	for i := range parts {
		p := &parts[i]
		if n := len(p.Records); n > 0 {
			last := p.Records[n-1]
			spans = append(spans, span{p.Topic, p.Partition, last.LeaderEpoch, p.Records[0].Offset, last.Offset + 1, p.HighWatermark})
		}
	}
	return spans
}

// release lets go of the records' bytes.
func (b *batch) release() {
	b.pending = nil
	clear(b.parts)
	clear(b.letters)
}

// decode reads the records of a batch.
func (s *session) decode(ctx context.Context, with *reader, b *batch) {
	if with.prepare != nil {
		for i := range b.parts {
			for _, r := range b.parts[i].Records {
				if r.Topic == s.opt.Topic && !r.Attrs.IsControl() {
					if b.err = with.prepare(ctx, r.Value); b.err != nil {
						return
					}
				}
			}
		}
	}
	now := s.opt.Now()
	for i := range b.parts {
		p := &b.parts[i]
		if len(p.Records) > 0 {
			from := s.origin(p.Topic, p.Partition, with.decode[p.Topic])
			for _, r := range p.Records {
				if r.Attrs.IsControl() {
					continue // it only moves the position
				}
				record := fetch.Record{Offset: r.Offset, Time: r.Timestamp.UnixMilli(), Key: r.Key, Value: r.Value}
				for _, h := range r.Headers {
					record.Headers.Add(h.Key, h.Value)
				}
				s.add(b, &from, &record, now)
			}
		}
		if p.Err != nil {
			s.failed(b, p, now)
		}
	}
}

// failed takes the error of a partition.
func (s *session) failed(b *batch, p *kgo.FetchTopicPartition, now time.Time) {
	var bomb *kgo.ErrDecompressTooLarge
	var lost *kgo.ErrDataLoss
	var group *kgo.ErrGroupSession
	switch {
	case errors.As(p.Err, &group):
		b.fatal = fmt.Errorf("join the group: %w", group.Err)
	case errors.As(p.Err, &bomb):
		b.counts.Rejected++
		b.letters = append(b.letters, deadletter.Letter{
			Source: p.Topic, Partition: p.Partition, Offset: bomb.Offset, Code: event.CodeTooLarge, Time: now.UnixMilli(),
			Detail: fmt.Sprintf("the batch of offsets %d to %d has more than %d MiB when it is decompressed; none of it was read", bomb.Offset, bomb.NextOffset-1, decompressBytes>>20),
		})
		if b.skips == nil {
			b.skips = offsets{}
		}
		b.skips.set(p.Topic, p.Partition, kgo.EpochOffset{Epoch: -1, Offset: bomb.NextOffset})
		// Else a partition that ends in such a batch would seem to wait for ever.
		b.spans = append(b.spans, span{p.Topic, p.Partition, -1, bomb.Offset, bomb.NextOffset, p.HighWatermark})
	case errors.As(p.Err, &lost):
		s.opt.Log.Error("kafka: the cluster has lost records", logkey.Error, lost)
	default:
		b.fatal = fmt.Errorf("read partition %d of %s: %w", p.Partition, p.Topic, p.Err)
	}
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
	decode  decoder
}

// add decodes one record.
func (s *session) add(b *batch, from *origin, r *fetch.Record, now time.Time) {
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
	inv := s.opt.read(from.decode, r, dst, now, &b.counts)
	if inv == nil {
		if r.Offset < from.refused && dst.Kind == event.KindEvent && dst.Event.EventID == "" {
			l := deadletter.Letter{Source: from.topic, Partition: from.partition, Offset: r.Offset, Raw: r.Value}
			dst.Event.EventID = l.EventID()
		}
		return
	}
	b.records = b.records[:n]
	b.counts.Rejected++
	b.letters = append(b.letters, deadletter.Letter{
		Source: from.topic, Partition: from.partition, Offset: r.Offset, Code: inv.Code, Detail: inv.Detail, Time: now.UnixMilli(), Raw: r.Value,
		Context: contextOf(r),
	})
}

// read makes dst, whose Source is set, what a record says.
func (o *Options) read(decode decoder, r *fetch.Record, dst *event.Record, now time.Time, counts *Counts) *event.Invalid {
	unknown, inv := decode(r, dst)
	counts.UnknownFields += unknown
	if inv != nil || dst.Kind != event.KindEvent {
		return inv
	}
	if dst.Event.Time == 0 {
		dst.Event.Time = max(r.Time, 0)
	}
	if dst.Event.Normalize(now) {
		counts.Clamped++
	}
	return nil
}
