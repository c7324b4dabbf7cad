package bench

import (
	"context"
	"fmt"
	"path/filepath"

	"vitrine/appliance/bench/pluginlive"
	"vitrine/appliance/bench/report"
	"vitrine/appliance/bench/scorer"
	"vitrine/appliance/demo"
)

// plugins measures what plugins cost and what bad ones can do: calls of a
// scorer written in plain Go, then a running appliance whose plugins are
// replaced, and one that is given hostile ones.
func (r *run) plugins(ctx context.Context) (*report.Part, error) {
	if r.opt.ChildCommand == nil || r.opt.ServeCommand == nil {
		return nil, fmt.Errorf("%w: there is no command for the servers", ErrPart)
	}
	part, err := r.scorer().Calls(ctx)
	if err != nil {
		return nil, err
	}
	return part, r.livePlugins(ctx, part)
}

// scorer makes the measurement of package scorer with this run's means.
func (r *run) scorer() *scorer.Bench {
	return &scorer.Bench{
		Compile: r.opt.ChildCommand(ChildCompile), TempDir: r.opt.TempDir, Repetitions: r.repetitions, Data: r.data,
		Progress: r.opt.Progress, Invalid: r.invalidate, Judge: r.judge,
	}
}

// livePlugins runs an appliance, and measures what its requests notice while its
// plugins folder is written into.
func (r *run) livePlugins(ctx context.Context, part *report.Part) error {
	const size = 2000 // items, and customers
	s, err := r.appliance(ctx, shopSpec{Config: demo.Config{Items: size, Customers: size, Events: 20 * size, End: shopEnd()}})
	if err != nil {
		return err
	}
	defer s.close()
	if err := r.asked(ctx, s); err != nil {
		return err
	}
	b := r.pluginlive(s)
	defer b.Close()
	if err := b.Swaps(ctx); err != nil {
		return fmt.Errorf("replace plugins: %w", err)
	}
	if err := b.Intrude(ctx); err != nil {
		return fmt.Errorf("hostile plugins: %w", err)
	}
	part.Figures = append(part.Figures, b.Figures...)
	part.Notes = append(part.Notes, fmt.Sprintf("swap, hostile: once, on an appliance with %d items, files moved into its plugins folder, %g requests/s beside; every answer is held against the one without plugins", size, b.Rate))
	return nil
}

// pluginlive makes the measurements of package pluginlive with this run's means.
func (r *run) pluginlive(s *subject) *pluginlive.Bench {
	b := pluginlive.New(&pluginlive.Appliance{
		Address: s.address, Socket: s.socket(), Folder: filepath.Join(s.dir, "plugins"), Requests: s.requests, Check: s.check, Gaps: s.gaps,
	})
	b.Warmup, b.Progress, b.Warn, b.Invalid, b.Judge = r.rhythm.warmup, r.opt.Progress, r.warn, r.invalidate, r.judge
	return b
}

// judge holds a figure of which less is better against what it must be.
func (r *run) judge(target string, want, measured float64, unit, how string) {
	v := report.Judge(target, want, measured, unit, report.Lower)
	v.How = how
	r.report.Verdict = append(r.report.Verdict, v)
}
