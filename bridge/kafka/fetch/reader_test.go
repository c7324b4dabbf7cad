package fetch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	transaction = transactionBit
	control     = controlBit
)

// made is one batch of an answer.
type made struct {
	first, producer int64
	// offsets of the records behind first; gaps are what compaction took.
	offsets []int32
	last    int32 // the offset of the last behind first, -1: that of the last record
	kind    int16
	codec   kgo.CompressionCodecType
	// abort makes a control batch the end of an aborted transaction.
	abort   bool
	headers bool
}

func (m *made) bytes(t testing.TB) []byte {
	t.Helper()
	out := kmsg.RecordBatch{
		FirstOffset: m.first, Magic: 2, PartitionLeaderEpoch: 4, FirstTimestamp: 1_000, MaxTimestamp: 9_000,
		ProducerID: m.producer, NumRecords: int32(len(m.offsets)), LastOffsetDelta: m.last,
	}
	for i, offset := range m.offsets {
		r := kmsg.Record{OffsetDelta: offset, TimestampDelta64: int64(i) * 300, Value: fmt.Appendf(nil, "value %d", m.first+int64(offset))}
		switch {
		case m.kind&control != 0:
			r.Key = []byte{0, 0, 0, 1}
			if m.abort {
				r.Key[3] = 0
			}
		case i%3 == 0:
			r.Key = fmt.Appendf(nil, "key %d", i)
		case i%7 == 1:
			r.Value = nil
		}
		if m.headers {
			r.Headers = []kmsg.Header{{Key: "a", Value: []byte("1")}, {Key: "none"}}
		}
		var length int32
		for { // the length is of what comes behind it
			r.Length = length
			n := int32(len(r.AppendTo(nil)) - len(binary.AppendVarint(nil, int64(length))))
			if n == length {
				break
			}
			length = n
		}
		out.Records = r.AppendTo(out.Records)
		if m.last < 0 {
			out.LastOffsetDelta = offset
		}
	}
	out.Attributes = m.kind
	if m.codec != kgo.CodecNone {
		out.Attributes |= int16(m.codec)
		out.Records = compressed(t, m.codec, out.Records)
	}
	return sealed(out.AppendTo(nil))
}

func compressed(t testing.TB, codec kgo.CompressionCodecType, text []byte) []byte {
	t.Helper()
	by, err := kgo.DefaultCompressor(map[kgo.CompressionCodecType]kgo.CompressionCodec{
		kgo.CodecGzip: kgo.GzipCompression(), kgo.CodecSnappy: kgo.SnappyCompression(), kgo.CodecLz4: kgo.Lz4Compression(), kgo.CodecZstd: kgo.ZstdCompression(),
	}[codec])
	if err != nil {
		t.Fatal(err)
	}
	out, _ := by.Compress(new(bytes.Buffer), text)
	return bytes.Clone(out)
}

// sealed sets the length and the checksum of a batch.
func sealed(raw []byte) []byte {
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-lengthThenCount))
	binary.BigEndian.PutUint32(raw[crcAt:], crc32.Checksum(raw[crcFrom:], castagnoli()))
	return raw
}

func partition(batches ...[]byte) *kmsg.FetchResponseTopicPartition {
	p := kmsg.NewFetchResponseTopicPartition()
	p.Partition, p.HighWatermark, p.RecordBatches = 3, 1_000, slices.Concat(batches...)
	return &p
}

func upTo(n int32) (out []int32) {
	for i := range n {
		out = append(out, i)
	}
	return out
}

// read is everything that is in the answer, as text, and the next offset.
func read(r *Reader, p *kmsg.FetchResponseTopicPartition, from int64) (out []string, next int64, err error) {
	batches, next, err := r.Batches("t", p, from)
	at := from
	for _, b := range batches {
		if b.First < at || b.Next <= b.First {
			return out, next, fmt.Errorf("a batch from %d to %d behind %d", b.First, b.Next, at)
		}
		at = b.Next
		if _, err := b.Open(); err != nil {
			return out, next, err
		}
		n := 0
		for part := range b.Parts() {
			w := b.Walk(part)
			for r := (Record{}); w.Next(&r); {
				out = append(out, text(&r, b.Epoch))
			}
			if w.Err() != nil {
				return out, next, w.Err()
			}
			n += b.Len(part)
		}
		if n != b.count {
			return out, next, fmt.Errorf("the parts have %d of %d records", n, b.count)
		}
		for range b.Parts() {
			b.Release()
		}
	}
	if err == nil && next != at {
		err = fmt.Errorf("the next offset is %d behind %d", next, at)
	}
	return out, next, err
}

