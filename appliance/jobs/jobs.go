// Package jobs is the long work of a running appliance, one piece at a time:
// trainings, when the API asks for one and by schedule, and evaluations. Both
// are done by child processes; what comes of them is told in the terms of the
// API.
//
// It owns the list of jobs, and what a configuration means for a training. It
// may import the trainer and what a training reads and publishes, and must not
// know what answers requests.
//
//	j := jobs.New(jobs.Options{Config: c, Registry: models, Archive: archive, ...})
//	j.Bind(ctx)
//	job, err := j.Start(ctx, adminapi.JobRequest{Kind: adminapi.Train})
package jobs

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"vitrine/appliance/config"
	"vitrine/appliance/httpapi"
	"vitrine/appliance/httpapi/adminapi"
	"vitrine/appliance/metrics"
	"vitrine/appliance/registry"
	"vitrine/appliance/signal"
	"vitrine/appliance/trainer"
	"vitrine/appliance/trainer/offline"
	"vitrine/bridge"
	"vitrine/bridge/archive"
	"vitrine/bridge/archive/follow"
)

// Options are what trainings and evaluations need; all of it.
type Options struct {
	Config *config.Config
	// Command is the command line of a child process, but for its kind; it leads
	// to Child.
	Command  []string
	Registry *registry.Registry
	Archive  *archive.Archive
	Follower *follow.Follower
	Pump     *bridge.Pump
	Metrics  *metrics.Metrics
	// Idle tells whether nobody waits for an answer.
	Idle func() bool
	Log  *slog.Logger
	Now  func() time.Time
}

// Jobs may be asked concurrently.
type Jobs struct {
	opt  Options
	list list
	// under is the context of jobs.
	under context.Context
}

// New has no jobs yet.
func New(opt Options) *Jobs { return &Jobs{opt: opt, list: list{now: opt.Now}} }

// Bind gives jobs their context, before the first: they outlive the request
// that starts them, and end with ctx.
func (j *Jobs) Bind(ctx context.Context) { j.under = ctx }

// Wait returns when no job runs.
func (j *Jobs) Wait() { j.list.wait() }

// Start begins a job; it does not end with the request.
func (j *Jobs) Start(_ context.Context, req adminapi.JobRequest) (adminapi.Job, error) {
	if req.Kind == adminapi.Train {
		return j.startTraining()
	}
	c, err := j.opt.Config.With(req.Set)
	if err != nil {
		return adminapi.Job{}, &httpapi.Problem{Status: http.StatusBadRequest, Code: "invalid_set", Detail: err.Error()}
	}
	return j.startEvaluation(c, req)
}

// Job is the present state of a job.
func (j *Jobs) Job(id string) (adminapi.Job, error) { return j.list.get(id) }

// Jobs are the last jobs, newest first.
func (j *Jobs) Jobs() []adminapi.Job { return j.list.all() }

// The kinds of child processes.
const (
	kindTrain = "train"
	kindEval  = "eval"
)

// child is the command line of a kind of child.
func (j *Jobs) child(kind string) []string { return append(slices.Clone(j.opt.Command), kind) }

// Child is the entry of the child processes; kind is the last word of their
// command line.
func Child(ctx context.Context, kind string, in io.Reader, out io.Writer) error {
	switch kind {
	case kindTrain:
		return trainer.Child(ctx, in, out)
	case kindEval:
		return offline.Child(ctx, in, out)
	}
	return fmt.Errorf("there is no child process of kind %q", kind)
}

// Signal is the one translation of the configuration into weights; the
// daemon's profile and the training child both get it.
func Signal(c *config.Config) signal.Config {
	measure := signal.Confidence
	switch t := c.Train.Effective(); {
	case t.Preset == config.PresetArticle:
		measure = signal.Counts
	case t.Loss == config.LossExplicit:
		measure = signal.Ratings
	}
	return signal.Config{
		Types: c.Ingest.Types, HalfLife: c.Train.HalfLife, MaxItems: c.Train.History, Alpha: c.Train.Alpha, Measure: measure,
	}
}
