package bench

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
	"vitrine/appliance/demo"
	"vitrine/internal/pause"
)

// pluginModules are a scorer that leaves scores as they are, and modules that
// mean harm. They are made by the tests of package pluginhost.
//
//go:embed modules/*.wasm
var pluginModules embed.FS

// What is wanted of an appliance whose plugins change and misbehave.
const (
	liveRate        = 300 // requests a second beside
	liveMost        = 60 * time.Second
	swapCount       = 100
	barBeside       = 100.0 // ms: p99 of the requests beside hostile modules
	barGap          = 50.0  // ms: of a ticker in the appliance
	barMachineGap   = barGap / 2
	hostileLeast    = 1500 * time.Millisecond
	hostileMost     = 6 * time.Second
	swapMost        = 20 * time.Second
	pollPlugins     = 10 * time.Millisecond
	swapFrom        = "1.0.100" // the version in the module; its bytes are replaced
	swapFirst       = 101
	fileAge         = time.Minute // older files are taken as complete at once
	livePluginsShop = 2000
)

// hostileModules are the modules that mean harm, with the state that each must
// end in.
func hostileModules() []hostileModule {
	return []hostileModule{
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

type hostileModule struct {
	name string
	ends client.PluginState
}

// livePlugins runs an appliance, replaces a plugin many times while it is asked,
// and drops hostile modules into its folder while it is asked.
func (r *run) livePlugins(ctx context.Context, part *report.Part) error {
	s, err := r.appliance(ctx, shopSpec{Config: demo.Config{Items: livePluginsShop, Customers: livePluginsShop, Events: 20 * livePluginsShop, End: shopEnd()}})
	if err != nil {
		return err
	}
	defer s.close()
	if err := r.asked(ctx, s); err != nil {
		return err
	}
	l := newLivePlugins(r, s)
	defer l.api.Close()
	if err := l.swaps(ctx, part); err != nil {
		return fmt.Errorf("replace plugins: %w", err)
	}
	if err := l.hostile(ctx, part); err != nil {
		return fmt.Errorf("hostile plugins: %w", err)
	}
	part.Notes = append(part.Notes, fmt.Sprintf("swap, hostile: once, on an appliance with %d items, files moved into its plugins folder, %d requests/s beside; every answer is held against the one without plugins", livePluginsShop, liveRate))
	return nil
}

// livePlugins is an appliance whose plugins folder is written into.
type livePlugins struct {
	*run
	*subject
	folder       string
	api          *client.Client
	replacements int
	rate         float64       // of requests beside, a second
	least, most  time.Duration // that a hostile module stays
	modules      []hostileModule
}

func newLivePlugins(r *run, s *subject) *livePlugins {
	return &livePlugins{
		run: r, subject: s, replacements: swapCount, rate: liveRate, least: hostileLeast, most: hostileMost, modules: hostileModules(),
		folder: filepath.Join(s.dir, "plugins"), api: client.NewSocket(filepath.Join(s.dir, "admin.sock")),
	}
}

// put moves a module into the folder, complete, as an operator's copy of an
// older file is.
func (l *livePlugins) put(name string, wasm []byte) error {
	staged := filepath.Join(l.folder, "."+name+".new")
	if err := os.WriteFile(staged, wasm, 0o600); err != nil {
		return fmt.Errorf("write module: %w", err)
	}
	old := time.Now().Add(-fileAge)
	if err := errors.Join(os.Chtimes(staged, old, old), os.Rename(staged, filepath.Join(l.folder, name+".wasm"))); err != nil {
		return fmt.Errorf("write module: %w", err)
	}
	return nil
}

// until asks for the list of plugins until done holds of it, or most is over,
// which is no error.
func (l *livePlugins) until(ctx context.Context, most time.Duration, done func([]client.Plugin) bool) (bool, error) {
	for begin := time.Now(); ; {
		list, err := l.api.Plugins(ctx)
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
func (l *livePlugins) meanwhile(ctx context.Context, do func() error) (*beside, error) {
	b := new(beside)
	var named, unwell atomic.Int64
	check := func(request int, body []byte) load.Grade {
		if bytes.Contains(body, []byte(`"plugins":[{`)) {
			named.Add(1)
		}
		if bytes.Contains(body, []byte(`"status":"failed"`)) {
			unwell.Add(1)
		}
		return l.check(request, body)
	}
	own := new(gap.Ticker)
	ticking, stop := context.WithCancel(ctx)
	defer stop()
	go own.Run(ticking)
	if _, err := l.gaps.Take(ctx); err != nil {
		return nil, err
	}
	until, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		var err error
		b.Result, err = load.Run(ctx, load.Options{
			Address: l.address, Requests: l.requests, Check: check, Rate: l.rate, Warmup: l.rhythm.warmup, Duration: liveMost, Until: until,
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
	if b.gap, err = l.gaps.Take(ctx); err != nil {
		return nil, err
	}
	b.ownGap = own.Take()
	b.failed, b.named, b.unwell = b.Wrong+b.Lesser+b.Refused+b.Failed+b.Unsent, named.Load(), unwell.Load()
	return b, nil
}

// swaps replaces a plugin many times.
func (l *livePlugins) swaps(ctx context.Context, part *report.Part) error {
	wasm, err := pluginModules.ReadFile("modules/good.wasm")
	if err != nil {
		return fmt.Errorf("read embedded module: %w", err)
	}
	var took []float64
	b, err := l.meanwhile(ctx, func() error {
		for n := range l.replacements {
			l.opt.Progress("plugins.swap", int64(n), int64(l.replacements))
			version := fmt.Sprintf("1.0.%d", swapFirst+n)
			begin := time.Now()
			if err := l.put("bench-swap", bytes.ReplaceAll(wasm, []byte(swapFrom), []byte(version))); err != nil {
				return err
			}
			ok, err := l.until(ctx, swapMost, func(list []client.Plugin) bool {
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
	if b.named == 0 {
		return errors.New("no answer names the plugin: nothing was measured")
	}
	failed := b.failed + b.unwell
	part.Figures = append(part.Figures,
		report.New("plugins.swap.failed", "", report.Lower, float64(failed)).WithBar(0),
		report.New("plugins.swap.requests", "", "", float64(b.Requests)),
		report.New("plugins.swap.p99", "ms", report.Lower, report.Milliseconds(b.Response(0.99))),
		report.New("plugins.swap.to_active", "ms", report.Lower, took...),
	)
	how := fmt.Sprintf("failed requests of %d while a plugin was replaced %d times", b.Requests, l.replacements)
	if b.FirstFault != "" {
		how += ": " + b.FirstFault
	}
	l.judge("plugin.swap", 0, float64(failed), "", how)
	return l.clear(ctx, "bench-swap")
}

// clear takes a module out again.
func (l *livePlugins) clear(ctx context.Context, name string) error {
	if err := os.Remove(filepath.Join(l.folder, name+".wasm")); err != nil {
		return fmt.Errorf("remove module: %w", err)
	}
	gone, err := l.until(ctx, swapMost, func(list []client.Plugin) bool { return len(list) == 0 })
	if err == nil && !gone {
		err = fmt.Errorf("%s is still listed %s after its file was removed", name, swapMost)
	}
	return err
}

// hostile drops each hostile module in turn.
func (l *livePlugins) hostile(ctx context.Context, part *report.Part) error {
	var worst struct{ p99, gap, failed, loose float64 }
	var faults []string
	for n, m := range l.modules {
		l.opt.Progress("plugins.hostile."+m.name, int64(n), int64(len(l.modules)))
		b, ended, err := l.hostileModule(ctx, m)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		p99, gap := report.Milliseconds(b.Response(0.99)), report.Milliseconds(b.gap)
		worst.p99, worst.gap, worst.failed = max(worst.p99, p99), max(worst.gap, gap), worst.failed+float64(b.failed)
		if b.failed > 0 {
			faults = append(faults, m.name+": "+b.FirstFault)
		}
		if !ended {
			worst.loose++
			faults = append(faults, fmt.Sprintf("%s is not %s", m.name, m.ends))
		}
		name := "plugins.hostile." + m.name + "."
		part.Figures = append(part.Figures,
			report.New(name+"p99", "ms", report.Lower, p99).WithBar(barBeside),
			report.New(name+"gap", "ms", report.Lower, gap).WithBar(barGap))
	}
	part.Figures = append(part.Figures,
		report.New("plugins.hostile.failed", "", report.Lower, worst.failed).WithBar(0),
		report.New("plugins.hostile.loose", "", report.Lower, worst.loose).WithBar(0))
	why := ""
	if len(faults) > 0 {
		why = ": " + faults[0]
	}
	l.judge("plugin.p99", barBeside, worst.p99, "ms", fmt.Sprintf("the worst p99 of requests beside %d hostile modules, %.0f/s", len(l.modules), l.rate))
	l.judge("plugin.gap", barGap, worst.gap, "ms", "the longest gap of a ticker in the appliance beside them")
	l.judge("plugin.failed", 0, worst.failed+worst.loose, "", "requests without the answer of the base ranking, and modules neither refused nor in quarantine"+why)
	return nil
}

// hostileModule has one module in the folder while the appliance is asked. Where
// the machine was too busy to tell, it is tried again.
func (l *livePlugins) hostileModule(ctx context.Context, m hostileModule) (b *beside, ended bool, err error) {
	wasm, err := pluginModules.ReadFile("modules/" + m.name + ".wasm")
	if err != nil {
		return nil, false, fmt.Errorf("read embedded module: %w", err)
	}
	for attempt := range attempts {
		file := fmt.Sprintf("%s-%d", m.name, attempt)
		b, err = l.meanwhile(ctx, func() error {
			begin := time.Now()
			if err := l.put(file, wasm); err != nil {
				return err
			}
			ended, err = l.until(ctx, l.most, func(list []client.Plugin) bool {
				return len(list) == 1 && list[0].State == m.ends && time.Since(begin) >= l.least
			})
			return err
		})
		if err == nil {
			err = l.clear(ctx, file)
		}
		if err != nil {
			return nil, false, err
		}
		if m.ends == client.Quarantined && b.unwell == 0 { // its failures are named in answers
			ended = false
		}
		missed := report.Milliseconds(b.gap) > barGap || report.Milliseconds(b.Response(0.99)) > barBeside || b.failed > 0 || !ended
		busy := report.Milliseconds(b.ownGap) > barMachineGap
		if !missed || !busy {
			return b, ended, nil
		}
		if attempt < attempts-1 {
			l.warn("%s: made again: a ticker of the benchmark's own, beside the appliance, had a gap of %s", m.name, b.ownGap.Round(time.Millisecond))
		}
	}
	l.invalidate("%s: the machine was too busy to tell: a ticker of the benchmark's own had a gap of %s", m.name, b.ownGap.Round(time.Millisecond))
	return b, ended, nil
}
