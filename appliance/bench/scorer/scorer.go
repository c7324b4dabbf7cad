// Package scorer measures what a call of a plugin costs: a scorer written in
// plain Go, on candidates with columns of attributes, beside the same loops
// natively.
//
// It owns the module, the catalogue behind the calls, and their bars. It may
// import appliance/pluginhost; it must not know a running appliance.
package scorer

import (
	"bytes"
	"compress/gzip"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"time"

	"vitrine/appliance/bench/process"
	"vitrine/appliance/bench/report"
	"vitrine/appliance/frame"
	"vitrine/appliance/pluginhost"
)

// packed is testdata/scorer, compiled by the plain Go toolchain, so that
// a machine without one can measure it.
//
//go:embed scorer.wasm.gz
var packed []byte

// The shape of the call that is measured, and of the catalogue behind it.
const (
	// Columns are the attributes f0, f1 ... that the scorer reads.
	Columns = 16

	rows     = 200
	items    = 100_000
	requests = 64
	calls    = 1000
	barCall  = 20.0 // us, with metering
)

// windows are the pieces that a measurement of calls is cut into. The
// quickest counts: others' work on the same cores and caches makes calls look
// dear, never cheap.
const windows = 10

// ways are the ways in which the module is measured: by its name in figures,
// its configuration and its bar, 0 for none.
func ways() []way {
	return []way{
		{"plain_go", "", barCall},
		{"own_loop", "[config]\nown_loop = true\n", 0},
	}
}

type way struct {
	name, toml string
	bar        float64
}

// Bench is one run.
type Bench struct {
	// Compile is the command line of this program that leads to
	// pluginhost.CompileChild.
	Compile []string
	// TempDir is where the plugins folder is made; "" is the system's.
	TempDir     string
	Repetitions int
	// Data is told what is measured on.
	Data io.Writer
	// Progress is told what is being done; Invalid what to doubt.
	Progress func(stage string, done, total int64)
	Invalid  func(format string, args ...any)
	// Judge is told a figure of which less is better, and what it must be.
	Judge func(target string, want, measured float64, unit, how string)
}

// Calls measures a scorer on 200 candidates with 16 columns of
// attributes, gathered from a catalogue, metered as in serving.
func (b *Bench) Calls(ctx context.Context) (part *report.Part, err error) {
	columns := newFloatColumns()
	host, stop, err := b.host(ctx, columns)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	module, err := Module()
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(b.Data, "plugins %d x %d of %d, module %d bytes\n", rows, Columns, items, len(packed))
	frames := newFrames()
	got := report.Samples{}
	for rep := range b.Repetitions {
		b.Progress("plugins.calls", int64(rep), int64(b.Repetitions))
		for _, s := range ways() {
			if _, err := host.Install(ctx, "bench-scorer", module, []byte(s.toml)); err != nil {
				return nil, fmt.Errorf("install the scorer: %w", err)
			}
			native, call, allocations := b.times(ctx, host, columns, frames)
			got.Add("plugins.native.call", native)
			got.Add("plugins."+s.name+".call", call)
			got.Add("plugins."+s.name+".allocations", allocations)
		}
	}
	native := got.Figure("plugins.native.call", "us", report.Lower)
	part = &report.Part{
		Reference: report.Reference{Name: "the same loops natively", Value: native.Value, Unit: "us"},
		Notes: []string{
			fmt.Sprintf("calls: %d candidates x %d columns of %d items, processor time of one call in the quickest of %d windows, metered (always), engine: %s; plain_go adds by the SDK's AddWeighted, own_loop column by column", rows, Columns, items, windows, host.Engine()),
		},
		Figures: []report.Figure{native},
	}
	for _, s := range ways() {
		call := got.Figure("plugins."+s.name+".call", "us", report.Lower).Against(native.Value)
		if s.bar > 0 {
			call = call.WithBar(s.bar)
			b.Judge("plugin.call", s.bar, call.Value, "us", fmt.Sprintf("%d candidates x %d columns through a plain-Go scorer, metered, %.1f times the native loop, median of %d", rows, Columns, *call.Ratio, b.Repetitions))
		}
		part.Figures = append(part.Figures, call, got.Figure("plugins."+s.name+".allocations", "", report.Lower).WithBar(0))
	}
	allocations := append(got["plugins.plain_go.allocations"], got["plugins.own_loop.allocations"]...)
	b.Judge("plugin.allocs", 0, slices.Max(allocations), "", "objects that a call allocates on the host, most of all repetitions")
	return part, nil
}

// times times the plugin and the same loops natively, in turn.
func (b *Bench) times(ctx context.Context, host *pluginhost.Host, columns *floatColumns, frames []*frame.Frame) (native, call, allocations float64) {
	trace := new(frame.Trace)
	failed := 0
	native, call = math.Inf(1), math.Inf(1)
	for range windows {
		us, _ := timeCalls(frames, func(f *frame.Frame) { columns.score(f) })
		native = min(native, us)
		us, objects := timeCalls(frames, func(f *frame.Frame) {
			trace.Reset()
			host.Rank(ctx, f, trace)
			if len(trace.Calls) != 1 || trace.Calls[0].Status != "ok" {
				failed++
			}
		})
		call, allocations = min(call, us), max(allocations, objects)
	}
	if failed > 0 {
		b.Invalid("%d calls of the plugin failed: %+v", failed, trace.Calls)
	}
	if why := columns.compare(ctx, host, frames[0]); why != "" {
		b.Invalid("the plugin computes something else than the same code natively: %s", why)
	}
	return native, call, allocations
}

