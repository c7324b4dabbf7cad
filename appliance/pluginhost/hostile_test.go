package pluginhost

import (
	"context"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"vitrine/appliance/bench/process"
	"vitrine/appliance/frame"
	"vitrine/sdk/abi"
)

// hostile is a module that must do no harm: refused for a reason, or active
// with every call ending in a status.
type hostile struct {
	wasm []byte
	// refused is how the reason begins.
	refused string
	// failed is how the reason of the quarantine begins.
	failed string
	// works says that its calls go well.
	works bool
}

func logImport(g guest) guest {
	g.imports, g.importTypes = []abi.Import{{Module: "vitrine", Name: "log"}}, []code{{0x60, 3, 0x7f, 0x7f, 0x7f, 0}}
	return g
}

func exitImport(g guest) guest {
	g.imports, g.importTypes = []abi.Import{{Module: abi.WASIModule, Name: "proc_exit"}}, []code{{0x60, 1, 0x7f, 0}}
	return g
}

// recursion is 2 calls per call: 2^n without a loop.
func recursion(self byte) code { return cat(get(0), call(self), drop, get(0), call(self)) }

func hostiles() map[string]hostile {
	spin := cat(loop(again), ok)
	with := func(change func(*guest)) []byte {
		g := scorer("hostile", scale(1))
		change(&g)
		return g.wasm()
	}
	score := func(x float32) []byte {
		return scorer("hostile", forRows(at(abi.OffScore), f32(x), f32store)).wasm()
	}
	good := scorer("hostile", scale(2)).wasm()
	twoColumns := func(g *guest) {
		g.manifest.Reads = []abi.Column{{Name: "a", Scope: abi.ScopeItem, Type: abi.F32}, {Name: "b", Scope: abi.ScopeItem, Type: abi.F32}}
	}
	fills := cat(i32(0), i32(0), i32(1<<20), memFill)
	for range 10 {
		fills = cat(fills, fills)
	}
	return map[string]hostile{
		// What never gets in.
		"no wasm":         {wasm: []byte("#!/bin/sh\nrm -rf /\n" + strings.Repeat(" ", 200)), refused: ""},
		"cut in half":     {wasm: good[:len(good)/2], refused: ""},
		"only the magic":  {wasm: good[:8], refused: "no Vitrine plugin: exports no memory"},
		"starts for ever": {wasm: with(func(g *guest) { g.start = loop(again) }), refused: "instantiate: start function[6] failed: unreachable"},
		"initializes so":  {wasm: with(func(g *guest) { g.initialize = loop(again) }), refused: "_initialize: out of fuel"},
		"describes so":    {wasm: with(func(g *guest) { g.describe = cat(loop(again), i64(0)) }), refused: "vitrine_describe: out of fuel"},
		"configures so":   {wasm: with(func(g *guest) { g.configure = spin }), refused: "vitrine_configure: out of fuel"},
		"reserves so":     {wasm: with(func(g *guest) { g.reserve = spin }), refused: "vitrine_reserve: out of fuel"},
		"traps in start":  {wasm: with(func(g *guest) { g.start = unreachable }), refused: "instantiate: "},
		"other ABI":       {wasm: with(func(g *guest) { g.abi = i32(1 << 16) }), refused: "speaks ABI 65536, this host ABI 0"},
		"4 GiB":           {wasm: with(func(g *guest) { g.pages = 65536 }), refused: ""},
		"unknown import": {wasm: with(func(g *guest) {
			g.imports, g.importTypes = []abi.Import{{Module: "env", Name: "system"}}, []code{{0x60, 0, 0}}
		}), refused: ""},
		"wrong import type": {wasm: with(func(g *guest) {
			g.imports, g.importTypes = []abi.Import{{Module: "vitrine", Name: "log"}}, []code{{0x60, 0, 0}}
		}), refused: "instantiate: "},
		"no memory":           {wasm: with(func(g *guest) { g.without = "memory" }), refused: "no Vitrine plugin: exports no memory"},
		"no reserve":          {wasm: with(func(g *guest) { g.without = abi.ExportReserve }), refused: "no Vitrine plugin: exports no vitrine_reserve"},
		"no scorer":           {wasm: with(func(g *guest) { g.without = abi.Scorer.Export() }), refused: "names kind scorer, but has no function vitrine_scorer"},
		"forged fuel":         {wasm: with(func(g *guest) { g.extra = []code{cat(text("__vitrine_fuel"), code{0, 0})} }), refused: ""},
		"no manifest":         {wasm: with(func(g *guest) { g.text = "hello" }), refused: "manifest: "},
		"odd manifest":        {wasm: with(func(g *guest) { g.text = `{"name":"x","evil":1}` }), refused: `manifest: json: unknown field "evil"`},
		"manifest outside":    {wasm: with(func(g *guest) { g.describe = i64(math.MaxInt32<<32 | 100) }), refused: "manifest at 2147483647+100 is outside the memory"},
		"huge manifest":       {wasm: with(func(g *guest) { g.describe = i64(math.MaxUint32) }), refused: "manifest of 4294967295 bytes"},
		"kind of later":       {wasm: with(func(g *guest) { g.manifest.Kinds = []abi.Kind{abi.Source}; g.kinds[abi.Source] = ok }), refused: "manifest: kind source does not work in ABI 0"},
		"frame outside":       {wasm: with(func(g *guest) { g.reserve = i32(-64) }), refused: "vitrine_reserve(256): frame address"},
		"frame crooked":       {wasm: with(func(g *guest) { g.reserve = i32(65537) }), refused: "vitrine_reserve(256): frame address"},
		"no frame":            {wasm: with(func(g *guest) { g.reserve = i32(bufferAt) }), refused: "vitrine_reserve(256): frame does not begin"},
		"too much memory":     {wasm: with(func(g *guest) { g.manifest.Pages = 10_000 }), refused: "manifest: asks for 10000 pages"},
		"exits in start":      {wasm: with(func(g *guest) { *g = exitImport(*g); g.start = cat(ok, call(0)) }), refused: "instantiate: start function[7] failed: plugin called proc_exit"},
		"differs by instance": {wasm: with(func(g *guest) { g.describe = cat(i32(0), i32(0), load(0), i32(1), add, store(0), i64(textAt<<32|2)) }), refused: "manifest: "},
		// What fails in calls.
		"traps":             {wasm: scorer("hostile", unreachable).wasm(), failed: "unreachable"},
		"spins":             {wasm: scorer("hostile", spin).wasm(), failed: "out of fuel"},
		"calls for ever":    {wasm: scorer("hostile", recursion(5)).wasm(), failed: "out of fuel"},
		"recurses":          {wasm: scorer("hostile", cat(get(0), call(5))).wasm(), failed: "out of fuel"},
		"fills":             {wasm: scorer("hostile", cat(fills, ok)).wasm(), failed: "out of fuel"},
		"eats memory":       {wasm: scorer("hostile", cat(loop(i32(1), grow, drop, again), ok)).wasm(), failed: "out of fuel"},
		"reads outside":     {wasm: scorer("hostile", cat(i32(-8), load(0))).wasm(), failed: "out of bounds memory access"},
		"divides by zero":   {wasm: scorer("hostile", cat(ok, ok, code{0x6d})).wasm(), failed: "integer divide by zero"},
		"exits":             {wasm: exitImport(scorer("hostile", cat(ok, call(0), ok))).wasm(), failed: "plugin called proc_exit"},
		"NaN":               {wasm: score(float32(math.NaN())), failed: "score of row 0 is NaN"},
		"infinite":          {wasm: score(float32(math.Inf(-1))), failed: "score of row 0 is -Inf"},
		"out of range":      {wasm: score(2e15), failed: "score of row 0 is 1.99"},
		"odd mask":          {wasm: filter("hostile", forRows(get(0), load(abi.OffMask), get(0), add, get(1), add, i32(2), store8)).wasm(), failed: "mask of row 0 is 2"},
		"says no":           {wasm: scorer("hostile", i32(-1)).wasm(), failed: "returned -1"},
		"log flood":         {wasm: logImport(scorer("hostile", cat(loop(i32(1), i32(textAt), i32(20), call(0), again), ok))).wasm(), failed: "out of fuel"},
		"logs from outside": {wasm: logImport(scorer("hostile", cat(i32(1), i32(-1), i32(20), call(0), ok))).wasm(), failed: "range 4294967295+20 is outside the memory"},
		// What is odd and harmless.
		"writes over header": {wasm: scorer("hostile", cat(get(0), ok, i32(abi.HeaderSize), memFill, ok)).wasm(), works: true},
		"unmasks":            {wasm: filter("hostile", forRows(get(0), load(abi.OffMask), get(0), add, get(1), add, i32(1), store8)).wasm(), works: true},
		"columns unused":     {wasm: with(twoColumns), works: true},
	}
}

