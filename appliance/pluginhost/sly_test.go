package pluginhost

import (
	"context"
	"testing"
	"time"

	"vitrine/appliance/bench/process"
	"vitrine/appliance/frame"
	"vitrine/sdk/abi"
)

// maze fills 8 MiB with addresses that lead from cache line to cache line, in
// one circle of all lines.
func maze() code {
	const from, lines, factor, summand = 1 << 20, 1 << 17, 1664525, 1013904223
	line := cat(get(3), i32(6), code{0x74}, i32(from), add) // address of line l3
	next := cat(get(3), i32(factor), mul, i32(summand), add, i32(lines-1), code{0x71}, i32(6), code{0x74}, i32(from), add)
	return cat(i32(240), grow, drop, i32(0), set(3), loop(
		line, next, store(0), get(3), i32(1), add, set(3), get(3), i32(lines), less, againIf))
}

// sly are guests that behave in trial calls, or for a while, or whose work takes
// longer than its fuel says. They are not all found out; requests are to be well
// in any case.
func sly() map[string]guest {
	// A trial call has no time.
	later := func(body code) code {
		return cat(get(0), load(abi.OffNow), code{0x45, 0x04, 0x40, 0x05}, body, code{0x0b}, ok)
	}
	times := func(n int32, body code) code {
		return cat(i32(n), set(2), loop(body, get(2), i32(-1), add, set(2), get(2), againIf))
	}
	follow := scorer("sly", later(cat(i32(1<<20), set(3), times(400_000, cat(get(3), load(0), set(3))))))
	follow.initialize = maze()
	asks := scorer("sly", ok)
	asks.manifest.Reads = []abi.Column{{Name: "brand", Scope: abi.ScopeItem, Type: abi.Code}}
	asks.imports, asks.importTypes = []abi.Import{{Module: "vitrine", Name: "dict"}}, []code{{0x60, 3, 0x7f, 0x7f, 0x7f, 1, 0x7f}}
	asks.configure = cat(i32(240), grow, drop, i32(1<<20), set(2), loop(
		i32(0), i32(0), get(2), call(0), drop, get(2), i32(1), add, set(2), get(2), i32(1<<20+10), less, againIf), ok)
	// A loop that is left at once pays for several rounds of a body that never
	// runs: work that is far below its price, in trial calls and for a while.
	never := cat(get(3), when(cat(get(3), get(3), mul, set(3)), cat(get(3), get(3), mul, set(3)), cat(get(3), get(3), mul, set(3)), cat(get(3), get(3), mul, set(3)), cat(get(3), get(3), mul, set(3))))
	idle := times(150_000, cat(code{0x02, 0x40, 0x03, 0x40}, never, never, never, ok, code{0x45, 0x0d, 1}, code{0x0c, 0, 0x0b, 0x0b}))
	patient := scorer("sly", cat(get(0), load(abi.OffNow),
		code{0x04, 0x40}, i32(1<<20), set(3), loop(get(3), load(0), set(3), again), code{0x05}, idle, code{0x0b}, ok))
	patient.initialize = maze()
	return map[string]guest{
		"follows pointers":      follow,
		"makes fuel look cheap": patient,
		"asks for long texts":   asks,
		"multiplies denormals": scorer("sly", later(times(1_000_000,
			cat(f32(1e-40), f32(1e-3), f32mul, f32(1e-40), f32mul, drop)))),
		"grows by call":       scorer("sly", cat(i32(1), grow, drop, scale(1))),
		"spins in every 50th": scorer("sly", cat(i32(0), i32(0), load(0), i32(1), add, store(0), i32(50), i32(0), load(0), less, when(loop(again)), scale(1))),
	}
}

// TestSly: requests end in time, with the ranking as it was, and memory stays
// bounded.
func TestSly(t *testing.T) {
	items := newAttributes()
	items.text(frame.ItemScope, "brand", 1, "other")
	for name, g := range sly() {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Options{Columns: items, CallBudget: 5 * time.Millisecond, RequestBudget: 10 * time.Millisecond}).start()
			if info := r.add("sly", g.wasm()); info.State != Active {
				t.Fatalf("%+v", info)
			}
			before := resident(t)
			stop := ticker(t)
			count := map[string]int{}
			var slowest, busiest time.Duration
			for range 300 {
				f, tr := frameOf(50), &frame.Trace{}
				start := time.Now()
				busiest = max(busiest, process.ThreadTime(func() { r.Rank(context.Background(), f, tr) }))
				slowest = max(slowest, time.Since(start))
				count[tr.Calls[0].Status]++
				if f.Scores[0] != 50 || f.Scores[49] != 1 || !f.Mask[0] {
					t.Fatalf("%v: scores %v", tr.Calls, f.Scores)
				}
			}
			info := r.List()[0]
			t.Logf("%v, slowest %v, at most %v of a processor, ticker's longest gap %v, %s %s", count, slowest, busiest, stop(), info.State, info.Reason)
			if busiest > time.Second {
				t.Errorf("a request took %v of a processor", busiest)
			}
			if after := resident(t); after > before+64<<20 {
				t.Errorf("resident memory %d MiB, before the calls %d MiB", after>>20, before>>20)
			}
		})
	}
}
