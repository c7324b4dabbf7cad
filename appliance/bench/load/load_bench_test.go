package load_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"vitrine/appliance/bench/load"
)

// Limit: a request is two system calls of about 3 us on loopback (write, read)
// and a share of one wait; wrk, in C, takes 8 to 12 us.
func BenchmarkGenerator(b *testing.B) {
	address := serve(b, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") })
	for b.Loop() {
		r := run(b, load.Options{Address: address, Requests: requests(1), Duration: time.Second})
		b.ReportMetric(float64(r.CPU.Microseconds())/float64(r.Total), "cpu-us/request")
		b.ReportMetric(r.Achieved, "requests/s")
		r = run(b, load.Options{Address: address, Requests: requests(1), Rate: 5000, Duration: time.Second})
		b.ReportMetric(float64(r.Lag(0.99).Microseconds()), "lag-p99-us")
		b.ReportMetric(float64(r.Response(0.99).Microseconds()), "p99-us")
	}
}