func text(r *Record, epoch int32) string {
	s := fmt.Sprintf("%d@%d %d %q %q %t", r.Offset, epoch, r.Time, r.Key, r.Value, r.Value == nil)
	for name, value := range r.Headers.All() {
		s += fmt.Sprintf(" %s=%q", name, value)
	}
	return s
}

// readBy is the same by franz-go.
func readBy(d kgo.Decompressor, p *kmsg.FetchResponseTopicPartition, from int64) (out []string, next int64, err error) {
	got, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{Offset: from, IsolationLevel: kgo.ReadCommitted(), Topic: "t", Partition: 3}, p, d, nil)
	for _, r := range got.Records {
		own := Record{Offset: r.Offset, Time: r.Timestamp.UnixMilli(), Key: r.Key, Value: r.Value}
		for _, h := range r.Headers {
			own.Headers.Add(h.Key, h.Value)
		}
		out = append(out, text(&own, r.LeaderEpoch))
	}
	return out, next, got.Err
}

func newReader() *Reader {
	buffers := NewBuffers(4<<20, 1<<20).Spoil()
	return NewReader(kgo.DefaultDecompressor(buffers), buffers)
}

// TestAsTheClientReads compares answers with what franz-go makes of them.
func TestAsTheClientReads(t *testing.T) {
	t.Parallel()
	aborted := func(p *kmsg.FetchResponseTopicPartition, producer int64, first ...int64) *kmsg.FetchResponseTopicPartition {
		for _, offset := range first {
			a := kmsg.NewFetchResponseTopicPartitionAbortedTransaction()
			a.ProducerID, a.FirstOffset = producer, offset
			p.AbortedTransactions = append(p.AbortedTransactions, a)
		}
		return p
	}
	batch := func(m made) []byte { return m.bytes(t) }
	plain := batch(made{first: 10, offsets: upTo(5), last: -1})
	tests := map[string]struct {
		p    *kmsg.FetchResponseTopicPartition
		from int64
	}{
		"nothing":           {partition(), 10},
		"one":               {partition(plain), 10},
		"in the middle":     {partition(plain), 12},
		"behind it":         {partition(plain, batch(made{first: 15, offsets: upTo(2), last: -1})), 15},
		"headers":           {partition(batch(made{offsets: upTo(9), last: -1, headers: true})), 0},
		"times of brokers":  {partition(batch(made{offsets: upTo(9), last: -1, kind: appendTimeBit})), 0},
		"gaps":              {partition(batch(made{offsets: []int32{1, 4, 9}, last: 12}), batch(made{first: 20, offsets: []int32{3}, last: -1})), 0},
		"compacted to none": {partition(batch(made{offsets: nil, last: 12}), batch(made{first: 20, offsets: []int32{3}, last: -1})), 0},
		"cut off":           {partition(plain, batch(made{first: 15, offsets: upTo(5), last: -1})[:40]), 10},
		"cut off at once":   {partition(plain[:90]), 10},
		"large":             {partition(batch(made{offsets: upTo(5000), last: -1, codec: kgo.CodecSnappy})), 0},
		"large, later":      {partition(batch(made{offsets: upTo(5000), last: -1, codec: kgo.CodecSnappy})), 4321},
		"a transaction": {partition(
			batch(made{offsets: upTo(3), last: -1, kind: transaction, producer: 7}),
			batch(made{first: 3, offsets: upTo(1), last: -1, kind: transaction | control, producer: 7})), 0},
		"aborted": {aborted(partition(
			batch(made{offsets: upTo(3), last: -1, kind: transaction, producer: 7}),
			batch(made{first: 3, offsets: upTo(2), last: -1, kind: transaction, producer: 8}),
			batch(made{first: 5, offsets: upTo(2), last: -1}),
			batch(made{first: 7, offsets: upTo(1), last: -1, kind: transaction | control, producer: 7, abort: true}),
			batch(made{first: 8, offsets: upTo(3), last: -1, kind: transaction, producer: 7})), 7, 0), 0},
		"aborted twice, out of order": {aborted(partition(
			batch(made{offsets: upTo(3), last: -1, kind: transaction, producer: 7}),
			batch(made{first: 3, offsets: upTo(1), last: -1, kind: transaction | control, producer: 7, abort: true}),
			batch(made{first: 4, offsets: upTo(2), last: -1, kind: transaction, producer: 7}),
			batch(made{first: 6, offsets: upTo(1), last: -1, kind: transaction | control, producer: 7}),
			batch(made{first: 7, offsets: upTo(2), last: -1, kind: transaction, producer: 7}),
			batch(made{first: 9, offsets: upTo(1), last: -1, kind: transaction | control, producer: 7, abort: true})), 7, 7, 0), 0},
		"messages of format 0":                 {partition(message(0, 5, "a"), message(0, 6, "b")), 5},
		"messages of format 1":                 {partition(message(1, 5, "a"), message(1, 6, "b")), 6},
		"messages before batches":              {partition(message(1, 8, "a"), message(1, 9, "b"), plain), 8},
		"messages behind batches":              {partition(plain, message(1, 15, "a")), 10},
		"a message cut off":                    {partition(message(1, 8, "a"), message(1, 9, "b")[:20]), 8},
		"a batch of gzip, lz4, zstd":           {partition(batch(made{offsets: upTo(99), last: -1, codec: kgo.CodecGzip}), batch(made{first: 99, offsets: upTo(99), last: -1, codec: kgo.CodecLz4}), batch(made{first: 198, offsets: upTo(99), last: -1, codec: kgo.CodecZstd})), 0},
		"batches of snappy, buffers in turn":   {partition(slices.Concat(slices.Collect(snappies(t))...)), 0},
		"offsets that an answer did not begin": {partition(batch(made{first: 40, offsets: upTo(4), last: -1})), 10},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			want, then, wrong := readBy(kgo.DefaultDecompressor(), test.p, test.from)
			got, next, err := read(newReader(), test.p, test.from)
			if !slices.Equal(got, want) || next != then || err != nil || wrong != nil {
				t.Errorf("%q up to %d, %v; want %q up to %d, %v", got, next, err, want, then, wrong)
			}
		})
	}
}

