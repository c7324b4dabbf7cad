package ingest

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"vitrine/appliance/bench/load"
	"vitrine/appliance/bench/report"
)

// The bars of an appliance on two cores, the generator beside it.
const (
	barBatches   = 100_000 // events/s
	barSingle    = 20_000  // events/s
	barSingleP99 = 20.0    // ms
)

const (
	// batchEvents are the events of one request.
	batchEvents = 100
	// users and items are those of the events.
	users, items = 100_000, 20_000
)

// Server is an appliance: host:port of its API, and the processor time that it
// has used.
type Server struct {
	Address string
	CPU     func() time.Duration
}

// way is one of sending events.
type way struct {
	name string
	// connections are the clients, each of which waits for its answer.
	connections, events int
	// most is how many events a second are prepared for: more cannot be sent.
	most int
}

// ways are those measured.
func ways() []way {
	return []way{
		{"ingest.http.batch_100", 16, batchEvents, 400_000},
		{"ingest.http.single", 256, 1, 60_000},
	}
}

// HTTP sends events to an appliance as fast as it acknowledges them: an
// acknowledged event is on disk. Every event has an id of its own, so that the
// appliance looks each of them up among those that it has seen.
func (b *Bench) HTTP(ctx context.Context, s Server) error {
	got := report.Samples{}
	for rep := range b.Repetitions {
		for n, w := range ways() {
			b.Progress(w.name, int64(rep), int64(b.Repetitions))
			if err := b.send(ctx, s, w, fmt.Sprintf("%d-%d", rep, n), got); err != nil {
				return err
			}
		}
	}
	for _, w := range ways() {
		rate, p99 := float64(barBatches), 0.0
		if w.events == 1 {
			rate, p99 = barSingle, barSingleP99
		}
		b.figure(got, w.name+".rate", "1/s", report.Higher, rate)
		b.figure(got, w.name+".p50", "ms", report.Lower, 0)
		b.figure(got, w.name+".p99", "ms", report.Lower, p99)
		b.figure(got, w.name+".server_cpu", "us", report.Lower, 0)
		b.figure(got, w.name+".client_cpu", "us", report.Lower, 0)
	}
	return nil
}

// send takes one sample of a way. The run ends before a request is sent twice.
func (b *Bench) send(ctx context.Context, s Server, w way, prefix string, got report.Samples) error {
	n := int(float64(w.most)*(b.Warmup+b.Duration).Seconds()) / w.events
	requests := requests(s.Address, w, n, prefix)
	want := fmt.Appendf(nil, `"accepted":%d,`, w.events)
	used := make(chan struct{})
	done := sync.OnceFunc(func() { close(used) })
	var sent atomic.Int64
	before := s.CPU()
	result, err := load.Run(ctx, load.Options{
		Address: s.Address, Requests: requests, Connections: w.connections, Warmup: b.Warmup, Duration: b.Duration, Until: used,
		Judge: func(a load.Answer) bool {
			// Some are on their way when this is looked at.
			if sent.Add(1) > int64(n-n/8) {
				done()
			}
			return a.Status == http.StatusAccepted && bytes.Contains(a.Body, want)
		},
	})
	if err != nil {
		return err
	}
	if fault := result.Errors(); fault != "" {
		b.Invalid("%s: %s", w.name, fault)
	}
	events := float64(max(result.Total, 1)) * float64(w.events)
	got.Add(w.name+".rate", result.Achieved*float64(w.events))
	got.Add(w.name+".p50", report.Milliseconds(result.Service(0.5)))
	got.Add(w.name+".p99", report.Milliseconds(result.Service(0.99)))
	got.Add(w.name+".server_cpu", float64((s.CPU()-before).Nanoseconds())/1000/events)
	got.Add(w.name+".client_cpu", float64(result.CPU.Nanoseconds())/1000/events)
	return nil
}

// requests are n requests of so many events each.
func requests(address string, w way, n int, prefix string) [][]byte {
	kind := "application/x-ndjson"
	if w.events == 1 {
		kind = "application/json"
	}
	out := make([][]byte, n)
	var body []byte
	now := time.Now().UnixMilli()
	for i := range out {
		body = body[:0]
		for k := range w.events {
			e := i*w.events + k
			body = fmt.Appendf(body, `{"user_id":"user-%07d","item_id":"item-%07d","event_type":"view","ts":%d,"event_id":"%s-%09d","session_id":"s-%08d","scene":"home","position":%d,"price":19.5,"currency":"EUR"}`+"\n",
				e*7919%users, e*104729%items, now, prefix, e, e/5, e%20)
		}
		out[i] = load.Post(address, "/v1/events", kind, body)
	}
	return out
}
