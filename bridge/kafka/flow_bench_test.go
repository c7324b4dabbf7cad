package kafka

import (
	"bytes"
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"vitrine/bridge"
	"vitrine/bridge/event"
	"vitrine/bridge/jetstream"
)

// BenchmarkFlow is the way of records of 200 bytes from the client's hands into
// the durable log, all stages at work: decoding, validation, deduplication, the
// frame, and the log's fsync. cpu/record is the process's own processor time;
// the bar, 2.5 us, includes the client's 0.3 us.
func BenchmarkFlow(b *testing.B) {
	const partitions, distinct = 8, 1 << 17
	fetches := make([]kgo.Fetches, 0, distinct/batchRecords)
	for from := 0; from < distinct; from += batchRecords {
		topic := kgo.FetchTopic{Topic: "user-events"}
		for p := range partitions {
			part := kgo.FetchPartition{Partition: int32(p)}
			for i := range batchRecords / partitions {
				n := from + p*batchRecords/partitions + i
				part.Records = append(part.Records, &kgo.Record{Topic: "user-events", Partition: int32(p), Value: shopRecord(n).Value, Timestamp: time.UnixMilli(1760000000000)})
			}
			topic.Partitions = append(topic.Partitions, part)
		}
		fetches = append(fetches, kgo.Fetches{{Topics: []kgo.FetchTopic{topic}}})
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
	src, err := New(Options{Brokers: []string{"x:1"}, Topic: "user-events", Into: pump})
	if err != nil {
		b.Fatal(err)
	}
	s := &session{Source: src, names: map[string]string{"user-events": event.TopicSource("user-events", [16]byte{1})}, commits: offsets{}}
	f := newFlow(s)
	drain := f.begin(ctx)
	defer f.end()
	cpu := func() float64 {
		var u syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
		return float64(u.Utime.Nano() + u.Stime.Nano())
	}
	b.ReportAllocs()
	b.ResetTimer()
	before, next := cpu(), int64(0)
	for n := 0; n < b.N; n += batchRecords {
		batch := <-f.free
		got := fetches[n/batchRecords%len(fetches)]
		got.EachPartition(func(p kgo.FetchTopicPartition) {
			for i, r := range p.Records {
				r.Offset = next + int64(i)
			}
		})
		next += batchRecords / partitions
		if n >= distinct { // an id that came before is a duplicate, which costs less
			for _, r := range got.Records() {
				renew(r.Value, n/distinct)
			}
		}
		f.rest = f.rest[:0]
		got.EachPartition(func(p kgo.FetchTopicPartition) { f.rest = append(f.rest, p) })
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

// renew makes the event_id of a record another one.
func renew(value []byte, round int) {
	at := bytes.Index(value, []byte(`"e-`)) + 3
	for i := range 5 {
		value[at+i] = byte('0' + round%10)
		round /= 10
	}
}
