package kept

import (
	"testing"

	"vitrine/appliance/httpapi"
)

// BenchmarkKept: the limit is a hash of the id and copying 20 picks, 480
// bytes, under a lock: about 100 ns.
func BenchmarkKept(b *testing.B) {
	k := New()
	q := &httpapi.Query{UserID: "user-1234", Limit: 20}
	list := &httpapi.List{Picks: make([]httpapi.Pick, 20)}
	b.ReportAllocs()
	for b.Loop() {
		k.Put(q, list)
	}
}
