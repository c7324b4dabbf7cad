package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vitrine/appliance/bench/machine"
	"vitrine/appliance/bench/process"
	"vitrine/appliance/bench/report"
	"vitrine/appliance/config"
)

// childKind makes the test binary its own child process.
const childKind = "VITRINE_BENCH_CHILD"

func TestMain(m *testing.M) {
	if kind, ok := os.LookupEnv(childKind); ok {
		if err := testChild(context.Background(), kind, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func child(kind string) []string { return []string{"/usr/bin/env", childKind + "=" + kind, os.Args[0]} }

// fake is a server that answers like an appliance, as far as the benchmark
// asks, but for what list does.
func fake(t testing.TB, list http.HandlerFunc) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/popular", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"request_id":"bench","items":[{"item_id":"i1","score":1,"rank":1}],"source":"popular"}`)
	})
	mux.HandleFunc("GET /v1/recommend", list)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

const goodList = `{"request_id":"bench","items":[{"item_id":"i1","score":1,"rank":1}],"source":"live","reason":"","model":null}`

// quick is a run whose measurements take milliseconds.
func quick(target string) *run {
	r := newRun(Options{Target: target, ChildCommand: child, Version: "test"})
	const short = 80 * time.Millisecond
	r.rhythm = rhythm{warmup: 10 * time.Millisecond, saturation: short, open: 2 * short, step: short}
	r.repetitions = 1
	return r
}

// trial is one attempt at a measurement.
type trial struct {
	testing.TB
	faults []string
}

func (f *trial) Errorf(format string, args ...any) {
	f.faults = append(f.faults, fmt.Sprintf(format, args...))
}

// timed makes a measurement that needs a machine with time to spare, up to five
// times. Where other programs had a tenth of a processor and more all the time,
// its faults are theirs.
func timed(t *testing.T, measure func(t testing.TB)) {
	t.Helper()
	var f trial
	busy := true
	for range 5 {
		f = trial{TB: t}
		watch := machine.StartWatch()
		measure(&f)
		if len(f.faults) == 0 {
			return
		}
		busy = busy && watch.Stolen() > 10
	}
	if busy {
		t.Skipf("the machine is too busy to tell: %q", f.faults)
	}
	t.Errorf("%q", f.faults)
}

func TestServeMeasuresATarget(t *testing.T) { timed(t, serveMeasuresATarget) }

func serveMeasuresATarget(t testing.TB) {
	r := quick(fake(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, goodList) }))
	part, err := r.serve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.report.Parts[Serve] = *part
	if len(r.report.Invalid) > 0 {
		t.Errorf("invalid: %q", r.report.Invalid)
	}
	for _, name := range []string{"serve.hello.saturation", "serve.target.saturation", "serve.target.p99", "serve.target.sustained_100ms", "serve.target.client_cpu"} {
		if f, ok := r.report.Find(name); !ok || f.Value <= 0 || f.Spread[0] > f.Value || f.Spread[1] < f.Value {
			t.Errorf("%s: %+v", name, f)
		}
	}
	if part.Reference.Value <= 0 {
		t.Errorf("reference %+v", part.Reference)
	}
	var targets []string
	for _, v := range r.report.Verdict {
		targets = append(targets, v.Target)
		if v.Measured <= 0 || v.How == "" {
			t.Errorf("verdict %+v", v)
		}
	}
	if !slices.Equal(targets, []string{"latency", "qps"}) {
		t.Errorf("verdict on %v", targets)
	}
}

func TestServeCallsASlowTargetSlow(t *testing.T) { timed(t, serveCallsASlowTargetSlow) }

func serveCallsASlowTargetSlow(t testing.TB) {
	r := quick(fake(t, func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(30 * time.Millisecond) // 64 connections: 2,133/s
		fmt.Fprint(w, goodList)
	}))
	if _, err := r.serve(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, v := range r.report.Verdict {
		if v.Met {
			t.Errorf("met: %+v", v)
		}
	}
	if len(r.report.Invalid) > 0 {
		t.Errorf("invalid: %q", r.report.Invalid)
	}
	if !strings.Contains(strings.Join(r.report.Warnings, " "), "does not keep up") {
		t.Errorf("warnings %q", r.report.Warnings)
	}
}

