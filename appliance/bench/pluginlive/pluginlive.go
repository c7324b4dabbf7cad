// Package pluginlive measures what the requests of a running appliance notice of
// its plugins folder: while a plugin in it is replaced many times, and while
// modules that mean harm are put into it.
//
// It owns those modules, what is done with them, and the bars. How the appliance
// is started and filled, and what becomes of the figures, are its caller's. It must
// not know of package pluginhost.
package pluginlive

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"vitrine/appliance/bench/gap"
	"vitrine/appliance/bench/load"
	"vitrine/appliance/bench/report"
	"vitrine/appliance/client"
	"vitrine/internal/pause"
)

// files are a scorer that leaves scores as they are, and modules that mean harm.
// They are made by the tests of package pluginhost.
//
//go:embed modules/*.wasm
var files embed.FS

const (
	barBeside     = 100.0 // ms: p99 of the requests beside hostile modules
	barGap        = 50.0  // ms: of a ticker in the appliance
	barMachineGap = barGap / 2
	// attempts a hostile module has: on a shared machine one may meet somebody
	// else's work.
	attempts    = 3
	askedMost   = 60 * time.Second
	swapMost    = 20 * time.Second
	pollPlugins = 10 * time.Millisecond
	swapFrom    = "1.0.100" // the version in the module; its bytes are replaced
	swapFirst   = 101
	fileAge     = time.Minute // older files are taken as complete at once
)

// Module is one that is put into the folder, and the state that it must end in.
type Module struct {
	Name string
	Ends client.PluginState
}

// hostile are the modules that mean harm.
func hostile() []Module {
	return []Module{
		{"traps", client.Quarantined},
		{"loops", client.Quarantined},
		{"start_loops", client.Refused},
		{"recurses", client.Quarantined},
		{"wants_4GiB", client.Refused},
		{"floods_log", client.Quarantined},
		{"returns_NaN", client.Quarantined},
		{"out_of_range", client.Quarantined},
		{"odd_import", client.Refused},
		{"cut_in_half", client.Refused},
		{"no_wasm", client.Refused},
	}
}

// Appliance is a running one, without plugins.
type Appliance struct {
	// Address is host:port of its API, Socket the path of its admin socket,
	// Folder that of its plugins.
	Address, Socket, Folder string
	// Requests are asked in turn; Check grades their answers, as load.Options has it.
	Requests [][]byte
	Check    func(request int, body []byte) load.Grade
	// Gaps are those of a ticker in it.
	Gaps *gap.Meter
}

// Bench is one run.
type Bench struct {
	// Warmup is how long requests are sent before they count, Rate how many a second.
	Warmup time.Duration
	Rate   float64
	// Replacements of a plugin by another version.
	Replacements int
	// Hostile are put into the folder one after another: each for Least, and until it
	// has ended as it must, for which it has Most.
	Hostile     []Module
	Least, Most time.Duration
	// Progress is told what is being done; Warn and Invalid what to doubt.
	Progress      func(stage string, done, total int64)
	Warn, Invalid func(format string, args ...any)
	// Judge is told a figure of which less is better, and what it must be.
	Judge func(target string, want, measured float64, unit, how string)
	// Figures are those found so far.
	Figures []report.Figure

	at  *Appliance
	api *client.Client
}

// New makes a run of the usual size; who is told is still to be set. It must be
// closed.
func New(at *Appliance) *Bench {
	return &Bench{
		Rate: 300, Replacements: 100, Hostile: hostile(), Least: 1500 * time.Millisecond, Most: 6 * time.Second,
		at: at, api: client.NewSocket(at.Socket),
	}
}

// Close lets go of the admin socket.
func (b *Bench) Close() { b.api.Close() }

// put moves a module into the folder, complete, as an operator's copy of an
// older file is.
func (b *Bench) put(name string, wasm []byte) error {
	staged := filepath.Join(b.at.Folder, "."+name+".new")
	if err := os.WriteFile(staged, wasm, 0o600); err != nil {
		return fmt.Errorf("write module: %w", err)
	}
	old := time.Now().Add(-fileAge)
	if err := errors.Join(os.Chtimes(staged, old, old), os.Rename(staged, filepath.Join(b.at.Folder, name+".wasm"))); err != nil {
		return fmt.Errorf("write module: %w", err)
	}
	return nil
}

