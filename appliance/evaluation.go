package appliance

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
func (a *Appliance) startEvaluation(c *config.Config, req adminapi.JobRequest) (adminapi.Job, error) {
	options := offline.Options{K: req.K, Split: req.Split, Seen: req.Seen, Mode: req.Mode, EASEItems: req.EaseItems}
	if err := options.Check(); err != nil {
		return adminapi.Job{}, &httpapi.Problem{Status: http.StatusBadRequest, Code: "invalid_job", Detail: err.Error()}
	}
	return a.jobs.start(a.working, adminapi.Eval, func(ctx context.Context, tell func(adminapi.JobProgress)) (*adminapi.TrainReport, *adminapi.Verdict, error) {
		return a.training.evaluate(ctx, c, options, tell)
	})
}

// evaluate measures what a training with the configuration c would give.
func (t *training) evaluate(ctx context.Context, c *config.Config, options offline.Options, tell func(adminapi.JobProgress)) (*adminapi.TrainReport, *adminapi.Verdict, error) {
	tell(adminapi.JobProgress{Stage: "commit"})
	if err := t.follower.Flush(ctx); err != nil {
		return nil, nil, fmt.Errorf("commit to the archive: %w", err)
	}
	job := offline.Job{
		Source:  offline.Source{Dir: c.ArchiveDir(), Position: t.archive.Position()},
		Options: options, Training: trainingJob(c),
	}
	result, err := offline.Spawn(ctx, t.evalCommand, job, jobProgress(tell))
	if err != nil {
		return nil, nil, fmt.Errorf("evaluate: %w", err)
	}
	return evaluationReport(result), &adminapi.Verdict{Published: false, Reason: result.Nothing}, nil
}

// What an Evaluation is about: which files, and how to measure.
type (
	EvaluationFiles   = offline.Source
	EvaluationOptions = offline.Options
)

// Evaluation measures models on files, without a data folder.
type Evaluation struct {
	// Command is the command line of a child process, but for its kind. The
	// child opens the files, so whoever asks for the evaluation does.
	Command []string
	Config  *config.Config
	Files   EvaluationFiles
	Options EvaluationOptions
}

// Run does the evaluation in a child process.
func (e Evaluation) Run(ctx context.Context, tell func(stage string, done, total int64)) (*adminapi.TrainReport, error) {
	if err := e.Options.Check(); err != nil {
		return nil, err
	}
	job := offline.Job{Source: e.Files, Options: e.Options, Training: trainingJob(e.Config)}
	result, err := offline.Spawn(ctx, append(slices.Clone(e.Command), childEval), job, func(p trainer.Progress) {
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

// evaluationReport is a result in the API's terms.
func evaluationReport(r *offline.Result) *adminapi.TrainReport {
	report := &adminapi.TrainReport{
		Users: r.Users, Items: r.Items, Interactions: r.Interactions, Seconds: r.Seconds,
		Models: []adminapi.ModelMetrics{}, Options: r.Options,
	}
	for _, m := range r.Models {
		report.Models = append(report.Models, *evaluatedModel(&m))
	}
	if r.Difference != nil {
		report.Difference = evaluatedModel(r.Difference)
	}
	return report
}

func evaluatedModel(m *offline.Model) *adminapi.ModelMetrics {
	out := &adminapi.ModelMetrics{Name: m.Name, Published: m.Published, Metrics: m.Metrics, Interval: intervals(m.Interval)}
	for name, of := range m.Slices {
		if out.Slices == nil {
			out.Slices = map[string]adminapi.MetricsSlice{}
		}
		out.Slices[name] = adminapi.MetricsSlice{Users: of.Users, Metrics: of.Metrics, Interval: intervals(of.Interval)}
	}
	return out
}

func intervals(all map[string][2]float64) map[string][]float64 {
	out := make(map[string][]float64, len(all))
	for name, i := range all {
		out[name] = i[:]
	}
	return out
}