// A verdict is invalid only where the generator's lateness can have changed it.
func TestDoubt(t *testing.T) {
	for name, c := range map[string]struct {
		p99, lessLag, sustained, sustainedLessLag float64
		valid                                     bool
	}{
		"met in spite of lag":    {90, 10, 6000, 6000, true},
		"late by lag alone":      {150, 90, 6000, 6000, false},
		"slow all the same":      {300, 250, 6000, 6000, true},
		"rate missed by lag":     {90, 10, 4000, 5000, false},
		"rate missed by far":     {90, 10, 3000, 4000, true},
		"all well without a lag": {5, 5, 9000, 9000, true},
	} {
		r, got := newRun(Options{}), report.Samples{}
		for what, v := range map[string]float64{"p99": c.p99, "p99_less_lag": c.lessLag, "sustained_100ms": c.sustained, "sustained_less_lag": c.sustainedLessLag} {
			got["serve.target."+what] = []float64{v}
		}
		r.serveVerdict(&subject{name: "target"}, got)
		if r.report.Valid != c.valid {
			t.Errorf("%s: valid %v, %q", name, r.report.Valid, r.report.Invalid)
		}
		met := r.report.Verdict[0].Met && r.report.Verdict[1].Met
		if want := c.p99 <= wantLatency && c.sustained >= wantRate; met != want {
			t.Errorf("%s: met %v", name, met)
		}
	}
}

func TestServeInvalidatesWrongAnswers(t *testing.T) { timed(t, serveInvalidatesWrongAnswers) }

func serveInvalidatesWrongAnswers(t testing.TB) {
	var n atomic.Int64
	r := quick(fake(t, func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1)%100 == 0 {
			fmt.Fprint(w, `{"request_id":"bench","items":[]}`)
			return
		}
		fmt.Fprint(w, goodList)
	}))
	if _, err := r.serve(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.report.Valid || r.report.ExitCode() != report.ExitInvalid || !strings.Contains(strings.Join(r.report.Invalid, " "), "wrong answer") {
		t.Errorf("valid %v, %q", r.report.Valid, r.report.Invalid)
	}
}

// Lists that are not live are told apart: with too many of them the target is
// missed, however quick they are, and the run is no less valid.
func TestServeTellsLesserAnswersApart(t *testing.T) { timed(t, serveTellsLesserAnswersApart) }

func serveTellsLesserAnswersApart(t testing.TB) {
	var n atomic.Int64
	r := quick(fake(t, func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1)%10 == 0 {
			fmt.Fprint(w, `{"request_id":"bench","items":[{"item_id":"p1"}],"source":"popular","reason":"overload"}`)
			return
		}
		fmt.Fprint(w, goodList)
	}))
	part, err := r.serve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.report.Parts[Serve] = *part
	if live, _ := r.report.Find("serve.target.live"); live.Value < 88 || live.Value > 92 || live.Met == nil || *live.Met {
		t.Errorf("live share %+v", live)
	}
	if v := r.report.Verdict[0]; v.Met || !strings.Contains(v.How, "were live") || !r.report.Valid {
		t.Errorf("verdict %+v, invalid %q", v, r.report.Invalid)
	}
	if v := r.report.Verdict[1]; v.Met || v.Measured != 0 {
		t.Errorf("verdict %+v", v)
	}
}

// TestServeSendsAKey to a target that wants one.
func TestServeSendsAKey(t *testing.T) {
	r := quick(fake(t, func(w http.ResponseWriter, q *http.Request) {
		if q.Header.Get("Authorization") != "Bearer vk_1" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, goodList)
	}))
	if _, err := r.serve(t.Context()); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("without a key: %v", err)
	}
	s, err := running(t.Context(), r.opt.Target, "vk_1")
	if err != nil {
		t.Fatal(err)
	}
	result, err := r.load(t.Context(), s, 100, 200*time.Millisecond)
	if err != nil || result.Answered == 0 || result.Errors() != "" {
		t.Errorf("%+v %v", result, err)
	}
}

func TestServeRefusesTargets(t *testing.T) {
	t.Parallel()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }))
	t.Cleanup(page.Close)
	for target, want := range map[string]string{
		"http://127.0.0.1:1":          "reach the target 127.0.0.1:1: dial tcp",
		"http://localhost":            "reach the target 127.0.0.1:80",
		"http://":                     "must look like",
		"http://example.com":          "on this machine",
		"http://192.0.2.7:8080":       "on this machine",
		"ftp://127.0.0.1:1":           "must look like",
		page.URL:                      "is it a vitrine",
		page.URL + "/v1":              "must look like",
		"http://127.0.0.1:1 --config": "must look like",
	} {
		_, err := Run(t.Context(), Options{Parts: []string{Serve}, Target: target, ChildCommand: child})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", target, err, want)
		}
	}
}

func TestRunRefusesUnknownParts(t *testing.T) {
	if _, err := Run(t.Context(), Options{Parts: []string{"serv"}}); err == nil || !strings.Contains(err.Error(), `"serv"`) {
		t.Error(err)
	}
	for _, part := range []string{Serve, Train, Plugins, Peers} {
		if _, err := Run(t.Context(), Options{Parts: []string{part}}); !errors.Is(err, ErrPart) {
			t.Errorf("%s without commands: %v", part, err)
		}
	}
}

