package bench

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
	"strconv"
	"time"

	"vitrine/appliance/bench/report"
	"vitrine/appliance/frame"
	"vitrine/appliance/pluginhost"
)

// scorerModule is testdata/scorer, compiled by the plain Go toolchain, so that
// a machine without one can measure it.
//
//go:embed scorer.wasm.gz
var scorerModule []byte

// The shape of the call that is measured, and of the catalogue behind it.
const (
	pluginRows    = 200
	pluginColumns = 16
	pluginItems   = 100_000
	pluginFrames  = 64
	pluginCalls   = 5000
	barPluginCall = 20.0 // us, with metering
)

// plugins measures a scorer written in plain Go on 200 candidates with 16
// columns of attributes, gathered from a catalogue, metered as in serving.
func (r *run) plugins(ctx context.Context) (part *report.Part, err error) {
	if r.opt.ChildCommand == nil {
		return nil, fmt.Errorf("%w: there is no command for the compiling child", ErrPart)
	}
	columns := newFloatColumns()
	host, stop, err := r.pluginHost(ctx, columns)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	fmt.Fprintf(r.data, "plugins %d x %d of %d, module %d bytes\n", pluginRows, pluginColumns, pluginItems, len(scorerModule))
	frames := pluginRequests()
	got := samples{}
	for rep := range r.repetitions {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		r.opt.Progress("plugins.plain_go", int64(rep), int64(r.repetitions))
		native, _ := timeCalls(frames, func(f *frame.Frame) { columns.score(f) })
		got.add("plugins.native.call", native)
		trace := new(frame.Trace)
		failed := 0
		call, allocations := timeCalls(frames, func(f *frame.Frame) {
			trace.Reset()
			host.Rank(ctx, f, trace)
			if len(trace.Calls) != 1 || trace.Calls[0].Status != "ok" {
				failed++
			}
		})
		got.add("plugins.plain_go.call", call)
		got.add("plugins.plain_go.allocations", allocations)
		if failed > 0 {
			r.invalidate("%d calls of the plugin failed: %+v", failed, trace.Calls)
		}
	}
	if why := columns.compare(ctx, host, frames[0]); why != "" {
		r.invalidate("the plugin computes something else than the same code natively: %s", why)
	}
	native := got.figure("plugins.native.call", "us", report.Lower)
	return &report.Part{
		Reference: report.Reference{Name: "the same loops natively", Value: native.Value, Unit: "us"},
		Notes: []string{
			fmt.Sprintf("%d candidates x %d columns of %d items, processor time of one call, metered (always), engine: %s", pluginRows, pluginColumns, pluginItems, host.Engine()),
		},
		Figures: []report.Figure{
			native,
			got.figure("plugins.plain_go.call", "us", report.Lower).Against(native.Value).WithBar(barPluginCall),
			got.figure("plugins.plain_go.allocations", "", report.Lower).WithBar(0),
		},
	}, nil
}

// pluginHost opens a host with the scorer as its one plugin.
func (r *run) pluginHost(ctx context.Context, columns frame.Columns) (host *pluginhost.Host, stop func() error, err error) {
	dir, err := os.MkdirTemp(r.opt.TempDir, "vitrine-bench-")
	if err != nil {
		return nil, nil, fmt.Errorf("make plugins folder: %w", err)
	}
	remove := func() error { return os.RemoveAll(dir) }
	unpack, err := gzip.NewReader(bytes.NewReader(scorerModule))
	if err != nil {
		return nil, nil, errors.Join(err, remove())
	}
	module, err := io.ReadAll(unpack)
	if err != nil {
		return nil, nil, errors.Join(err, remove())
	}
	host, err = pluginhost.Open(ctx, pluginhost.Options{
		Dir: filepath.Join(dir, "plugins"), CacheDir: filepath.Join(dir, "cache"),
		Compile: r.opt.ChildCommand(ChildCompile), Columns: columns,
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
	stop = func() error {
		cancel()
		<-ended // it was told to
		return errors.Join(host.Close(), remove())
	}
	r.opt.Progress("plugins.compile", 0, 0)
	if _, err := host.Install(ctx, "bench-scorer", module, nil); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("install the scorer: %w", err), stop())
	}
	return host, stop, nil
}

// timeCalls times calls on all frames in turn: the microseconds of processor
// time of one, and how many objects it allocates.
func timeCalls(frames []*frame.Frame, call func(f *frame.Frame)) (us, allocations float64) {
	for _, f := range frames {
		call(f) // fills the caches and pools
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	used := processorTime(func() {
		for n := range pluginCalls {
			call(frames[n%len(frames)])
		}
	})
	runtime.ReadMemStats(&after)
	// Whole objects: what the runtime does meanwhile is not the call's.
	return float64(used.Nanoseconds()) / 1000 / pluginCalls, math.Floor(float64(after.Mallocs-before.Mallocs) / pluginCalls)
}

// pluginRequests are frames of random candidates.
func pluginRequests() []*frame.Frame {
	rng := rand.New(rand.NewPCG(1, 6))
	frames := make([]*frame.Frame, pluginFrames)
	for i := range frames {
		f := new(frame.Frame)
		f.Reset()
		for range pluginRows {
			f.Add(uint32(rng.IntN(pluginItems)), rng.Float32())
		}
		frames[i] = f
	}
	return frames
}

// floatColumns are item attributes f0 to f15, a number for every item.
type floatColumns struct {
	columns [pluginColumns]floatColumn
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
	c := &floatColumns{row: make([]uint32, pluginRows)}
	for i := range c.columns {
		c.columns[i] = make(floatColumn, pluginItems)
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
	if err != nil || name[0] != 'f' || i < 0 || i >= pluginColumns {
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
		weight := float32(i+1) / pluginColumns
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