func snappies(t testing.TB) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for i := range int64(20) {
			if !yield((&made{first: i * 50, offsets: upTo(50), last: -1, codec: kgo.CodecSnappy}).bytes(t)) {
				return
			}
		}
	}
}

// message is one of an old format.
func message(magic int8, offset int64, value string) []byte {
	var out []byte
	if magic == 0 {
		out = (&kmsg.MessageV0{Offset: offset, Value: []byte(value)}).AppendTo(nil)
	} else {
		out = (&kmsg.MessageV1{Offset: offset, Magic: 1, Timestamp: 77, Value: []byte(value)}).AppendTo(nil)
	}
	binary.BigEndian.PutUint32(out[8:], uint32(len(out)-lengthThenCount))
	binary.BigEndian.PutUint32(out[12:], crc32.ChecksumIEEE(out[16:]))
	return out
}

// TestBrokenBatches: what is wrong with a batch is an error that says so, and the
// batches before it are there.
func TestBrokenBatches(t *testing.T) {
	t.Parallel()
	good := (&made{offsets: upTo(3), last: -1}).bytes(t)
	change := func(what func(raw []byte) []byte) []byte {
		m := made{first: 3, offsets: upTo(40), last: -1, codec: kgo.CodecSnappy}
		return what(m.bytes(t))
	}
	put := func(at int, n uint32) []byte {
		return change(func(raw []byte) []byte { binary.BigEndian.PutUint32(raw[at:], n); return sealed(raw) })
	}
	for name, test := range map[string]struct {
		raw  []byte
		want string
	}{
		"bit rot":                     {change(func(raw []byte) []byte { raw[90] ^= 1; return raw }), "checksum"},
		"rot in a mark":               {rotten(t), "checksum"},
		"fewer than no records":       {put(countAt, 1<<31), "it has -2147483648 records"},
		"more records than bytes":     {put(countAt, 1<<20), "cannot be its 1048576 records"},
		"one record more":             {put(countAt, 41), "cannot be read"},
		"an end before the beginning": {put(lastDeltaAt, 1<<32-5), "ends before it begins"},
		"a format of the future":      {change(func(raw []byte) []byte { raw[magicAt] = 3; return raw }), "unknown format 3"},
		"a batch of nothing":          {change(func(raw []byte) []byte { binary.BigEndian.PutUint32(raw[8:], 9); return raw }), "a batch of 21 bytes"},
		"a batch that is only a head": {change(func(raw []byte) []byte { return append(sealed(raw[:50]), raw[:50]...) }), "a batch of 50 bytes"},
		"a codec that is none":        {change(func(raw []byte) []byte { raw[attributesAt+1] = 7; return sealed(raw) }), "unknown compression"},
		"bytes that are no snappy":    {change(func(raw []byte) []byte { raw[attributesAt+1] = 3; return sealed(raw) }), "batch of offsets 3 to 42"},
		"a record longer than the rest": {change(func([]byte) []byte {
			return sealed(append((&made{first: 3, offsets: upTo(1), last: -1}).bytes(t)[:recordsAt], 0x7e, 0, 0, 0, 0, 0, 0, 0))
		}), "cannot be read"},
	} {
		got, _, err := read(newReader(), partition(good, test.raw), 0)
		if err == nil || !strings.Contains(err.Error(), test.want) || len(got) < 3 {
			t.Errorf("%s: %v behind %d records, want %q", name, err, len(got), test.want)
		}
	}
}

