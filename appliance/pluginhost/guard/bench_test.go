package guard_test

import (
	"context"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"vitrine/appliance/pluginhost/guard"
)

func allowAll(string, string) bool { return true }

// guest is an instance with one function to call.
type guest struct {
	mod  api.Module
	fn   api.Function
	arg  uint64
	fuel api.MutableGlobal // nil in the original

	initLeft int64 // fuel that _initialize left
}

func (g *guest) call(tb testing.TB, ctx context.Context) {
	if g.fuel != nil {
		g.fuel.Set(1 << 50)
	}
	var stack [1]uint64
	stack[0] = g.arg
	if err := g.fn.CallWithStack(ctx, stack[:]); err != nil {
		tb.Fatal(err)
	}
}

func (g *guest) used() int64 { return 1<<50 - int64(g.fuel.Get()) }

// start instantiates a module and prepares it for the call of one export.
func start(tb testing.TB, ctx context.Context, rt wazero.Runtime, wasm []byte, export string, arg uint64) *guest {
	tb.Helper()
	mod, err := rt.InstantiateWithConfig(ctx, wasm, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		tb.Fatal(err)
	}
	g := &guest{mod: mod, fn: mod.ExportedFunction(export), arg: arg}
	if f, ok := mod.ExportedGlobal(guard.FuelGlobal).(api.MutableGlobal); ok {
		g.fuel = f
		f.Set(1 << 50)
	}
	if init := mod.ExportedFunction("_initialize"); init != nil {
		if _, err := init.Call(ctx); err != nil {
			tb.Fatal(err)
		}
		if g.fuel != nil {
			g.initLeft = int64(g.fuel.Get())
		}
	}
	if export == "guest_score" {
		g.arg = scoreFrame(tb, ctx, mod, uint32(arg))
	}
	return g
}

// scoreFrame fills a batch of n candidates with 16 columns.
func scoreFrame(tb testing.TB, ctx context.Context, mod api.Module, n uint32) uint64 {
	const columns = 16
	if _, err := mod.ExportedFunction("guest_configure").Call(ctx, 0, 0); err != nil {
		tb.Fatal(err)
	}
	res, err := mod.ExportedFunction("guest_alloc").Call(ctx, uint64(64+n*8+n*4*columns))
	if err != nil {
		tb.Fatal(err)
	}
	at := uint32(res[0])
	buf := make([]byte, 64+n*8+n*4*columns)
	for i, v := range []uint32{n, columns, at + 64, at + 64 + 4*n, at + 64 + 8*n} {
		binary.LittleEndian.PutUint32(buf[4*i:], v)
	}
	for i := range n {
		binary.LittleEndian.PutUint32(buf[64+4*i:], i)
	}
	if !mod.Memory().Write(at, buf) {
		tb.Fatal("frame outside of memory")
	}
	return uint64(at)
}

// guestFile gives a guest from testdata; the Go one is built.
func guestFile(tb testing.TB, name string) []byte {
	tb.Helper()
	if name != "score.go.wasm" {
		wasm, err := os.ReadFile(filepath.Join("testdata", "guests", name))
		if err != nil {
			tb.Fatal(err)
		}
		return wasm
	}
	dir := tb.TempDir()
	src, err := os.ReadFile("testdata/guests/score.go.txt")
	if err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "main.go"), src, 0o600); err != nil {
		tb.Fatal(err)
	}
	out := filepath.Join(dir, "guest.wasm")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w", "-o", out, "main.go")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=", "GOWORK=off", "GO111MODULE=off")
	if text, err := cmd.CombinedOutput(); err != nil {
		tb.Skipf("the Go guest cannot be built: %v %s", err, text)
	}
	wasm, err := os.ReadFile(out)
	if err != nil {
		tb.Fatal(err)
	}
	return wasm
}

// workloads are the guests, with what they run.
var workloads = []struct {
	file, export string
	arg          uint64
}{
	{"score.c.wasm", "guest_score", 200},
	{"score.csimd.wasm", "guest_score", 200},
	{"score.rust.wasm", "guest_score", 200},
	{"score.rustsimd.wasm", "guest_score", 200},
	{"score.as.wasm", "guest_score", 200},
	{"score.go.wasm", "guest_score", 200},
	{"work.wasm", "fib", 16},
	{"work.wasm", "sort", 300},
	{"work.wasm", "machine", 2000},
	{"work.wasm", "hash", 4000},
	{"work.wasm", "copy", 20},
	{"work.wasm", "matrix", 1},
}

func testRuntime(tb testing.TB, ctx context.Context, cfg wazero.RuntimeConfig) wazero.Runtime {
	tb.Helper()
	rt := wazero.NewRuntimeWithConfig(ctx, cfg)
	tb.Cleanup(func() { _ = rt.Close(ctx) })
	wasi_snapshot_preview1.MustInstantiate(ctx, rt)
	return rt
}

// BenchmarkOverhead runs original and rewritten guests in turn, in short
// windows, and compares the fastest windows: the machine's noise is larger than
// the difference that is measured. The limit is what a charge point must cost
// at least: a subtraction and a fused compare and branch, about half a cycle
// each beside other work.
func BenchmarkOverhead(b *testing.B) {
	ctx := context.Background()
	for _, w := range workloads {
		b.Run(w.file+"/"+w.export, func(b *testing.B) {
			rt := testRuntime(b, ctx, wazero.NewRuntimeConfigCompiler())
			file := guestFile(b, w.file)
			positions := 8
			if len(file) > 1<<20 {
				positions = 6 // it takes a second to compile
			}
			pairs := make([][2]*guest, positions)
			for i := range pairs {
				wasm := file
				if w.export != "fib" {
					wasm = pad(file, i)
				}
				mod, err := guard.Prepare(wasm, guard.Limits{Allowed: allowAll})
				if err != nil {
					b.Fatal(err)
				}
				pairs[i] = [2]*guest{start(b, ctx, rt, wasm, w.export, w.arg), start(b, ctx, rt, mod.Wasm, w.export, w.arg)}
			}
			b.ResetTimer()
			var sum, original float64
			for i := range pairs {
				ratio, fastest := inTurn(b, ctx, pairs[i])
				sum += ratio
				original += fastest
			}
			b.ReportMetric(original/float64(positions), "original-ns/call")
			b.ReportMetric(100*(sum/float64(positions)-1), "%overhead")
			b.ReportMetric(float64(pairs[0][1].used()), "fuel/call")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// inTurn runs the two of a pair b.N times in turn, and gives the median of the
// ratios of their times and the shortest time of the first.
func inTurn(b *testing.B, ctx context.Context, pair [2]*guest) (ratio, fastest float64) {
	const calls = 16
	ratios := make([]float64, b.N)
	fastest = 1e18
	for i := range ratios {
		var took [2]float64
		for j, g := range pair {
			begin := time.Now()
			for range calls {
				g.call(b, ctx)
			}
			took[j] = float64(time.Since(begin).Nanoseconds()) / calls
		}
		ratios[i] = took[1] / took[0]
		fastest = min(fastest, took[0])
	}
	slices.Sort(ratios)
	return ratios[len(ratios)/2], fastest
}
