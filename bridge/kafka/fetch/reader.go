package fetch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Reader takes what a broker answers apart. It is safe for any goroutine.
type Reader struct {
	decompressor kgo.Decompressor
	buffers      *Buffers
}

// NewReader makes one. The decompressor is one that has been given the buffers, and
// bounds what it makes of a batch.
func NewReader(decompressor kgo.Decompressor, buffers *Buffers) *Reader {
	return &Reader{decompressor, buffers}
}

// Batches are those of a partition from the offset on, and the offset behind the
// last. What is cut off at the end is left for the next answer. An error is behind
// the batches that come with it.
func (r *Reader) Batches(topic string, p *kmsg.FetchResponseTopicPartition, offset int64) (out []*Batch, next int64, err error) {
	next = offset
	aborted := newAborted(p)
	for in := p.RecordBatches; ; {
		raw, format := entry(in)
		switch {
		case raw == nil:
			return out, next, nil
		case format < batchFormat:
			n := len(raw)
			for raw, format = entry(in[n:]); raw != nil && format < batchFormat; raw, format = entry(in[n:]) {
				n += len(raw)
			}
			var old []*Batch
			old, next, err = r.old(topic, p, in[:n], next)
			if out = append(out, old...); err != nil {
				return out, next, err
			}
			in = in[n:]
			continue
		case format > batchFormat:
			return out, next, fmt.Errorf("a batch of the unknown format %d behind offset %d", format, next-1)
		case len(raw) < recordsAt:
			return out, next, fmt.Errorf("a batch of %d bytes behind offset %d", len(raw), next-1)
		}
		in = in[len(raw):]
		first, lastDelta := int64(binary.BigEndian.Uint64(raw)), int32(binary.BigEndian.Uint32(raw[lastDeltaAt:]))
		if lastDelta < 0 {
			return out, next, fmt.Errorf("a batch behind offset %d ends before it begins", next-1)
		}
		b := &Batch{
			Topic: topic, Partition: p.Partition, End: p.HighWatermark, reader: r, raw: raw,
			First: max(next, first), Next: first + int64(lastDelta) + 1, Epoch: int32(binary.BigEndian.Uint32(raw[12:])),
		}
		if b.Next <= next {
			continue // it is not what was asked for
		}
		if err := b.head(aborted); err != nil {
			return out, next, b.broken(err)
		}
		b.unread.Store(int32(b.Parts()))
		next = b.Next
		out = append(out, b)
	}
}

// batchFormat is that of batches; messages before it have 0 and 1.
const batchFormat = 2

// entry is the first batch or message of an answer, and its format; none is left
// where it is nil, or only a part of one.
func entry(in []byte) (raw []byte, format byte) {
	if len(in) <= crcAt {
		return nil, 0
	}
	size := int64(int32(binary.BigEndian.Uint32(in[8:]))) + lengthThenCount
	if size <= lengthThenCount || size > int64(len(in)) {
		return nil, 0
	}
	return in[:size:size], in[magicAt]
}

// head finds how many records a batch has for readers of what is committed.
func (b *Batch) head(aborted aborted) error {
	kind, producer := attributes(b.raw), int64(binary.BigEndian.Uint64(b.raw[producerAt:]))
	over := kind&transactionBit != 0 && aborted.has(producer, int64(binary.BigEndian.Uint64(b.raw)))
	switch count := int32(binary.BigEndian.Uint32(b.raw[countAt:])); {
	case count < 0:
		return fmt.Errorf("it has %d records", count)
	case kind&controlBit == 0:
		if !over {
			b.count = int(count)
		}
		return nil
	}
	if err := check(b.raw); err != nil {
		return err
	}
	if over && abortMark(b.raw[recordsAt:]) {
		aborted.end(producer)
	}
	return nil
}

// abortMark tells whether the first record of a control batch ends a transaction
// that was aborted: its key is a version and then 0, both of 16 bits.
func abortMark(records []byte) bool {
	body, _ := chunk(records, 0)
	_, at := varint(body, 1)
	_, at = varint(body, at)
	key, _ := chunk(body, at)
	return len(key) >= 4 && key[2] == 0 && key[3] == 0
}

// aborted are the offsets at which a producer's transactions begin that were
// aborted, in their order.
type aborted map[int64][]int64