// rotten is the mark of a transaction with a wrong bit.
func rotten(t *testing.T) []byte {
	m := made{first: 3, offsets: upTo(1), last: -1, kind: transaction | control}
	raw := m.bytes(t)
	raw[len(raw)-1] ^= 1
	return raw
}

// TestBomb: a batch that is too large when it is decompressed is one error, and
// what comes behind it is read.
func TestBomb(t *testing.T) {
	t.Parallel()
	client, err := kgo.NewClient(kgo.MaxDecompressBatchBytes(1 << 16))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	r := NewReader(client.OptValue(kgo.WithDecompressor).(kgo.Decompressor), NewBuffers(0, 0))
	bomb := made{first: 1, offsets: upTo(4000), last: -1, codec: kgo.CodecZstd}
	batches, next, err := r.Batches("t", partition((&made{offsets: upTo(1), last: -1}).bytes(t), bomb.bytes(t), (&made{first: 4001, offsets: upTo(1), last: -1}).bytes(t)), 0)
	if err != nil || next != 4002 || len(batches) != 3 {
		t.Fatalf("%d batches up to %d, %v", len(batches), next, err)
	}
	for i, b := range batches {
		if _, err := b.Open(); errors.Is(err, kgo.ErrMaxDecompress) != (i == 1) {
			t.Errorf("batch %d: %v", i, err)
		}
	}
}

// TestBuffersAreUsedAgain: a buffer is given to the next batch when all parts are
// released, and not before.
func TestBuffersAreUsedAgain(t *testing.T) {
	t.Parallel()
	buffers := NewBuffers(4<<20, 1<<20).Spoil()
	r := NewReader(kgo.DefaultDecompressor(buffers), buffers)
	m := made{offsets: upTo(3000), last: -1, codec: kgo.CodecSnappy}
	batches, _, err := r.Batches("t", partition(m.bytes(t)), 0)
	if err != nil || len(batches) != 1 || batches[0].Parts() != 3 {
		t.Fatalf("%d batches, %v", len(batches), err)
	}
	b := batches[0]
	if _, err := b.Open(); err != nil {
		t.Fatal(err)
	}
	for part := range 3 {
		if len(buffers.free) != 0 {
			t.Errorf("the buffer is free before part %d is", part)
		}
		n, w := 0, b.Walk(part)
		for r := (Record{}); w.Next(&r); n++ {
			if len(r.Value) > 0 && string(r.Value) != fmt.Sprintf("value %d", r.Offset) {
				t.Fatalf("%q at %d", r.Value, r.Offset)
			}
		}
		if n != 1000 || w.Err() != nil {
			t.Errorf("part %d has %d records, %v", part, n, w.Err())
		}
		b.Release()
	}
	if len(buffers.free) != 1 {
		t.Error("the buffer is not free")
	}
}

