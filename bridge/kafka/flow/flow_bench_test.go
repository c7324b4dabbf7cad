package flow

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"vitrine/bridge"
	"vitrine/bridge/jetstream"
	"vitrine/bridge/kafka/fetch"
)

// BenchmarkFlow is the way of records of 200 bytes from a broker's answer, which is
// not compressed, into the durable log, all stages at work: decoding, validation,
// deduplication, the frame, and the log's fsync. cpu/record is the process's own
// processor time; the bar, 2.5 us, includes the client's.
func BenchmarkFlow(b *testing.B) {
	const partitions, distinct = 8, 1 << 17
	reader := fetch.NewReader(kgo.DefaultDecompressor(), fetch.NewBuffers(0, 0))
	answers := make([]*kmsg.FetchResponseTopicPartition, 0, distinct/batchRecords)
	for from := 0; from < distinct; from += batchRecords {
		values := make([][]byte, batchRecords)
		for i := range values {
			values[i] = shopRecord(from + i).Value
		}
		answers = append(answers, answer(int32(from/batchRecords%partitions), values))
	}
	bus, err := jetstream.Open(b.Context(), jetstream.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer bus.Close()
	pump := bridge.New(bus, nil, bridge.Options{})
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error)
	go func() { ended <- pump.Run(ctx) }()
	f := newRun(pipe(b, pump).Pipe)
	drain := f.begin(ctx)
	defer f.end()
	cpu := func() float64 {
		var u syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
		return float64(u.Utime.Nano() + u.Stime.Nano())
	}
	b.ReportAllocs()
	b.ResetTimer()
	before := cpu()
	for n := 0; n < b.N; n += batchRecords {
		batch := <-f.free
		a := answers[n/batchRecords%len(answers)]
		from := int64(n / batchRecords / partitions * batchRecords)
		again(a.RecordBatches, from, n/distinct)
		got, _, err := reader.Batches("user-events", a, from)
		if err != nil {
			b.Fatal(err)
		}
		f.rest = waiting{batches: got}
		f.hand(batch)
	}
	drain()
	b.ReportMetric((cpu()-before)/float64(b.N), "cpu-ns/record")
	b.StopTimer()
	if f.err != nil {
		b.Fatal(f.err)
	}
	cancel()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
}

// answer is what a broker answers of a partition: one batch, not compressed.
func answer(partition int32, values [][]byte) *kmsg.FetchResponseTopicPartition {
	batch := kmsg.RecordBatch{Magic: 2, FirstTimestamp: 1760000000000, LastOffsetDelta: int32(len(values) - 1), NumRecords: int32(len(values))}
	for i, value := range values {
		r := kmsg.Record{OffsetDelta: int32(i), Value: value}
		r.Length = int32(len(r.AppendTo(nil)) - 1) // one byte is the length 0
		batch.Records = r.AppendTo(batch.Records)
	}
	batch.Length = int32(len(batch.AppendTo(nil)) - 12)
	out := kmsg.NewFetchResponseTopicPartition()
	out.Partition, out.HighWatermark, out.RecordBatches = partition, 1<<40, batch.AppendTo(nil)
	return &out
}

// again makes a batch one from another offset on, and in another round its events
// others.
func again(batch []byte, from int64, round int) {
	binary.BigEndian.PutUint64(batch, uint64(from))
	for at := 0; round > 0; {
		i := bytes.Index(batch[at:], []byte(`"e-`))
		if i < 0 {
			break
		}
		at += i + 3
		for i, n := 0, round; i < 5; i, n = i+1, n/10 {
			batch[at+i] = byte('0' + n%10)
		}
	}
	binary.BigEndian.PutUint32(batch[17:], crc32.Checksum(batch[21:], crc32.MakeTable(crc32.Castagnoli)))
}
