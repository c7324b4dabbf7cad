// The race detector lets pools forget, and counts what they cost.

//go:build !race

package appliance

import (
	"math"
	"net/http"
	"net/http/httptest"
	"testing"
)

// discard is the cheapest ResponseWriter.
type discard struct{ h http.Header }

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

// TestAllocationsOfAList bounds what a request costs the collector, with a key
// and all rungs, from the router to the last byte.
func TestAllocationsOfAList(t *testing.T) {
	r := run(t, shortDir(t), nil)
	r.post(shopEvents(60, 1500, "shop")...)
	r.trained()
	var key struct{ Key string }
	if code := r.call("POST", "/v1/keys", `{"name":"web","scope":"recommend"}`, &key); code != 201 {
		t.Fatalf("make a key: %d", code)
	}
	h := r.app.server.API()
	for path, most := range map[string]float64{"/v1/recommend?user_id=u1&limit=20": 5, "/recommend?user_id=u1&limit=20": 5} {
		req := httptest.NewRequest("GET", path, nil)
		req.Header.Set("Authorization", "Bearer "+key.Key)
		w := &discard{h: http.Header{}}
		// The appliance's background is counted, too, and has the more time the
		// less of the machine the test gets.
		got := math.Inf(1)
		for try := 0; try < 10 && got > most; try++ {
			got = min(got, testing.AllocsPerRun(500, func() {
				clear(w.h)
				h.ServeHTTP(w, req)
			}))
		}
		if w.h.Get("X-Vitrine-Source") != "live" {
			t.Errorf("%s: %v", path, w.h)
		}
		if got > most {
			t.Errorf("%s: %v allocations, at most %v", path, got, most)
		}
		t.Logf("%s: %v allocations", path, got)
	}
	r.close()
}