func TestServerThatDoesNotStart(t *testing.T) {
	t.Parallel()
	_, _, err := process.StartServer(t.Context(), []string{"/bin/sh", "-c", "echo the port is taken >&2; exit 3"}, nil)
	if err == nil || !strings.Contains(err.Error(), "the port is taken") || !strings.Contains(err.Error(), "exit status 3") {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := process.StartServer(ctx, []string{"/bin/sh", "-c", "read x"}, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestFingerprint(t *testing.T) {
	f := machine.Fingerprint("v1")
	if f.Cores < 1 || f.Kernel == "" || f.Go == "" || f.CPU == "" || f.MemoryMiB < 100 {
		t.Errorf("%+v", f)
	}
	a, errA := machine.ConfigHash(os.DevNull, nil)
	b, errB := machine.ConfigHash(os.DevNull, []string{"train.rank=32"})
	if errA != nil || errB != nil || a == b || len(a) != 64 {
		t.Errorf("config hashes %s, %s, %v, %v", a, b, errA, errB)
	}
	if _, err := machine.ConfigHash(os.DevNull, []string{"train.rang=32"}); err == nil {
		t.Error("an unknown key is not refused")
	}
	if used, rss := process.Used(os.Getpid()); used < 0 || rss < 1 {
		t.Errorf("this process used %s and has %.0f MiB", used, rss)
	}
	w := machine.StartWatch()
	time.Sleep(200 * time.Millisecond) // the kernel counts in ticks of 10 ms
	if s := w.Stolen(); s < 0 || s > 150 {
		t.Errorf("others used %.0f %%", s)
	}
}

// What a shop's configuration names is left alone.
func TestSettingsAreNoShops(t *testing.T) {
	r := newRun(Options{Settings: []string{
		"kafka.brokers=shop:9092", "bus.url=nats://shop:4222", "archive.url=hdfs://shop:8020/archive", "redis.address=shop:6379", "redis.publish=true", "train.rank=32",
	}})
	c, err := config.Load(config.Sources{File: os.DevNull, Set: r.settings()})
	if err != nil {
		t.Fatal(err)
	}
	if place := c.Archive.Elsewhere(); place != nil || len(c.Kafka.Brokers) > 0 || c.Bus.URL != config.EmbeddedBus || c.Redis.Publish {
		t.Errorf("archive elsewhere: %v, Kafka %v, bus %s, lists published: %v", place, c.Kafka.Brokers, c.Bus.URL, c.Redis.Publish)
	}
	if c.Train.Rank != 32 {
		t.Errorf("rank %v is not the given one", c.Train.Rank)
	}
}

func TestNames(t *testing.T) {
	for n, want := range map[int]string{10_000: "10k", 100_000_000: "100M", 1_500_000: "1500k", 999: "999"} {
		if got := report.Short(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}

// The plugin part on a host of its own, with the module as it is shipped.
func TestPlugins(t *testing.T) {
	if testing.Short() {
		t.Skip("compiling the module takes seconds")
	}
	r := newRun(Options{ChildCommand: child, TempDir: t.TempDir()})
	r.repetitions = 1
	part, err := r.scorer().Calls(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !r.report.Valid {
		t.Errorf("invalid: %q", r.report.Invalid)
	}
	for _, f := range part.Figures {
		// The race detector lets pools forget.
		if f.Name == "plugins.plain_go.allocations" && f.Value != 0 && !raceEnabled || f.Unit == "us" && f.Value <= 0 {
			t.Errorf("%+v", f)
		}
	}
}

// The JSON of a whole run has what the contract names.
func TestRunWritesTheContract(t *testing.T) {
	r := newRun(Options{Version: "test"})
	r.report.Parts[Retrieve] = report.Part{Figures: []report.Figure{report.New("retrieve.x.y", "us", report.Lower, 1)}}
	r.finish(machine.StartWatch())
	var b bytes.Buffer
	if err := r.report.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var top map[string]any
	if err := json.Unmarshal(b.Bytes(), &top); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"schema", "valid", "invalid", "fingerprint", "parts", "verdict"} {
		if top[key] == nil {
			t.Errorf("%s is missing or null: %s", key, b.Bytes())
		}
	}
}

// A missed bar that is a target fails the run.
func TestJudgeBars(t *testing.T) {
	r := quick("")
	r.judgeBars([]report.Figure{report.New("serve.als.rate", "1/s", report.Higher, 5), report.New("serve.als.to_hello", "x", report.Higher, .6).WithBar(.5)})
	if code := r.report.ExitCode(); code != report.ExitMet || len(r.report.Verdict) != 1 {
		t.Errorf("met: exit code %d, verdict %+v", code, r.report.Verdict)
	}
	r.judgeBars([]report.Figure{report.New("serve.blend.allocations", "", report.Lower, 44).WithBar(25)})
	if code := r.report.ExitCode(); code != report.ExitMissed || r.report.Verdict[1].Met || r.report.Verdict[1].Target != "serve.blend.allocations" {
		t.Errorf("missed: exit code %d, verdict %+v", code, r.report.Verdict)
	}
}