// TestHostile has each module in turn beside a good plugin: the good one goes
// on, requests stay quick, a ticker goes on ticking, and what happened is said
// in few lines.
func TestHostile(t *testing.T) {
	var clock struct {
		sync.Mutex
		now time.Time
	}
	clock.now = time.Now()
	r := newRig(t, Options{CallBudget: 5 * time.Millisecond, RequestBudget: 10 * time.Millisecond, Now: func() time.Time {
		clock.Lock()
		defer clock.Unlock()
		return clock.now
	}}).start()
	r.add("a-good", scorer("good", scale(2)).wasm())
	stopTicker := ticker(t)
	stopBeside := beside(t, r.Host)
	for name, h := range hostiles() {
		t.Run(name, func(t *testing.T) {
			r.t = t
			clock.Lock()
			clock.now = clock.now.Add(time.Hour)
			clock.Unlock()
			r.logs.mu.Lock()
			r.logs.text.Reset()
			r.logs.mu.Unlock()
			file := "x-" + strings.ReplaceAll(name, " ", "-") // or an earlier one would serve for it
			defer func() {
				r.remove(file + moduleSuffix)
				r.until("gone", func() bool { return len(r.List()) == 1 })
				time.Sleep(20 * time.Millisecond) // requests beside leave the old pipeline
			}()
			info := r.add(file, h.wasm)
			if h.failed == "" && !h.works {
				if info.State != Refused || !strings.HasPrefix(info.Reason, h.refused) || strings.Contains(info.Reason, "\n") {
					t.Errorf("%s: %q, want refused: %q", info.State, info.Reason, h.refused)
				}
				if lines := r.logs.lines("plugin refused"); len(lines) != 1 || !strings.Contains(lines[0], file+moduleSuffix) {
					t.Errorf("log %q", lines)
				}
			} else if info.State != Active && (h.works || info.State != Quarantined) { // requests beside call it, too
				t.Fatalf("%s: %q, want active", info.State, info.Reason)
			}
			var slowest time.Duration
			failures := 0
			// A spinning guest is at fault once it has had its whole budget,
			// which a busy machine does not leave in every request.
			for i := 0; i < 30 || h.failed != "" && i < 1000 && r.List()[1].State != Quarantined; i++ {
				start := time.Now()
				f, calls := r.rank(50)
				slowest = max(slowest, time.Since(start))
				if calls[0].Status == statusOK && f.Scores[0] != 100 || len(calls) > 2 {
					t.Fatalf("calls %v, score %v", calls, f.Scores[0])
				}
				if len(calls) == 2 && calls[1].Status == statusFailed {
					failures++
				}
				for i, keep := range f.Mask {
					if !keep {
						t.Fatalf("row %d dropped", i)
					}
				}
			}
			t.Logf("slowest request %v", slowest)
			switch {
			case h.works && failures > 0:
				t.Errorf("%d calls failed", failures)
			case h.failed != "":
				info = r.List()[1]
				// One call far beyond its time is enough, which a busy machine
				// makes of any that has no end.
				once := strings.HasPrefix(info.Reason, "out of fuel long after its time")
				if info.State != Quarantined || !strings.HasPrefix(info.Reason, h.failed) || info.Stats.Faults < faultCount && !once {
					t.Errorf("%s: %q after %d failures, want quarantined: %q", info.State, info.Reason, info.Stats.Faults, h.failed)
				}
				if lines := r.logs.lines("plugin failed", h.failed); len(lines) > 1 {
					t.Errorf("log %q", lines)
				}
			}
			if n := len(r.logs.lines()); n > lineBurst+6 {
				t.Errorf("%d log lines", n)
			}
		})
	}
	r.t = t
	stopBeside()
	t.Logf("longest gap of a ticker: %v", stopTicker())
}