// until asks for the list of plugins until done holds of it, or most is over,
// which is no error.
func (b *Bench) until(ctx context.Context, most time.Duration, done func([]client.Plugin) bool) (bool, error) {
	for begin := time.Now(); ; {
		list, err := b.api.Plugins(ctx)
		if err != nil {
			return false, err
		}
		if done(list) {
			return true, nil
		}
		if time.Since(begin) > most {
			return false, nil
		}
		if err := pause.For(ctx, pollPlugins); err != nil {
			return false, err
		}
	}
}

// beside is what happened to requests beside something else.
type beside struct {
	*load.Result
	failed int64 // no right answer
	// named are answers that say that a plugin was called or left out; unwell
	// those in which one failed.
	named, unwell int64
	gap, ownGap   time.Duration // of a ticker in the appliance, and in this process
}

// meanwhile asks all the time that do takes.
func (b *Bench) meanwhile(ctx context.Context, do func() error) (*beside, error) {
	got := new(beside)
	var named, unwell atomic.Int64
	check := func(request int, body []byte) load.Grade {
		if bytes.Contains(body, []byte(`"plugins":[{`)) {
			named.Add(1)
		}
		if bytes.Contains(body, []byte(`"status":"failed"`)) {
			unwell.Add(1)
		}
		return b.at.Check(request, body)
	}
	own := new(gap.Ticker)
	ticking, stop := context.WithCancel(ctx)
	defer stop()
	go own.Run(ticking)
	if _, err := b.at.Gaps.Take(ctx); err != nil {
		return nil, err
	}
	until, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		var err error
		got.Result, err = load.Run(ctx, load.Options{
			Address: b.at.Address, Requests: b.at.Requests, Check: check, Rate: b.Rate, Warmup: b.Warmup, Duration: askedMost, Until: until,
		})
		ended <- err
	}()
	err := do()
	close(until)
	if e := <-ended; err == nil {
		err = e
	}
	if err != nil {
		return nil, err
	}
	if got.gap, err = b.at.Gaps.Take(ctx); err != nil {
		return nil, err
	}
	got.ownGap = own.Take()
	got.failed, got.named, got.unwell = got.Wrong+got.Lesser+got.Refused+got.Failed+got.Unsent, named.Load(), unwell.Load()
	return got, nil
}