// Module is the scorer, compiled.
func Module() ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("unpack module: %w", err)
	}
	module, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("unpack module: %w", err)
	}
	return module, nil
}

// host opens a host without plugins.
func (b *Bench) host(ctx context.Context, columns frame.Columns) (host *pluginhost.Host, stop func() error, err error) {
	dir, err := os.MkdirTemp(b.TempDir, "vitrine-bench-")
	if err != nil {
		return nil, nil, fmt.Errorf("make plugins folder: %w", err)
	}
	remove := func() error { return os.RemoveAll(dir) }
	host, err = pluginhost.Open(ctx, pluginhost.Options{
		Dir: filepath.Join(dir, "plugins"), CacheDir: filepath.Join(dir, "cache"),
		Compile: b.Compile, Columns: columns,
		// Somebody else's work on the machine must not look like a plugin
		// that takes too long.
		CallBudget: time.Second, RequestBudget: time.Second,
	})
	if err != nil {
		return nil, nil, errors.Join(err, remove())
	}
	running, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- host.Run(running) }()
	return host, func() error {
		cancel()
		<-ended // it was told to
		return errors.Join(host.Close(), remove())
	}, nil
}

// timeCalls times calls on all frames in turn: the microseconds of processor
// time of one, and how many objects it allocates.
func timeCalls(frames []*frame.Frame, call func(f *frame.Frame)) (us, allocations float64) {
	for _, f := range frames {
		call(f) // fills the caches and pools
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	used := process.ThreadTime(func() {
		for n := range calls {
			call(frames[n%len(frames)])
		}
	})
	runtime.ReadMemStats(&after)
	// Whole objects: what the runtime does meanwhile is not the call's.
	return float64(used.Nanoseconds()) / 1000 / calls, math.Floor(float64(after.Mallocs-before.Mallocs) / calls)
}

// newFrames are frames of random candidates.
func newFrames() []*frame.Frame {
	rng := rand.New(rand.NewPCG(1, 6))
	frames := make([]*frame.Frame, requests)
	for i := range frames {
		f := new(frame.Frame)
		f.Reset()
		for range rows {
			f.Add(uint32(rng.IntN(items)), rng.Float32())
		}
		frames[i] = f
	}
	return frames
}

// floatColumns are item attributes f0 to f15, a number for every item.
type floatColumns struct {
	columns [Columns]floatColumn
	row     []uint32
}

type floatColumn []uint32

// Kind says that the values are numbers.
func (floatColumn) Kind() frame.Kind { return frame.Number }

// Gather copies the values of some items.
func (c floatColumn) Gather(dst []uint32, codes []uint32) {
	for i, code := range codes {
		dst[i] = c[code]
	}
}

func newFloatColumns() *floatColumns {
	rng := rand.New(rand.NewPCG(1, 7))
	c := &floatColumns{row: make([]uint32, rows)}
	for i := range c.columns {
		c.columns[i] = make(floatColumn, items)
		for item := range c.columns[i] {
			// Small and of both signs: scores stay finite however often added.
			c.columns[i][item] = math.Float32bits(rng.Float32() - 0.5)
		}
	}
	return c
}

// Column finds an attribute by its name.
func (c *floatColumns) Column(scope frame.Scope, name string) frame.Column {
	if scope != frame.ItemScope || len(name) < 2 {
		return nil
	}
	i, err := strconv.Atoi(name[1:])
	if err != nil || name[0] != 'f' || i < 0 || i >= Columns {
		return nil
	}
	return c.columns[i]
}

// Code has no texts to know.
func (*floatColumns) Code(frame.Scope, string, string) uint32 { return 0 }

// score does natively what the scorer does.
func (c *floatColumns) score(f *frame.Frame) {
	for i := range c.columns {
		c.columns[i].Gather(c.row, f.Items)
		weight := float32(i+1) / Columns
		for row, bits := range c.row[:f.Len()] {
			f.Scores[row] += weight * math.Float32frombits(bits)
		}
	}
}

// compare says where the plugin's scores differ from the native ones.
func (c *floatColumns) compare(ctx context.Context, host *pluginhost.Host, f *frame.Frame) string {
	want := &frame.Frame{Items: f.Items, Scores: append([]float32(nil), f.Scores...)}
	c.score(want)
	host.Rank(ctx, f, new(frame.Trace))
	for row, score := range f.Scores {
		// Natively a product and sum may be fused into one rounding.
		if d := math.Abs(float64(score - want.Scores[row])); !(d <= 1e-4*(1+math.Abs(float64(score)))) {
			return fmt.Sprintf("row %d has %g, not %g", row, score, want.Scores[row])
		}
	}
	return ""
}
