// Package load sends HTTP requests at a given rate, or as fast as they are
// answered, and measures how long the answers take.
//
// It owns the load generator: its connections, its pacing, its reading of
// answers and its own check that it was on time. It imports nothing of this
// module and must not know what is being asked; requests come in as bytes. It
// speaks to loopback addresses only, and every run is bounded in time, rate
// and connections, so that it is a measuring instrument and no weapon.
//
// # Open loop
//
// With a rate, requests are due at fixed times, in bursts of one millisecond,
// whatever the answers do, and the response time counts from the moment a
// request was due. A server that stalls for 100 ms therefore shows 100 ms for
// every request that was due meanwhile, where a generator that waits for its
// answers would count one slow request (coordinated omission). A request that
// is due while every connection waits for an answer waits as well, and that
// wait counts.
//
//	result, err := load.Run(ctx, load.Options{Address: "127.0.0.1:8080", Requests: requests, Rate: 5000})
package load

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Defaults and bounds of Options.
const (
	DefaultDuration    = 3 * time.Second
	DefaultConnections = 64
	DefaultTimeout     = 10 * time.Second

	maxDuration    = 10 * time.Minute
	maxConnections = 4096
	maxRate        = 1e6
	maxTimeout     = time.Minute
	// coresPerWorker: one worker asks 80k times a second, more than four cores
	// answer.
	coresPerWorker = 4
)

// burst is the pacing: what is due within one is sent together at its start.
// Sleeping more finely than this costs the generator more CPU than it is worth.
const burst = time.Millisecond

// The bounds of a run that can be believed.
const (
	// maxLag is how much of the response time's 99th percentile the
	// generator's own may be.
	maxLag = 0.10
	// lagFloor is what the kernel's timers and a scheduler's turn cost at
	// least: a generator this punctual is never called late.
	lagFloor = 250 * time.Microsecond
	// minAchieved is how much of the offered rate must be answered.
	minAchieved = 0.99
)

// Histogram range: 3 digits from 1 us to 60 s.
const (
	histogramUnit   = int64(time.Microsecond)
	histogramMax    = int64(time.Minute)
	histogramDigits = 3
)

// Grade is what a Check thinks of an answer with status 200.
type Grade int

// The grades.
const (
	// Wrong is none of the answers that are right.
	Wrong Grade = iota
	// Lesser is what a server under load may give in place of the right one.
	Lesser
	// Right is what was asked for.
	Right
)

// Options say what to send. Zero values mean the defaults above.
type Options struct {
	// Address is host:port on loopback.
	Address string
	// Requests are complete HTTP/1.1 requests, sent in turn, over and over.
	Requests [][]byte
	// Check, when set, grades the answer with status 200 to a request; without
	// it all are Right. It is called from several goroutines and must not keep
	// body.
	Check func(request int, body []byte) Grade
	// Judge, when set, takes the place of Check and of the wish for status 200:
	// it is told every answer and says whether it is a right one. It is called
	// from several goroutines.
	Judge func(Answer) bool
	// Rate is how many requests are due per second; 0 sends the next request
	// of a connection as soon as the last one is answered.
	Rate float64
	// Warmup is how long requests are sent before they count.
	Warmup time.Duration
	// Duration is how long they count.
	Duration time.Duration
	// Until, when set, ends the run once it is closed, before Duration is over.
	Until <-chan struct{}
	// Connections are kept open and carry one request at a time each.
	Connections int
	// Workers are threads with their own share of rate and connections; 0
	// takes one for every four cores.
	Workers int
	// Timeout is how long an answer may take before it counts as failed.
	Timeout time.Duration
}

// Post is a complete request that sends a body.
func Post(address, path, kind string, body []byte) []byte {
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", path, address, kind, len(body), body)
}

// Answer is what Options.Judge is told.
type Answer struct {
	Request, Status int
	// Body must not be kept.
	Body []byte
	// Response is the time since the request was due.
	Response time.Duration
	// Counts is false for requests of the warm-up.
	Counts bool
}