// beside makes requests all the time. Afterwards 99 of 100 must have been quick
// in processor time (what else the machine does is the benchmark's to tell, which
// knows whether it can), and none may have failed or have lost a row.
func beside(t *testing.T, h *Host) (stop func()) {
	t.Helper()
	quit, done := make(chan struct{}), make(chan struct{})
	var took []time.Duration
	go func() {
		defer close(done)
		for {
			select {
			case <-quit:
				return
			case <-time.After(2 * time.Millisecond):
			}
			f, tr := frameOf(50), &frame.Trace{}
			took = append(took, process.ThreadTime(func() { h.Rank(context.Background(), f, tr) }))
			good := tr.Calls[0]
			if good.Name != "good" || good.Status == statusFailed || good.Status == statusOK && f.Scores[0] < 100 || slices.Contains(f.Mask, false) {
				t.Errorf("request beside: calls %v, score %v, mask %v", tr.Calls, f.Scores[0], f.Mask)
				return
			}
		}
	}()
	return func() {
		close(quit)
		<-done
		slices.Sort(took)
		if len(took) == 0 {
			t.Fatal("no request beside")
		}
		p99 := took[len(took)*99/100]
		t.Logf("%d requests beside: p99 %v, slowest %v", len(took), p99, took[len(took)-1])
		if p99 > 20*time.Millisecond {
			t.Errorf("p99 of requests beside is %v", p99)
		}
	}
}

