package jobs

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"vitrine/appliance/config"
	"vitrine/appliance/httpapi"
	"vitrine/appliance/httpapi/adminapi"
	"vitrine/appliance/trainer"
	"vitrine/appliance/trainer/offline"
)

// startEvaluation starts an evaluation of the archive as a job.
func (j *Jobs) startEvaluation(c *config.Config, req adminapi.JobRequest) (adminapi.Job, error) {
	options := offline.Options{K: req.K, Split: req.Split, Seen: req.Seen, Mode: req.Mode, EASEItems: req.EaseItems}
	if err := options.Check(); err != nil {
		return adminapi.Job{}, &httpapi.Problem{Status: http.StatusBadRequest, Code: "invalid_job", Detail: err.Error()}
	}
	return j.list.start(j.under, adminapi.Eval, func(ctx context.Context, tell func(adminapi.JobProgress)) (*adminapi.TrainReport, *adminapi.Verdict, error) {
		return j.evaluate(ctx, c, options, tell)
	})
}

// evaluate measures what a training with the configuration c would give.
func (j *Jobs) evaluate(ctx context.Context, c *config.Config, options offline.Options, tell func(adminapi.JobProgress)) (*adminapi.TrainReport, *adminapi.Verdict, error) {
	tell(adminapi.JobProgress{Stage: "commit"})
	if err := j.opt.Follower.Flush(ctx); err != nil {
		return nil, nil, fmt.Errorf("commit to the archive: %w", err)
	}
	job := offline.Job{
		Source:  offline.Source{Dir: c.ArchiveDir(), Position: j.opt.Archive.Position()},
		Options: options, Training: trainingJob(c),
	}
	result, err := offline.Spawn(ctx, j.child(kindEval), job, jobProgress(tell))
	if err != nil {
		return nil, nil, fmt.Errorf("evaluate: %w", err)
	}
	return evaluationReport(result), &adminapi.Verdict{Published: false, Reason: result.Nothing}, nil
}

// Evaluation measures models on files, without a data folder.
type Evaluation struct {
	// Command is the command line of a child process, but for its kind. The
	// child opens the files, so whoever asks for the evaluation does.
	Command []string
	Config  *config.Config
	Files   offline.Source
	Options offline.Options
}

// Run does the evaluation in a child process.
func (e Evaluation) Run(ctx context.Context, tell func(stage string, done, total int64)) (*adminapi.TrainReport, error) {
	if err := e.Options.Check(); err != nil {
		return nil, err
	}
	job := offline.Job{Source: e.Files, Options: e.Options, Training: trainingJob(e.Config)}
	result, err := offline.Spawn(ctx, append(slices.Clone(e.Command), kindEval), job, func(p trainer.Progress) {
		tell(p.Stage, int64(p.Done), int64(p.Total))
	})
	if err != nil {
		return nil, err
	}
	if result.Nothing != "" {
		return nil, fmt.Errorf("nothing to measure: %s", result.Nothing)
	}
	return evaluationReport(result), nil
}