func (o *Options) complete() (netip.AddrPort, error) {
	address, err := netip.ParseAddrPort(o.Address)
	if err != nil {
		return address, fmt.Errorf("load %s: the address must be an IP and a port: %w", o.Address, err)
	}
	if !address.Addr().IsLoopback() {
		return address, fmt.Errorf("load %s: only loopback addresses may be loaded", o.Address)
	}
	if o.Duration == 0 {
		o.Duration = DefaultDuration
	}
	if o.Connections == 0 {
		o.Connections = DefaultConnections
	}
	if o.Workers == 0 {
		o.Workers = max(1, runtime.NumCPU()/coresPerWorker)
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	o.Workers = min(o.Workers, o.Connections)
	switch {
	case len(o.Requests) == 0:
		return address, fmt.Errorf("load %s: there are no requests", o.Address)
	case o.Rate < 0 || o.Rate > maxRate:
		return address, fmt.Errorf("load %s: rate %g is not within 0..%g", o.Address, o.Rate, maxRate)
	case o.Duration < 0 || o.Warmup < 0 || o.Duration+o.Warmup > maxDuration:
		return address, fmt.Errorf("load %s: %s and %s of warm-up are not within 0..%s", o.Address, o.Duration, o.Warmup, maxDuration)
	case o.Connections < 1 || o.Connections > maxConnections || o.Workers < 1:
		return address, fmt.Errorf("load %s: %d connections on %d workers, at most %d", o.Address, o.Connections, o.Workers, maxConnections)
	case o.Timeout < 0 || o.Timeout > maxTimeout:
		return address, fmt.Errorf("load %s: timeout %s is not within 0..%s", o.Address, o.Timeout, maxTimeout)
	}
	return address, nil
}

// Result is what a run measured. Counts are of the requests due (in an open
// loop) or sent (in a closed one) after the warm-up.
type Result struct {
	// Offered is the rate that was asked for, 0 in a closed loop.
	Offered float64
	// Achieved is how many right answers per second came within Duration.
	Achieved float64
	// Requests is how many were due or sent.
	Requests int64
	// Answered got the right answer.
	Answered int64
	// Wrong and Lesser got status 200 and a body that Check graded so. A lesser
	// answer is no error, and not among those Answered or Achieved.
	Wrong, Lesser int64
	// Refused got another status.
	Refused int64
	// Failed got no answer: the connection broke, it took longer than Timeout,
	// or what came was no HTTP.
	Failed int64
	// Unsent were due, but no connection was free for them until the end.
	Unsent int64
	// FirstFault describes the first answer that was not right.
	FirstFault string
	// CPU is the time that the generator itself used, warm-up included, and
	// Total how many requests it sent in it.
	CPU   time.Duration
	Total int64

	response, service, lag, lessLag *hdrhistogram.Histogram
}

// Response is a quantile (0..1) of the time from the moment a request was due
// to the end of its answer. Requests without an answer count with the time
// they had waited.
func (r *Result) Response(q float64) time.Duration { return quantile(r.response, q) }

// Service is a quantile of the time from sending to the end of the answer:
// what a generator would report that does not count waiting.
func (r *Result) Service(q float64) time.Duration { return quantile(r.service, q) }

// Lag is a quantile of how late the generator itself sent requests for which
// a connection was free.
func (r *Result) Lag(q float64) time.Duration { return quantile(r.lag, q) }

// LessLag is a quantile of the response time without the generator's own
// lateness, request by request: what the server would have shown a punctual
// generator, or more, as lateness bunches requests.
func (r *Result) LessLag(q float64) time.Duration { return quantile(r.lessLag, q) }

func quantile(h *hdrhistogram.Histogram, q float64) time.Duration {
	return time.Duration(h.ValueAtQuantile(q * 100))
}

// Late says in a sentence that the generator was not punctual enough for the
// times it reports, "" when it was.
func (r *Result) Late() string {
	lag, response := r.Lag(0.99), r.Response(0.99)
	if lag <= lagFloor || float64(lag) <= maxLag*float64(response) {
		return ""
	}
	return fmt.Sprintf("the load generator was late: p99 %s of a response p99 of %s", lag.Round(time.Microsecond), response.Round(time.Microsecond))
}

// Short says that less was answered than offered, "" when all was.
func (r *Result) Short() string {
	if r.Offered == 0 || r.Achieved >= minAchieved*r.Offered {
		return ""
	}
	return fmt.Sprintf("%.0f answers/s of %.0f offered", r.Achieved, r.Offered)
}

// RightShare is how much of what was answered rightly or with less was right, 0
// to 1; what got no answer is no part of it.
func (r *Result) RightShare() float64 {
	if r.Lesser == 0 {
		return 1
	}
	return float64(r.Answered) / float64(r.Answered+r.Lesser)
}

// Full says whether so few answers were lesser ones that a quantile of the
// times is one of what was asked for.
func (r *Result) Full() bool { return r.RightShare() >= minAchieved }

// Errors says how many requests got no right answer, "" when all did. A run in
// whose time none came, as on a machine that stood still, has measured nothing.
func (r *Result) Errors() string {
	switch {
	case r.Wrong+r.Refused+r.Failed > 0:
		return fmt.Sprintf("of %d requests %d got a wrong answer, %d were refused, %d failed: %s", r.Requests, r.Wrong, r.Refused, r.Failed, r.FirstFault)
	case r.Achieved == 0 && r.Lesser == 0:
		return "no answer came in time"
	}
	return ""
}

// Run sends the load. It fails when no connection can be had or ctx ends;
// what goes wrong later is in the Result.
func Run(ctx context.Context, opt Options) (*Result, error) {
	address, err := opt.complete()
	if err != nil {
		return nil, err
	}
	workers := make([]*worker, opt.Workers)
	for i := range workers {
		if workers[i], err = newWorker(&opt, address, i); err != nil {
			for _, w := range workers[:i] {
				w.close()
			}
			return nil, fmt.Errorf("load %s: %w", opt.Address, err)
		}
	}
	failures := make(chan error, len(workers))
	start := time.Now().Add(2 * burst)
	for _, w := range workers {
		go func() {
			err := w.run(ctx, start)
			// Before Run returns: the next run may need as many descriptors.
			w.close()
			failures <- err
		}()
	}
	for range workers {
		if e := <-failures; e != nil && err == nil {
			err = e
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", opt.Address, err)
	}
	result := newResult(opt.Rate)
	for _, w := range workers {
		result.merge(w.result)
	}
	return result, nil
}