// ticker measures the longest gap of a goroutine that should run every
// millisecond.
func ticker(t *testing.T) (stop func() time.Duration) {
	t.Helper()
	quit, done := make(chan struct{}), make(chan time.Duration)
	go func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		var longest time.Duration
		for last := time.Now(); ; {
			select {
			case <-quit:
				done <- longest
				return
			case <-tick.C:
			}
			now := time.Now()
			longest, last = max(longest, now.Sub(last)), now
		}
	}()
	return func() time.Duration { close(quit); return <-done }
}

func TestMemoryReturnsAfterTraps(t *testing.T) {
	now := time.Now()
	r := newRig(t, Options{
		CallBudget: 5 * time.Millisecond, RequestBudget: 10 * time.Millisecond,
		Now: func() time.Time { now = now.Add(time.Hour); return now },
	}).start()
	// Touches all of its 16 MiB and the stack, then traps.
	body := cat(i32(240), grow, drop, i32(0), i32(1), i32(255<<16), memFill, get(0), call(5))
	r.add("pig", scorer("pig", body).wasm())
	// A call that a busy machine leaves no time for is cut before its trap.
	faults := func(n int64) {
		t.Helper()
		for tries := 0; r.List()[0].Stats.Faults < n; tries++ {
			if tries == 10_000 {
				t.Fatalf("only %d faults: the test does not test", r.List()[0].Stats.Faults)
			}
			r.rank(10)
		}
	}
	faults(10)
	settled := func() int64 {
		time.Sleep(50 * time.Millisecond)
		runtime.GC()
		return resident(t)
	}
	before := settled()
	faults(50)
	if after := settled(); after > before+64<<20 {
		t.Errorf("resident memory %d MiB, before 40 traps %d MiB", after>>20, before>>20)
	}
}

