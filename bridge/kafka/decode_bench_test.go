package kafka

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"vitrine/bridge/event"
)

// BenchmarkRecord is decoding, validation and canonical encoding of one record
// of 200 bytes. The bar is 2.5 us of CPU with the client's own 0.4 us; the
// limit is one pass over the bytes at the scanner's 0.3 to 0.5 GB/s, 0.4 to
// 0.7 us.
func BenchmarkRecord(b *testing.B) {
	records := make([]*kgo.Record, 4096)
	for i := range records {
		value := fmt.Sprintf(`{"user_id":"user-%06d","item_id":"item-%05d","event_type":"view","ts":%d,"event_id":"e-%012d","session_id":"s-%08d","scene":"home","position":%d,"price":19.5,"currency":"EUR"}`,
			i*7%100000, i*13%20000, 1760000000000+i, i, i/5, i%20)
		records[i] = &kgo.Record{Topic: "user-events", Partition: 3, Offset: int64(i), Value: []byte(value), Timestamp: time.UnixMilli(1760000000000)}
	}
	s := &session{Source: &Source{opt: Options{Now: time.Now}}}
	name := event.TopicSource("user-events", [16]byte{1})
	into, decode := &batch{}, newJSON()
	var frame event.FrameBuilder
	now := time.Now()
	b.SetBytes(int64(len(records[0].Value)))
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if n%len(records) == 0 {
			_ = frame.Seal()
			frame.Reset()
			into.records = into.records[:0]
		}
		r := records[n%len(records)]
		s.add(into, decode, event.Source{Name: name, Partition: r.Partition, Offset: r.Offset}, r, now)
		frame.Add(&into.records[len(into.records)-1])
		n++
	}
	if into.counts.Rejected > 0 {
		b.Fatal("records were refused")
	}
}
