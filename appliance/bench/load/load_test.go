package load_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vitrine/appliance/bench/load"
)

// requests are n requests for /0, /1, ...
func grade(right bool) load.Grade {
	if right {
		return load.Right
	}
	return load.Wrong
}

func requests(n int) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		out[i] = fmt.Appendf(nil, "GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", i)
	}
	return out
}

// serve starts a server on loopback and returns its address.
func serve(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func run(t testing.TB, opt load.Options) *load.Result {
	t.Helper()
	r, err := load.Run(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// trial is one attempt at a measurement; its faults count only where the
// machine kept time.
type trial struct {
	testing.TB
	faults []string
}

func (f *trial) Errorf(format string, args ...any) {
	f.faults = append(f.faults, fmt.Sprintf(format, args...))
}

// timed makes a measurement whose bounds need a machine with time to spare, up
// to three times. Where a goroutine that only sleeps woke late as well, a fault is
// the machine's.
func timed(t *testing.T, measure func(t testing.TB)) {
	t.Helper()
	var f trial
	for range 3 {
		f = trial{TB: t}
		punctual := sleeper()
		measure(&f)
		if late := punctual(); len(f.faults) > 0 && late > 10*time.Millisecond {
			t.Logf("a sleeper woke %s late; %q", late, f.faults)
			continue
		}
		for _, fault := range f.faults {
			t.Error(fault)
		}
		return
	}
	t.Skip("the machine is too busy to tell")
}

// sleeper sleeps a millisecond again and again; it returns how late it woke at
// the worst.
func sleeper() (stop func() time.Duration) {
	quit, worst := make(chan struct{}), make(chan time.Duration)
	go func() {
		var late time.Duration
		for {
			select {
			case <-quit:
				worst <- late
				return
			default:
			}
			begin := time.Now()
			time.Sleep(time.Millisecond)
			late = max(late, time.Since(begin)-time.Millisecond)
		}
	}()
	return func() time.Duration { close(quit); return <-worst }
}

func TestOpenLoopKeepsTheRateAndMeasuresTheDelay(t *testing.T) {
	t.Parallel()
	timed(t, openLoopKeepsTheRateAndMeasuresTheDelay)
}

func openLoopKeepsTheRateAndMeasuresTheDelay(t testing.TB) {
	const delay = 20 * time.Millisecond
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(delay)
		fmt.Fprint(w, r.URL.Path)
	})
	r := run(t, load.Options{
		Address: address, Requests: requests(7), Rate: 400, Warmup: 100 * time.Millisecond, Duration: time.Second,
		Check: func(n int, body []byte) load.Grade { return grade(string(body) == fmt.Sprintf("/%d", n)) },
	})
	if r.Requests != 400 || r.Answered != 400 || r.Wrong+r.Refused+r.Failed+r.Unsent != 0 {
		t.Errorf("counts: %+v", r)
	}
	if r.Total != 440 {
		t.Errorf("sent %d with the warm-up, want 440", r.Total)
	}
	if r.Achieved < 380 || r.Achieved > 420 {
		t.Errorf("achieved %.1f of 400", r.Achieved)
	}
	if p := r.Response(0.5); p < delay || p > 2*delay {
		t.Errorf("p50 is %s, the server takes %s", p, delay)
	}
	if p := r.Service(0.5); p < delay || p > 2*delay {
		t.Errorf("service p50 is %s, the server takes %s", p, delay)
	}
	if r.CPU <= 0 || r.CPU > time.Second {
		t.Errorf("the generator says it used %s", r.CPU)
	}
}

// A stall must show in the response time of all requests that were due in it,
// though only one of them met it.
func TestStallShowsFromIntendedStart(t *testing.T) {
	t.Parallel()
	timed(t, stallShowsFromIntendedStart)
}

func stallShowsFromIntendedStart(t testing.TB) {
	const stall = 300 * time.Millisecond
	var n atomic.Int64
	address := serve(t, func(http.ResponseWriter, *http.Request) {
		if n.Add(1) == 200 {
			time.Sleep(stall)
		}
	})
	r := run(t, load.Options{Address: address, Requests: requests(1), Rate: 500, Duration: time.Second, Connections: 1})
	if r.Answered != 500 {
		t.Errorf("answered %d of 500", r.Answered)
	}
	if p := r.Response(0.9); p < stall/2 {
		t.Errorf("p90 from the intended start is %s: 30%% of the requests were due in a stall of %s", p, stall)
	}
	if p := r.Service(0.9); p > stall/2 {
		t.Errorf("p90 from sending is %s: only one request met the stall", p)
	}
	if p := r.Lag(0.5); p > 10*time.Millisecond {
		t.Errorf("lag p50 %s: waiting for a connection is the server's, not the generator's", p)
	}
}

// A server that cannot keep up: what was never sent counts, with its wait.
func TestBacklogIsReported(t *testing.T) {
	t.Parallel()
	timed(t, backlogIsReported)
}

func backlogIsReported(t testing.TB) {
	address := serve(t, func(http.ResponseWriter, *http.Request) { time.Sleep(20 * time.Millisecond) })
	r := run(t, load.Options{Address: address, Requests: requests(1), Rate: 1000, Duration: 500 * time.Millisecond, Connections: 2})
	if r.Requests != 500 || r.Unsent < 200 || r.Answered+r.Unsent != 500 {
		t.Errorf("of 500 due: %d requests, %d answered, %d unsent", r.Requests, r.Answered, r.Unsent)
	}
	if r.Short() == "" {
		t.Errorf("100 answers/s of 1000 offered are not called short: %.0f", r.Achieved)
	}
	if p := r.Response(0.99); p < 550*time.Millisecond {
		t.Errorf("p99 is %s with most requests waiting to the end", p)
	}
}

// The generator's own lateness is not the server's; waiting for a connection is.
func TestLessLag(t *testing.T) {
	t.Parallel()
	timed(t, lessLag)
}

func lessLag(t testing.TB) {
	var late atomic.Int64
	address := serve(t, func(http.ResponseWriter, *http.Request) {})
	r := run(t, load.Options{
		Address: address, Requests: requests(1), Rate: 500, Duration: time.Second, Workers: 1,
		// The check runs on the generator's thread and holds it up.
		Check: func(int, []byte) load.Grade {
			if late.Add(1)%100 == 0 {
				time.Sleep(100 * time.Millisecond)
			}
			return load.Right
		},
	})
	if p := r.Response(0.8); p < 20*time.Millisecond {
		t.Errorf("p80 %s: half of the requests were due while the generator slept", p)
	}
	if p := r.LessLag(0.8); p > 20*time.Millisecond {
		t.Errorf("p80 less lag is %s, the server answers at once", p)
	}
	stalled := run(t, load.Options{Address: serve(t, func(http.ResponseWriter, *http.Request) {
		time.Sleep(20 * time.Millisecond)
	}), Requests: requests(1), Rate: 1000, Duration: 500 * time.Millisecond, Connections: 2})
	if p := stalled.LessLag(0.5); p < 100*time.Millisecond {
		t.Errorf("p50 less lag is %s, though requests wait for connections", p)
	}
}

// Until ends a run early, and the rate is that of the time until then.
func TestUntil(t *testing.T) {
	t.Parallel()
	timed(t, until)
}

func until(t testing.TB) {
	until := make(chan struct{})
	time.AfterFunc(300*time.Millisecond, func() { close(until) })
	begin := time.Now()
	r := run(t, load.Options{Address: serve(t, func(http.ResponseWriter, *http.Request) {}), Requests: requests(1), Rate: 200, Duration: time.Minute, Until: until})
	if took := time.Since(begin); took > 10*time.Second || r.Unsent+r.Failed != 0 || r.Answered == 0 || r.Achieved < 100 || r.Achieved > 220 {
		t.Errorf("%s, %+v", took, r)
	}
}

func TestClosedLoopSaturates(t *testing.T) {
	t.Parallel()
	timed(t, closedLoopSaturates)
}

func closedLoopSaturates(t testing.TB) {
	const delay = 5 * time.Millisecond
	address := serve(t, func(http.ResponseWriter, *http.Request) { time.Sleep(delay) })
	r := run(t, load.Options{Address: address, Requests: requests(3), Duration: 500 * time.Millisecond, Connections: 8, Workers: 2})
	// 8 connections of at most 200 a second each.
	if r.Achieved < 600 || r.Achieved > 1600 {
		t.Errorf("achieved %.0f/s, want up to 1600", r.Achieved)
	}
	if invalid := r.Errors() + r.Short() + r.Late(); invalid != "" {
		t.Errorf("invalid: %v", invalid)
	}
}

func TestWrongAnswersInvalidate(t *testing.T) {
	var n atomic.Int64
	flush := func(w http.ResponseWriter) { w.(http.Flusher).Flush() }
	cases := []struct {
		name    string
		handler http.HandlerFunc
		count   func(*load.Result) int64
		want    string
	}{
		{"body", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "no") }, func(r *load.Result) int64 { return r.Wrong }, "wrong answer"},
		{"status", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, func(r *load.Result) int64 { return r.Refused }, "status 503"},
		{"cut", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, func(r *load.Result) int64 { return r.Failed }, "closed"},
		{"slow", func(http.ResponseWriter, *http.Request) { time.Sleep(300 * time.Millisecond) }, func(r *load.Result) int64 { return r.Failed }, "no answer within"},
		{"chunks, one in 20 wrong", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "ye")
			flush(w)
			if n.Add(1)%20 != 0 {
				fmt.Fprint(w, "s")
			}
		}, func(r *load.Result) int64 { return r.Wrong }, "wrong answer"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			timed(t, func(t testing.TB) {
				r := run(t, load.Options{
					Address: serve(t, c.handler), Requests: requests(1), Rate: 200, Duration: 300 * time.Millisecond,
					Connections: 16, Timeout: 150 * time.Millisecond, Check: func(_ int, body []byte) load.Grade { return grade(string(body) == "yes") },
				})
				if c.count(r) == 0 || !strings.Contains(r.Errors(), c.want) {
					t.Errorf("%+v: invalid %q", r, r.Errors())
				}
			})
		})
	}
}