func newAborted(p *kmsg.FetchResponseTopicPartition) aborted {
	if len(p.AbortedTransactions) == 0 {
		return nil
	}
	out := aborted{}
	for _, t := range p.AbortedTransactions {
		out[t.ProducerID] = append(out[t.ProducerID], t.FirstOffset)
	}
	for _, offsets := range out {
		slices.Sort(offsets) // not every kind of broker does
	}
	return out
}

// has tells whether a batch of a transaction is of one that was aborted.
func (a aborted) has(producer, first int64) bool {
	left := a[producer]
	return len(left) > 0 && first >= left[0]
}

// end notes the end of a producer's transaction.
func (a aborted) end(producer int64) {
	if left := a[producer]; len(left) > 0 {
		a[producer] = left[1:]
	}
}

// old reads messages, the format of brokers before 0.11, by franz-go: whoever has
// them has few.
func (r *Reader) old(topic string, p *kmsg.FetchResponseTopicPartition, in []byte, offset int64) (out []*Batch, next int64, err error) {
	rest := *p
	rest.RecordBatches, rest.ErrorCode = in, 0
	opt := kgo.ProcessFetchPartitionOpts{Offset: offset, IsolationLevel: kgo.ReadCommitted(), Topic: topic, Partition: p.Partition}
	got, next := kgo.ProcessFetchPartition(opt, &rest, r.decompressor, nil)
	if next > offset {
		b := &Batch{Topic: topic, Partition: p.Partition, First: offset, Next: next, End: p.HighWatermark, Epoch: -1, reader: r, count: len(got.Records)}
		b.old = make([]Record, len(got.Records))
		for i, from := range got.Records {
			b.old[i] = Record{Offset: from.Offset, Time: from.Timestamp.UnixMilli(), Key: from.Key, Value: from.Value}
			for _, h := range from.Headers {
				b.old[i].Headers.Add(h.Key, h.Value)
			}
		}
		b.unread.Store(int32(b.Parts()))
		out = append(out, b)
	}
	var large *kgo.ErrDecompressTooLarge
	switch {
	case errors.As(got.Err, &large):
		b := &Batch{Topic: topic, Partition: p.Partition, First: max(next, large.Offset), Next: large.NextOffset, End: p.HighWatermark, Epoch: -1, reader: r}
		b.err = b.broken(kgo.ErrMaxDecompress)
		b.unread.Store(1)
		return append(out, b), b.Next, nil
	case got.Err != nil:
		return out, next, fmt.Errorf("read messages from offset %d on: %w", next, got.Err)
	}
	return out, next, nil
}

// Buffers are those that batches are decompressed into, in turn. Nobody changes
// what is in one before it is given back.
type Buffers struct {
	free chan []byte
	// largest bounds one that is kept, left are the bytes of those that may be kept
	// beside the free ones.
	largest int
	left    atomic.Int64
	// spoil overwrites what is given back.
	spoil bool
}

// maxFree is how many buffers are kept at most, of whichever size.
const maxFree = 256

// NewBuffers keeps those that are free, of at most so many bytes together, and each
// of at most largest.
func NewBuffers(bytes, largest int) *Buffers {
	b := &Buffers{free: make(chan []byte, maxFree), largest: largest}
	b.left.Store(int64(bytes))
	return b
}

// Spoil makes whoever reads what was given back read nonsense, for tests.
func (b *Buffers) Spoil() *Buffers {
	b.spoil = true
	return b
}

// GetDecompressBytes is for franz-go's decompressor.
func (b *Buffers) GetDecompressBytes(_ []byte, _ kgo.CompressionCodecType) []byte {
	select {
	case buf := <-b.free:
		b.left.Add(int64(cap(buf)))
		return buf
	default:
		return nil
	}
}

// PutDecompressBytes is for franz-go's decompressor, where it fails.
func (b *Buffers) PutDecompressBytes(buf []byte) { b.put(buf) }

func (b *Buffers) put(buf []byte) {
	if b.spoil {
		for i := range buf {
			buf[i] = 0xff
		}
	}
	size := int64(cap(buf))
	if size == 0 || size > int64(b.largest) {
		return
	}
	if b.left.Add(-size) >= 0 {
		select {
		case b.free <- buf[:0]:
			return
		default:
		}
	}
	b.left.Add(size)
}

// retriable tells an error of a partition that passes when the metadata are new.
func retriable(err error) bool {
	return kerr.IsRetriable(err) || errors.Is(err, kerr.FencedLeaderEpoch) || errors.Is(err, kerr.InconsistentTopicID) || errors.Is(err, kerr.UnknownTopicID)
}
