package file

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// BenchmarkNDJSON reads events in the form of the HTTP API, each with its own
// event_id. The floor is json.Valid over the line, about 0.5 us.
func BenchmarkNDJSON(b *testing.B) {
	const rows = 50_000
	var text strings.Builder
	for i := range rows {
		fmt.Fprintf(&text, `{"user_id":"u%d","item_id":"i%d","event_type":"view","ts":"2026-11-22T10:00:%02dZ","event_id":"e-%d","session_id":"s-%d"}`+"\n",
			i%5000, i%2000, i%60, i, i/20)
	}
	b.SetBytes(int64(text.Len()))
	for b.Loop() {
		if _, err := Read(context.Background(), strings.NewReader(text.String()), Spec{Name: "x.ndjson"}, discard{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "rows/s")
}
