package flow

import (
	"fmt"
	"testing"
	"time"

	"vitrine/bridge"
	"vitrine/bridge/event"
	"vitrine/bridge/event/frames"
	"vitrine/bridge/kafka/fetch"
	"vitrine/bridge/kafka/values"
)

// shopRecord is the n-th record of a shop's topic, 200 bytes of JSON.
func shopRecord(n int) *fetch.Record {
	return &fetch.Record{
		Time: 1760000000000,
		Value: fmt.Appendf(nil,
			`{"user_id":"user-%06d","item_id":"item-%05d","event_type":"view","ts":%d,"event_id":"e-%012d","session_id":"s-%08d","scene":"home","position":%d,"price":19.5,"currency":"EUR"}`,
			n*7%100_000, n*13%20_000, 1760000000000+n, n, n/5, n%20),
	}
}

// BenchmarkRecord is decoding, validation and canonical encoding of one record
// of 200 bytes. The bar is 2.5 us of CPU with the client's own 0.4 us; the
// limit is one pass over the bytes at the scanner's 0.3 to 0.5 GB/s, 0.4 to
// 0.7 us.
func BenchmarkRecord(b *testing.B) {
	records := make([]*fetch.Record, 4096)
	for i := range records {
		records[i] = shopRecord(i)
		records[i].Offset = int64(i)
	}
	readers, err := values.NewReaders(values.Topics{Topic: "user-events"}, 1)
	if err != nil {
		b.Fatal(err)
	}
	from := &origin{"user-events", event.TopicSource("user-events", [16]byte{1}), 3, 0, readers[0].Of("user-events")}
	var frame frames.Builder
	into := &batch{ready: bridge.New(nil, nil, bridge.Options{}).Batch(), frame: &frame}
	now := time.Now()
	b.SetBytes(int64(len(records[0].Value)))
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if n%len(records) == 0 {
			into.ready.Seal(&frame)
			into.ready.Reset()
			into.records = into.records[:0]
		}
		r := records[n%len(records)]
		into.add(from, r, now)
		n++
	}
	if into.counts.Rejected > 0 {
		b.Fatal("records were refused")
	}
}
