package trainer

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"vitrine/appliance/signal"
)

// tuned is a job with a search, on a shop large enough for one.
func tuned(t *testing.T) Job {
	t.Helper()
	j := job(t, archiveOf(t, 20_000, tastes(400, 12_000)...))
	j.Iterations, j.Tune, j.Trials = 0, 4, filepath.Join(t.TempDir(), "trials.json")
	j.Parent, j.Live = "", ""
	return j
}

// TestSearchBeforeTheFit: the best trial is what is fitted, the log is gone on
// with, and what is configured stays.
func TestSearchBeforeTheFit(t *testing.T) {
	j := tuned(t)
	r, _ := train(t, j)
	if len(r.Trials) != 4 || r.Options.ChosenBy != "the best of 4 trials" || r.Seconds["tune"] == 0 {
		t.Fatalf("%d trials, %+v", len(r.Trials), r.Options)
	}
	best := r.Trials[0]
	for _, trial := range r.Trials {
		if trial.Score > best.Score {
			best = trial
		}
		if trial.Score <= 0 || trial.Score > 1 || trial.Sweeps < 2 {
			t.Errorf("trial %+v", trial)
		}
	}
	if r.Options.Regularization != best.Lambda || r.Options.Unobserved != best.Unobserved || r.Options.Iterations != best.Sweeps || r.Options.Sweeps != best.Sweeps {
		t.Errorf("options %+v, best trial %+v", r.Options, best)
	}
	j.Tune = 5
	more, _ := train(t, j)
	if len(more.Trials) != 5 || !reflect.DeepEqual(more.Trials[:4], r.Trials) {
		t.Errorf("one more\n%+v\nafter\n%+v", more.Trials, r.Trials)
	}
	j.Regularization, j.Iterations, j.Tune = .07, 3, 2
	set, _ := train(t, j)
	if set.Options.Regularization != .07 || set.Options.Sweeps != 3 || set.Trials[1].Lambda != .07 || set.Trials[1].Unobserved == set.Trials[0].Unobserved {
		t.Errorf("options %+v, trials %+v", set.Options, set.Trials)
	}
	j.Signal.Measure, j.Regularization, j.Iterations = signal.Counts, 0, 0
	if ratings, _ := train(t, j); ratings.Trials[0].Score >= 0 || ratings.Trials[0].Lambda != .1 {
		t.Errorf("trials of ratings %+v", ratings.Trials)
	}
}

// TestSweepsFollowTheData: without a search the sweeps alone are chosen, and
// where more would spoil the model, neither fit nor refit go on from one.
func TestSweepsFollowTheData(t *testing.T) {
	j := tuned(t)
	j.Tune = 0
	first, _ := train(t, j)
	text, err := os.ReadFile(j.Trials)
	if err != nil || first.Options.ChosenBy != "rule" || first.Trials != nil || !strings.Contains(string(text), `"trials"`) {
		t.Fatalf("%+v, log %s, %v", first.Options, text, err)
	}
	next := follow(t, j)
	if r, _ := train(t, next); r.Start != "v1" || r.Options.RefitSweeps != refitSweeps {
		t.Errorf("start %q, then %d", r.Start, r.Options.RefitSweeps)
	}
	spoilt := strings.Replace(string(text), `"score"`, `"overtrains": true, "score"`, 1)
	if err := os.WriteFile(j.Trials, []byte(spoilt), 0o600); err != nil {
		t.Fatal(err)
	}
	next = follow(t, j)
	r, _ := train(t, next)
	if n := r.Options.Iterations; !strings.Contains(r.Start, "sweeps make the lists worse") || r.Options.Sweeps != n || r.Options.RefitSweeps != n {
		t.Errorf("start %q, %+v", r.Start, r.Options)
	}
	few := job(t, archiveOf(t, 1000, tastes(20, 600)...))
	few.Iterations, few.Tune = 0, 3
	if r, _ := train(t, few); !strings.Contains(r.Options.ChosenBy, "rule, since a search could judge only") || r.Trials != nil {
		t.Errorf("options %+v", r.Options)
	}
}

func TestWhoChoseTheSettingsIsTold(t *testing.T) {
	for want, job := range map[string]Job{
		"rule":              {Rank: 10, Iterations: 20},
		"the configuration": {Rank: 10, Iterations: 20, Regularization: .1},
	} {
		if got := job.ChosenBy(); got != want {
			t.Errorf("%+v: chosen by %s", job, got)
		}
	}
}

func TestCancelledSearchKeepsItsTrials(t *testing.T) {
	j := tuned(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := Run(ctx, j, func(p Progress) {
		if p.Stage == "tune" && p.Done == 2 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(j.Trials); err != nil || strings.Count(string(text), `"sweeps"`) != 2 {
		t.Errorf("log %s, %v", text, err)
	}
}