// TestFreeBuffersAreBounded: those that are free are kept up to a sum of bytes, and none
// that is larger than the largest.
func TestFreeBuffersAreBounded(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ size, give, want int }{
		"few small ones":  {1 << 10, 10, 10},
		"many small ones": {1 << 10, 2 * maxFree, maxFree},
		"large ones":      {1 << 20, 10, 4},
		"too large ones":  {1<<20 + 1, 10, 0},
	} {
		b := NewBuffers(4<<20, 1<<20)
		for range 2 { // the second time with what was taken out
			for range test.give {
				b.PutDecompressBytes(make([]byte, test.size))
			}
			if len(b.free) != test.want || b.left.Load() != int64(4<<20-test.want*test.size) {
				t.Errorf("%s: %d are kept, %d bytes more may be; want %d", name, len(b.free), b.left.Load(), test.want)
			}
			for b.GetDecompressBytes(nil, 0) != nil {
			}
			if b.left.Load() != 4<<20 {
				t.Errorf("%s: with none free %d bytes may be kept", name, b.left.Load())
			}
		}
	}
}

// TestWalkAllocatesNothing is about records without headers and with them.
func TestWalkAllocatesNothing(t *testing.T) {
	m := made{offsets: upTo(500), last: -1, headers: true}
	batches, _, err := newReader().Batches("t", partition(m.bytes(t)), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := batches[0].Open(); err != nil {
		t.Fatal(err)
	}
	var r Record
	if n := testing.AllocsPerRun(10, func() {
		for w := batches[0].Walk(0); w.Next(&r); {
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// untimed leaves the times out, of which franz-go has nanoseconds: those of the year
// 2262 and later are others.
func untimed(records []string) (out []string) {
	for _, r := range records {
		at, rest, _ := strings.Cut(r, " ")
		_, rest, _ = strings.Cut(rest, " ")
		out = append(out, at+" "+rest)
	}
	return out
}

// FuzzBatches: no bytes of a broker make the reader panic or hold more than its
// bound; what franz-go reads without an error, it reads too, and to the same end.
func FuzzBatches(f *testing.F) {
	for _, m := range []made{
		{offsets: upTo(3), last: -1},
		{first: 9, offsets: []int32{1, 5}, last: 9, codec: kgo.CodecSnappy, headers: true},
		{offsets: upTo(2), last: -1, codec: kgo.CodecZstd},
		{offsets: upTo(2), last: -1, codec: kgo.CodecLz4},
		{offsets: upTo(2), last: -1, codec: kgo.CodecGzip},
		{offsets: upTo(1), last: -1, kind: transaction | control, abort: true},
	} {
		f.Add(m.bytes(f), int64(0), true)
	}
	f.Add(message(0, 1, "x"), int64(0), false)
	f.Add(message(1, 1, "x"), int64(0), false)
	client, err := kgo.NewClient(kgo.MaxDecompressBatchBytes(1 << 20))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(client.Close)
	bounded := client.OptValue(kgo.WithDecompressor).(kgo.Decompressor)
	f.Fuzz(func(t *testing.T, raw []byte, from int64, seal bool) {
		if seal && len(raw) >= recordsAt && raw[magicAt] == 2 {
			raw = sealed(bytes.Clone(raw))
		}
		p := partition(raw)
		a := kmsg.NewFetchResponseTopicPartitionAbortedTransaction()
		p.AbortedTransactions = append(p.AbortedTransactions, a)
		r := NewReader(bounded, NewBuffers(0, 0))
		got, next, err := read(r, p, from)
		if next < from {
			t.Fatalf("from %d back to %d", from, next)
		}
		want, then, wrong := readBy(bounded, p, from)
		if err == nil && wrong == nil && then == next && !slices.Equal(untimed(got), untimed(want)) {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

// BenchmarkWalk is reading the records of an open batch of 200 bytes each; the limit
// is a cache line of each, which the decoder reads next: 64 bytes of the second level
// are 5 ns.
func BenchmarkWalk(b *testing.B) {
	out := kmsg.RecordBatch{Magic: 2, NumRecords: PartRecords, LastOffsetDelta: PartRecords - 1}
	for i := range int32(PartRecords) {
		r := kmsg.Record{OffsetDelta: i, TimestampDelta64: int64(i), Key: []byte("user-1234567"), Value: make([]byte, 200)}
		r.Length = int32(len(r.AppendTo(nil)) - 1)
		out.Records = r.AppendTo(out.Records)
	}
	batches, _, err := newReader().Batches("t", partition(sealed(out.AppendTo(nil))), 0)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := batches[0].Open(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	var r Record
	for b.Loop() {
		n, w := 0, batches[0].Walk(0)
		for w.Next(&r) {
			n++
		}
		if n != PartRecords {
			b.Fatal(n, w.Err())
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/PartRecords, "ns/record")
}
