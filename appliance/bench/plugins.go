package bench

import (
	"context"
	"fmt"

	"vitrine/appliance/bench/report"
	"vitrine/appliance/bench/scorer"
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

// judge holds a figure of which less is better against what it must be.
func (r *run) judge(target string, want, measured float64, unit, how string) {
	v := report.Judge(target, want, measured, unit, report.Lower)
	v.How = how
	r.report.Verdict = append(r.report.Verdict, v)
}