func TestClosingServerIsNoFault(t *testing.T) {
	t.Parallel()
	timed(t, closingServerIsNoFault)
}

func closingServerIsNoFault(t testing.TB) {
	address := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		fmt.Fprint(w, "bye")
	})
	r := run(t, load.Options{Address: address, Requests: requests(1), Rate: 200, Duration: 300 * time.Millisecond})
	if r.Answered != 60 || r.Errors() != "" {
		t.Errorf("answered %d of 60: %s", r.Answered, r.Errors())
	}
}

func TestRefusesWhatItMustNotLoad(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := listener.Addr().String()
	listener.Close()
	cases := []struct {
		name string
		opt  load.Options
		want string
	}{
		{"another machine", load.Options{Address: "192.0.2.1:80", Requests: requests(1)}, "loopback"},
		{"a name", load.Options{Address: "localhost:80", Requests: requests(1)}, "IP and a port"},
		{"nobody listens", load.Options{Address: closed, Requests: requests(1)}, "connect"},
		{"no requests", load.Options{Address: closed}, "no requests"},
		{"rate", load.Options{Address: closed, Requests: requests(1), Rate: 1e9}, "rate"},
		{"duration", load.Options{Address: closed, Requests: requests(1), Duration: time.Hour}, "warm-up"},
		{"connections", load.Options{Address: closed, Requests: requests(1), Connections: 1 << 20}, "connections"},
	}
	for _, c := range cases {
		if _, err := load.Run(t.Context(), c.opt); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestStopsWithItsContext(t *testing.T) {
	t.Parallel()
	address := serve(t, func(http.ResponseWriter, *http.Request) {})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := load.Run(ctx, load.Options{Address: address, Requests: requests(1), Rate: 10, Duration: 10 * time.Minute}); err != context.DeadlineExceeded { //nolint:errorlint // returned as it is
		t.Errorf("got %v", err)
	}
}

// Connections that cannot be had close nothing else: standard input is file 0.
func TestNoConnectionClosesNothing(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := listener.Addr().String()
	listener.Close()
	before, err := os.Stdin.Stat()
	if err != nil {
		t.Skip("there is no standard input: ", err)
	}
	if _, err := load.Run(t.Context(), load.Options{Address: closed, Requests: requests(1), Connections: 8}); err == nil {
		t.Error("connections to nobody")
	}
	if after, err := os.Stdin.Stat(); err != nil || !os.SameFile(before, after) {
		t.Errorf("standard input afterwards: %v, %v", after, err)
	}
}

func TestServerThatGoesAwayIsAnError(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	time.AfterFunc(100*time.Millisecond, func() {
		s.CloseClientConnections()
		s.Close()
	})
	if _, err := load.Run(t.Context(), load.Options{Address: s.Listener.Addr().String(), Requests: requests(1), Rate: 500, Duration: 2 * time.Minute}); err == nil {
		t.Error("no error though nobody listens any more")
	}
}

// A judge sees what a check never does: other statuses, and how long it took.
func TestJudge(t *testing.T) {
	t.Parallel()
	timed(t, judge)
}

func judge(t testing.TB) {
	const delay = 5 * time.Millisecond
	var n, refused, quick atomic.Int64
	address := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(delay)
		switch n.Add(1) % 4 {
		case 0:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 1:
			w.WriteHeader(http.StatusInternalServerError)
		}
		fmt.Fprint(w, "text")
	})
	r := run(t, load.Options{
		Address: address, Connections: 16, Requests: requests(3), Rate: 400, Duration: 500 * time.Millisecond,
		Judge: func(a load.Answer) bool {
			if a.Counts && a.Status == http.StatusServiceUnavailable {
				refused.Add(1)
			}
			if a.Response < delay || string(a.Body) != "text" {
				quick.Add(1)
			}
			return a.Status != http.StatusInternalServerError
		},
	})
	if r.Wrong != 50 || r.Answered != 150 || r.Refused != 0 || refused.Load() != 50 || quick.Load() != 0 {
		t.Errorf("%+v, %d refused, %d too quick", r, refused.Load(), quick.Load())
	}
}

// A run in which nothing came in time has measured nothing, and says so.
func TestNothingInTime(t *testing.T) {
	for want, r := range map[string]load.Result{
		"no answer came in time": {Requests: 3, Answered: 3},
		"":                       {Requests: 3, Lesser: 3},
		"of 3 requests 0 got a wrong answer, 3 were refused, 0 failed: status 503": {Requests: 3, Refused: 3, FirstFault: "status 503"},
	} {
		if got := r.Errors(); got != want {
			t.Errorf("%+v: %q, want %q", r, got, want)
		}
	}
}
