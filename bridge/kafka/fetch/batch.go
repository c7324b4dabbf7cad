package fetch

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"
)

// PartRecords is how many records a part of a batch has at most: as many as stay in
// a core's cache while something is made of them.
const PartRecords = 1024

// minRecord is the least that a record takes in a batch: its length, attributes,
// time, offset, and the lengths of key, value and headers.
const minRecord = 7

// Batch is what a producer wrote at once: records that follow each other in a
// partition, as they came from the broker. Parts of it may be read by several
// goroutines.
type Batch struct {
	Topic     string
	Partition int32
	// First is the offset from which it is read, Next the one behind all of it,
	// read or not, and End the one behind the partition's last.
	First, Next, End int64
	// Epoch is that of the leader who took the batch, -1 for one of an old format.
	Epoch int32

	// count is how many records it says to have; none where it only moves the
	// position, as the mark of a transaction does, and one that was aborted.
	count int
	// raw is the whole batch, old are the records of an old format instead.
	raw []byte
	old []Record

	reader *Reader
	// The outcome of decompressing it, by the first who asks: its records, where
	// those of each part begin, and why there are none. unread are the parts that
	// are not released.
	once   sync.Once
	text   []byte
	pooled bool
	begins []int32
	err    error
	unread atomic.Int32

	// from is where it was asked for, and life which life of it.
	from *cursor
	life uint64
}

// The fields of a record batch, of magic 2, by their places.
const (
	magicAt      = 16
	crcAt        = 17
	crcFrom      = 21 // what the checksum is of
	attributesAt = 21
	lastDeltaAt  = 23
	firstTimeAt  = 27
	maxTimeAt    = 35
	producerAt   = 43
	countAt      = 57
	recordsAt    = 61

	codecBits       = 0x07
	appendTimeBit   = 0x08
	transactionBit  = 0x10
	controlBit      = 0x20
	lengthThenCount = 12 // bytes that a batch's length does not count
)

func attributes(raw []byte) uint16 { return binary.BigEndian.Uint16(raw[attributesAt:]) }

// Parts is how many parts it is read in, at least one.
func (b *Batch) Parts() int { return max(1, (b.count+PartRecords-1)/PartRecords) }

// Len is how many records a part has.
func (b *Batch) Len(part int) int {
	from, to := b.bounds(part)
	return to - from
}

// bounds are the records of a part; all parts are of about the same size.
func (b *Batch) bounds(part int) (from, to int) {
	n := int64(b.Parts())
	return int(int64(part) * int64(b.count) / n), int(int64(part+1) * int64(b.count) / n)
}

// Stale tells that the partition is no longer read, or from elsewhere.
func (b *Batch) Stale() bool { return b.from != nil && b.from.life.Load() != b.life }

// Open decompresses it, unless that is done, and says how many bytes its records
// take. The error is one of Refused, or says what is wrong with the bytes.
func (b *Batch) Open() (size int, err error) {
	b.once.Do(b.open)
	return len(b.text), b.err
}

func (b *Batch) open() {
	if b.err != nil || b.count == 0 || b.old != nil {
		return
	}
	if err := check(b.raw); err != nil {
		b.err = b.broken(err)
		return
	}
	b.text = b.raw[recordsAt:]
	if codec := kgo.CompressionCodecType(attributes(b.raw) & codecBits); codec != kgo.CodecNone {
		text, err := b.reader.decompressor.Decompress(b.text, codec)
		if err != nil {
			b.text, b.err = nil, b.broken(err)
			return
		}
		b.text, b.pooled = text, true
	}
	if b.count > len(b.text)/minRecord {
		b.err = b.broken(fmt.Errorf("%d bytes cannot be its %d records", len(b.text), b.count))
		return
	}
	if parts := b.Parts(); parts > 1 {
		b.err = b.divide(parts)
	}
}