// Swaps replaces a plugin many times.
func (b *Bench) Swaps(ctx context.Context) error {
	wasm, err := files.ReadFile("modules/good.wasm")
	if err != nil {
		return fmt.Errorf("read embedded module: %w", err)
	}
	var took []float64
	got, err := b.meanwhile(ctx, func() error {
		for n := range b.Replacements {
			b.Progress("plugins.swap", int64(n), int64(b.Replacements))
			version := fmt.Sprintf("1.0.%d", swapFirst+n)
			begin := time.Now()
			if err := b.put("bench-swap", bytes.ReplaceAll(wasm, []byte(swapFrom), []byte(version))); err != nil {
				return err
			}
			ok, err := b.until(ctx, swapMost, func(list []client.Plugin) bool {
				return slices.ContainsFunc(list, func(p client.Plugin) bool { return p.Version == version && p.State == client.Active })
			})
			if err != nil {
				return err
			}
			if !ok {
				return fmt.Errorf("version %s is not active after %s", version, swapMost)
			}
			took = append(took, float64(time.Since(begin).Microseconds())/1000)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if got.named == 0 {
		return errors.New("no answer names the plugin: nothing was measured")
	}
	failed := got.failed + got.unwell
	b.Figures = append(b.Figures,
		report.New("plugins.swap.failed", "", report.Lower, float64(failed)).WithBar(0),
		report.New("plugins.swap.requests", "", "", float64(got.Requests)),
		report.New("plugins.swap.p99", "ms", report.Lower, report.Milliseconds(got.Response(0.99))),
		report.New("plugins.swap.to_active", "ms", report.Lower, took...),
	)
	how := fmt.Sprintf("failed requests of %d while a plugin was replaced %d times", got.Requests, b.Replacements)
	if got.FirstFault != "" {
		how += ": " + got.FirstFault
	}
	b.Judge("plugin.swap", 0, float64(failed), "", how)
	return b.clear(ctx, "bench-swap")
}

// clear takes a module out again.
func (b *Bench) clear(ctx context.Context, name string) error {
	if err := os.Remove(filepath.Join(b.at.Folder, name+".wasm")); err != nil {
		return fmt.Errorf("remove module: %w", err)
	}
	gone, err := b.until(ctx, swapMost, func(list []client.Plugin) bool { return len(list) == 0 })
	if err == nil && !gone {
		err = fmt.Errorf("%s is still listed %s after its file was removed", name, swapMost)
	}
	return err
}

// Intrude puts each hostile module into the folder in turn.
func (b *Bench) Intrude(ctx context.Context) error {
	var worst struct{ p99, gap, failed, loose float64 }
	var faults []string
	for n, m := range b.Hostile {
		b.Progress("plugins.hostile."+m.Name, int64(n), int64(len(b.Hostile)))
		got, ended, err := b.intruded(ctx, m)
		if err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
		p99, gap := report.Milliseconds(got.Response(0.99)), report.Milliseconds(got.gap)
		worst.p99, worst.gap, worst.failed = max(worst.p99, p99), max(worst.gap, gap), worst.failed+float64(got.failed)
		if got.failed > 0 {
			faults = append(faults, m.Name+": "+got.FirstFault)
		}
		if !ended {
			worst.loose++
			faults = append(faults, fmt.Sprintf("%s is not %s", m.Name, m.Ends))
		}
		name := "plugins.hostile." + m.Name + "."
		b.Figures = append(b.Figures,
			report.New(name+"p99", "ms", report.Lower, p99).WithBar(barBeside),
			report.New(name+"gap", "ms", report.Lower, gap).WithBar(barGap))
	}
	b.Figures = append(b.Figures,
		report.New("plugins.hostile.failed", "", report.Lower, worst.failed).WithBar(0),
		report.New("plugins.hostile.loose", "", report.Lower, worst.loose).WithBar(0))
	why := ""
	if len(faults) > 0 {
		why = ": " + faults[0]
	}
	b.Judge("plugin.p99", barBeside, worst.p99, "ms", fmt.Sprintf("the worst p99 of requests beside %d hostile modules, %.0f/s", len(b.Hostile), b.Rate))
	b.Judge("plugin.gap", barGap, worst.gap, "ms", "the longest gap of a ticker in the appliance beside them")
	b.Judge("plugin.failed", 0, worst.failed+worst.loose, "", "requests without the answer of the base ranking, and modules neither refused nor in quarantine"+why)
	return nil
}

// intruded has one module in the folder while the appliance is asked. Where
// the machine was too busy to tell, it is tried again.
func (b *Bench) intruded(ctx context.Context, m Module) (got *beside, ended bool, err error) {
	wasm, err := files.ReadFile("modules/" + m.Name + ".wasm")
	if err != nil {
		return nil, false, fmt.Errorf("read embedded module: %w", err)
	}
	for attempt := range attempts {
		file := fmt.Sprintf("%s-%d", m.Name, attempt)
		got, err = b.meanwhile(ctx, func() error {
			begin := time.Now()
			if err := b.put(file, wasm); err != nil {
				return err
			}
			ended, err = b.until(ctx, b.Most, func(list []client.Plugin) bool {
				return len(list) == 1 && list[0].State == m.Ends && time.Since(begin) >= b.Least
			})
			return err
		})
		if err == nil {
			err = b.clear(ctx, file)
		}
		if err != nil {
			return nil, false, err
		}
		if m.Ends == client.Quarantined && got.unwell == 0 { // its failures are named in answers
			ended = false
		}
		missed := report.Milliseconds(got.gap) > barGap || report.Milliseconds(got.Response(0.99)) > barBeside || got.failed > 0 || !ended
		busy := report.Milliseconds(got.ownGap) > barMachineGap
		if !missed || !busy {
			return got, ended, nil
		}
		if attempt < attempts-1 {
			b.Warn("%s: made again: a ticker of the benchmark's own, beside the appliance, had a gap of %s", m.Name, got.ownGap.Round(time.Millisecond))
		}
	}
	b.Invalid("%s: the machine was too busy to tell: a ticker of the benchmark's own had a gap of %s", m.Name, got.ownGap.Round(time.Millisecond))
	return got, ended, nil
}
