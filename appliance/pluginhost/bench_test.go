package pluginhost

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vitrine/appliance/frame"
	"vitrine/sdk/abi"
)

// buildGo builds a Go plugin in dir as authors do.
func buildGo(t testing.TB, dir string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "plugin.wasm")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w", "-o", out, ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=-mod=mod", "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, text)
	}
	wasm, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

// goScorer is a plain-Go scorer: the score plus a weighted sum of so many
// number attributes.
func goScorer(t testing.TB, features int) []byte {
	t.Helper()
	sdk, err := filepath.Abs("../../sdk")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	source := fmt.Sprintf(`package main

import "vitrine/sdk"

var _ = sdk.Main(define)

func main() {}

func define(p *sdk.Plugin) {
	p.Describe("weighted", "1.0.0", "adds weighted features")
	names := [...]string{%s}
	var columns [len(names)]sdk.Column[float32]
	for i, name := range names {
		columns[i] = p.ItemF32(name)
	}
	p.Scorer(func(b *sdk.Batch) {
		scores := b.Scores()
		for c := range columns {
			weight := 0.01 * float32(c+1)
			values := columns[c].Of(b)[:len(scores)]
			for i := range scores {
				scores[i] += weight * values[i]
			}
		}
	})
}
`, featureNames(features))
	for name, text := range map[string]string{
		"main.go": source,
		"go.mod":  "module weighted\n\ngo 1.26\n\nrequire vitrine/sdk v0.0.0\n\nreplace vitrine/sdk => " + sdk + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return buildGo(t, dir)
}

func featureNames(n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%q", fmt.Sprintf("f%d", i))
	}
	return strings.Join(names, ", ")
}

// arrays is a Columns of plain arrays, as quick as a column can be.
type arrays struct{ column frame.Column }

type array []uint32

func (a array) Kind() frame.Kind { return frame.Number }

func (a array) Gather(dst []uint32, codes []uint32) {
	for i, c := range codes {
		dst[i] = a[c]
	}
}

func (a arrays) Column(frame.Scope, string) frame.Column { return a.column }
func (a arrays) Code(frame.Scope, string, string) uint32 { return 0 }
func newArrays(n int) arrays                             { return arrays{array(make([]uint32, n))} }

func benchmarkRank(b *testing.B, wasm []byte, candidates int) {
	r := newRig(b, Options{Columns: newArrays(10_000)}).start()
	if info := r.add("p", wasm); info.State != Active {
		b.Fatal(info.Reason)
	}
	f, t := frameOf(candidates), &frame.Trace{}
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		t.Reset()
		r.Rank(ctx, f, t)
	}
	b.StopTimer()
	if t.Calls[0].Status != statusOK {
		b.Fatal(t.Calls)
	}
	s := r.Stats()[0]
	b.ReportMetric(float64(s.Fuel)/float64(s.Calls), "fuel/op")
}

// BenchmarkRank: the limit of the plain-Go scorer is the arithmetic natively,
// 200 x 16 multiply-adds and gathers in 1 to 2 us; the bar is 20 us.
func BenchmarkRank(b *testing.B) {
	b.Run("noop/200", func(b *testing.B) { benchmarkRank(b, scorer("noop", ok).wasm(), 200) })
	b.Run("scale/200", func(b *testing.B) { benchmarkRank(b, scorer("scale", scale(1)).wasm(), 200) })
	wasm := goScorer(b, 16)
	for _, n := range []int{200, 1000, 10_000} {
		b.Run(fmt.Sprintf("go-16-features/%d", n), func(b *testing.B) { benchmarkRank(b, wasm, n) })
	}
}

// TestNoAllocations: one call more or less must not feed the collector.
func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector drops pooled memory on purpose")
	}
	g := scorer("p", scale(1))
	g.manifest.Reads = []abi.Column{{Name: "a", Scope: abi.ScopeItem, Type: abi.F32}, {Name: "b", Scope: abi.ScopeUser, Type: abi.F32}}
	r := newRig(t, Options{Columns: newArrays(1000)}).start()
	r.add("p", g.wasm())
	f, tr := frameOf(200), &frame.Trace{}
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	if n := testing.AllocsPerRun(1000, func() { tr.Reset(); r.Rank(ctx, f, tr) }); n != 0 {
		t.Errorf("%v allocations per request", n)
	}
}

// TestGoPlugin takes a plain-Go plugin through the whole life.
func TestGoPlugin(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a WebAssembly module with the go tool")
	}
	wasm := goScorer(t, 2)
	items := newAttributes()
	for i := range uint32(4) {
		items.number(frame.ItemScope, "f0", i, float32(i))
		items.number(frame.ItemScope, "f1", i, 100)
	}
	r := newRig(t, Options{Columns: items}).start()
	start := time.Now()
	if info := r.add("go", wasm); info.State != Active {
		t.Fatalf("%+v", info)
	}
	cold := time.Since(start)
	f := r.wantStatus(4, "weighted:scorer:ok")
	for i, want := range []float32{4 + 2, 3 + 0.01 + 2, 2 + 0.02 + 2, 1 + 0.03 + 2} {
		if d := f.Scores[i] - want; d > 1e-4 || d < -1e-4 {
			t.Errorf("score %d is %v, want %v", i, f.Scores[i], want)
		}
	}
	big, tr := frameOf(3*abi.MaxRows), &frame.Trace{}
	for i := range big.Items {
		big.Items[i] %= 4
	}
	r.Rank(context.Background(), big, tr)
	if last := len(big.Scores) - 1; tr.Calls[0].Status != statusOK || big.Scores[last] != 1+0.03+2 {
		t.Errorf("%v, last score %v", tr.Calls, big.Scores[last])
	}
	r.stop()
	r.start()
	start = time.Now()
	r.info("go", wasm)
	t.Logf("%d bytes: cold load %v, warm load %v", len(wasm), cold, time.Since(start))
	r.wantStatus(4, "weighted:scorer:ok")
}