// divide finds where the records of each part begin.
func (b *Batch) divide(parts int) error {
	b.begins = make([]int32, 0, parts)
	at, n := 0, 0
	for part := range parts {
		b.begins = append(b.begins, int32(at))
		for _, to := b.bounds(part); n < to; n++ {
			if _, at = chunk(b.text, at); at == beyond {
				return b.broken(fmt.Errorf("only %d of its %d records are there", n, b.count))
			}
		}
	}
	return nil
}

func (b *Batch) broken(err error) error {
	return fmt.Errorf("read the batch of offsets %d to %d: %w", b.First, b.Next-1, err)
}

// Release says that a part of it is read, and nothing of the bytes is needed any
// more. They are another batch's when that is said of all parts.
func (b *Batch) Release() {
	if b.unread.Add(-1) == 0 && b.pooled {
		b.reader.buffers.put(b.text)
		b.text, b.pooled = nil, false
	}
}

// check compares a batch with its checksum.
func check(raw []byte) error {
	want, got := binary.BigEndian.Uint32(raw[crcAt:]), crc32.Checksum(raw[crcFrom:], castagnoli())
	if want != got {
		return fmt.Errorf("its checksum is %08x, not %08x", got, want)
	}
	return nil
}

// castagnoli is the table of the checksums; the library keeps it.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// Walk is a way through the records of a part.
type Walk struct {
	batch      *Batch
	text       []byte // of the whole batch, at the next record
	at         int
	old        []Record
	left       int
	first      int64 // the offset that those of the records add to
	time       int64
	appendTime bool
	// next is the offset that the next record has at least.
	next int64
	err  error
}

// Walk begins a way through a part of an open batch.
func (b *Batch) Walk(part int) Walk {
	w := Walk{batch: b, next: b.First, err: b.err}
	switch {
	case b.err != nil || b.count == 0:
		return w
	case b.old != nil:
		from, to := b.bounds(part)
		w.old = b.old[from:to]
		return w
	}
	w.left = b.Len(part)
	w.text = b.text
	if b.begins != nil {
		w.at = int(b.begins[part])
	}
	w.first = int64(binary.BigEndian.Uint64(b.raw))
	w.time = int64(binary.BigEndian.Uint64(b.raw[firstTimeAt:]))
	if attributes(b.raw)&appendTimeBit != 0 {
		w.time, w.appendTime = int64(binary.BigEndian.Uint64(b.raw[maxTimeAt:])), true
	}
	return w
}

// Next reads the next record; there is none when it is false. Those from before
// the offset that was asked for are passed over.
func (w *Walk) Next(r *Record) bool {
	for len(w.old) > 0 {
		*r, w.old = w.old[0], w.old[1:]
		if r.Offset >= w.next {
			w.next = r.Offset + 1
			return true
		}
	}
	for w.left > 0 {
		w.left--
		if !w.read(r) {
			w.left, w.err = 0, w.batch.broken(fmt.Errorf("a record behind offset %d cannot be read", w.next-1))
			return false
		}
		if r.Offset >= w.next {
			w.next = r.Offset + 1
			return true
		}
	}
	return false
}

// read takes the next record apart.
func (w *Walk) read(r *Record) bool {
	body, next := chunk(w.text, w.at)
	if len(body) == 0 {
		return false
	}
	w.at = next
	time, at := varint(body, 1) // the attributes have no meaning
	offset, at := varint(body, at)
	key, at := chunk(body, at)
	value, at := chunk(body, at)
	headers, at := varint(body, at)
	if at == beyond || headers < 0 || headers > int64(len(body)-at) {
		return false
	}
	r.Key, r.Value, r.Headers = key, value, Headers{int(headers), body[at:]}
	r.Offset, r.Time = w.first+offset, w.time
	if !w.appendTime {
		r.Time += time
	}
	return true
}

// Position is the offset behind the records that were read.
func (w *Walk) Position() int64 { return min(w.next, w.batch.Next) }

// Err is why the records ended before their time.
func (w *Walk) Err() error { return w.err }