func resident(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("no /proc here: ", err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

func TestQuarantineEnds(t *testing.T) {
	var mu sync.Mutex
	now := time.Now()
	pass := func(d time.Duration) { mu.Lock(); now = now.Add(d); mu.Unlock() }
	r := newRig(t, Options{Now: func() time.Time { mu.Lock(); defer mu.Unlock(); return now }}).start()
	// Traps for users from 100 on.
	r.add("moody", scorer("moody", cat(i32(100), get(0), load(abi.OffUser), less, when(unreachable), scale(2))).wasm())
	rank := func(user uint32) string {
		f, tr := frameOf(3), &frame.Trace{}
		f.User = user
		r.Rank(context.Background(), f, tr)
		return tr.Calls[0].Status
	}
	for i := range faultCount {
		if got := rank(200); got != statusFailed {
			t.Fatalf("call %d: %s", i, got)
		}
	}
	if got := rank(1); got != statusSkipped || r.List()[0].State != Quarantined {
		t.Fatalf("%s, %s", got, r.List()[0].State)
	}
	pass(firstBackoff)
	if got := rank(200); got != statusFailed { // the probe fails: twice as long now
		t.Fatal(got)
	}
	pass(firstBackoff)
	if got := rank(1); got != statusSkipped {
		t.Fatal(got)
	}
	pass(firstBackoff)
	if got := rank(1); got != statusOK || r.List()[0].State != Active {
		t.Fatalf("%s, %s", got, r.List()[0].State)
	}
	if n := len(r.logs.lines("plugin in quarantine")); n != 2 {
		t.Errorf("%d lines about quarantines, want 2", n)
	}
	if s := r.Stats()[0]; s.Faults != faultCount+1 || s.Quarantines != 2 || s.Skipped != 2 {
		t.Errorf("%+v", s)
	}
}

// TestGuestWritesInPieces: what a Go guest writes piece by piece before it
// panics is one line of the log, and part of the reason.
func TestGuestWritesInPieces(t *testing.T) {
	r := newRig(t, Options{}).start()
	piece := func(n, address, length int32) code {
		return cat(i32(512+8*n), i32(address), store(0), i32(516+8*n), i32(length), store(0))
	}
	write := func(n int32) code { return cat(i32(2), i32(512+8*n), i32(1), i32(600), call(0), drop) }
	g := scorer("wordy", cat(piece(0, textAt, 2), piece(1, textAt+2, 14), write(0), write(1), unreachable))
	g.imports, g.importTypes = []abi.Import{{Module: abi.WASIModule, Name: "fd_write"}}, []code{{0x60, 4, 0x7f, 0x7f, 0x7f, 0x7f, 1, 0x7f}}
	r.add("wordy", g.wasm())
	r.wantStatus(1, "wordy:scorer:failed")
	if lines := r.logs.lines("plugin says", "plugin=wordy", `text="{\"name\":\"wordy\",`); len(lines) == 0 || len(r.logs.lines("plugin says")) != len(lines) {
		t.Errorf("log %q", r.logs.lines())
	}
	if lines := r.logs.lines("plugin failed", `unreachable: {\"name\":\"wordy\",`); len(lines) != 1 {
		t.Errorf("log %q", r.logs.lines())
	}
}

func TestGuestLogsAtABoundedRate(t *testing.T) {
	r := newRig(t, Options{}).start()
	r.add("chatty", logImport(scorer("chatty", cat(i32(1), i32(textAt), i32(10), call(0), ok))).wasm())
	for range 500 {
		r.wantStatus(1, "chatty:scorer:ok")
	}
	if n := len(r.logs.lines("plugin says")); n < 2 || n > lineBurst+5 {
		t.Errorf("%d lines of 500", n)
	}
}
