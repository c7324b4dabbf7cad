package appliance

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	"vitrine/appliance/config"
	"vitrine/appliance/httpapi/adminapi"
	"vitrine/appliance/metrics"
	"vitrine/appliance/registry"
	"vitrine/appliance/signal"
	"vitrine/appliance/trainer"
	"vitrine/bridge/archive"
	"vitrine/bridge/archive/follow"
	"vitrine/internal/logkey"
)

// trialsFile keeps the settings that were tried, beside the models.
const trialsFile = "trials.json"

// training makes new model versions from the archive.
type training struct {
	config  *config.Config
	command []string
	// evalCommand is that of an evaluation.
	evalCommand []string
	follower    *follow.Follower
	registry    *registry.Registry
	archive     *archive.Archive
	log         *slog.Logger
	now         func() time.Time
	metrics     *metrics.Metrics
}

// signalConfig is the one translation of the configuration into weights; the
// daemon's profile and the training child both get it.
func signalConfig(c *config.Config) signal.Config {
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

// trainingJob is the training job of a configuration.
func trainingJob(c *config.Config) trainer.Job {
	t := c.Train.Effective()
	return trainer.Job{
		ArchiveDir: c.ArchiveDir(), Blend: c.Recommend.Blend, Signal: signalConfig(c), Biases: t.Biases,
		Rank: t.Rank, Iterations: t.Iterations, Regularization: t.Regularization, Tune: t.Tune,
		MemoryLimit: t.Memory,
	}
}

// train commits what was acknowledged, trains in a child process, and puts a
// model that passed the gate live.
func (t *training) train(ctx context.Context, tell func(adminapi.JobProgress)) (*adminapi.TrainReport, *adminapi.Verdict, error) {
	report, verdict, err := t.attempt(ctx, tell)
	switch {
	case err != nil && ctx.Err() == nil:
		t.metrics.Trained(metrics.TrainingFailed)
	case err == nil && verdict.Published:
		t.metrics.Trained(metrics.TrainingPublished)
	case err == nil:
		t.metrics.Trained(metrics.TrainingRefused)
	}
	return report, verdict, err
}

// attempt is train without its count.
func (t *training) attempt(ctx context.Context, tell func(adminapi.JobProgress)) (*adminapi.TrainReport, *adminapi.Verdict, error) {
	start := t.now()
	tell(adminapi.JobProgress{Stage: "commit"})
	if err := t.follower.Flush(ctx); err != nil {
		return nil, nil, fmt.Errorf("commit to the archive: %w", err)
	}
	job := trainingJob(t.config)
	job.Version = start.UTC().Format("20060102T150405.000Z")
	if live := t.registry.Live(); live != nil {
		job.Parent, job.Live = live.Version, t.registry.Path(live.Version)
	}
	job.Out = filepath.Join(t.config.Data.Dir, "models", job.Version+".tmp")
	job.Trials = filepath.Join(t.config.Data.Dir, "models", trialsFile)
	job.Position = t.archive.Position()
	result, err := trainer.Spawn(ctx, t.command, job, jobProgress(tell))
	if err != nil {
		_ = os.Remove(job.Out) // what a dead child may have left
		return nil, nil, fmt.Errorf("train: %w", err)
	}
	report := trainReport(result)
	if !result.Gate.Passed {
		t.log.Warn("model not published", logkey.Reason, result.Gate.Reason)
		return report, &adminapi.Verdict{Reason: result.Gate.Reason}, nil
	}
	bundle, err := t.registry.Publish(job.Out)
	if err != nil {
		_ = os.Remove(job.Out) // a failing disk must not fill up with models
		return report, nil, fmt.Errorf("publish model: %w", err)
	}
	t.metrics.Published(result.Metrics, t.now().Sub(start).Seconds())
	t.log.Info("model live", logkey.Version, bundle.Version, logkey.Reason, result.Gate.Reason,
		logkey.Seconds, t.now().Sub(start).Seconds())
	return report, &adminapi.Verdict{Published: true, Reason: result.Gate.Reason, Version: bundle.Version}, nil
}

// trainReport is a result in the API's terms.
func trainReport(r *trainer.Result) *adminapi.TrainReport {
	report := &adminapi.TrainReport{
		Users: r.Users, Items: r.Items, Interactions: r.Interactions, Seconds: r.Seconds,
		Options: r.Options.ByKey(), Start: r.Start,
	}
	report.Options["evaluated_users"] = r.EvaluatedUsers
	for n, t := range r.Trials {
		report.Trials = append(report.Trials, adminapi.Trial{
			Number: n + 1, Regularization: t.Lambda, Unobserved: t.Unobserved, FrequencyPower: t.FrequencyPower,
			Nu: t.Nu, BiasRegularization: t.BiasLambda, Sweeps: t.Sweeps, Score: t.Score, Seconds: t.Seconds,
		})
	}
	for _, m := range modelMetrics(r.Metrics, r.Gate.Passed) {
		switch trainer.Rival(m.Name) {
		case trainer.Popularity:
			report.Difference = &m
		case trainer.Live:
			report.DifferenceLive = &m
		default:
			report.Models = append(report.Models, m)
		}
	}
	return report
}

// modelMetrics groups metrics by the model they belong to.
func modelMetrics(all []registry.Metric, published bool) []adminapi.ModelMetrics {
	out := []adminapi.ModelMetrics{}
	index := map[string]int{}
	live := trainer.Factors
	if slices.ContainsFunc(all, func(m registry.Metric) bool { return m.Model == trainer.Blend }) {
		live = trainer.Blend
	}
	for _, m := range all {
		i, ok := index[m.Model]
		if !ok {
			i = len(out)
			index[m.Model] = i
			out = append(out, adminapi.ModelMetrics{
				Name: m.Model, Published: published && m.Model == live,
				Metrics: map[string]float64{}, Interval: map[string][]float64{},
			})
		}
		if math.IsNaN(m.Value) {
			continue // JSON has no NaN
		}
		out[i].Metrics[m.Name] = m.Value
		if !math.IsNaN(m.Lo) && !math.IsNaN(m.Hi) {
			out[i].Interval[m.Name] = []float64{m.Lo, m.Hi}
		}
	}
	return out
}

// schedule trains when the interval has passed since the live model was made
// (whoever restarts the appliance more often is not kept waiting for ever) and
// records came in since the last attempt: a model that was refused or rolled
// back does not come again from the same data. Each run is a job, so that a
// manual one is not disturbed.
func (a *Appliance) schedule(ctx context.Context) {
	every := a.config.Train.Schedule
	if every == 0 {
		<-ctx.Done()
		return
	}
	last, seen := a.now(), uint64(0)
	if live := a.parts.registry.Live(); live != nil {
		last, seen = live.Created, live.Position
	}
	archived, err := a.parts.archive.News()
	if err != nil {
		a.log.Warn("it is not known whether there is anything new to train on", logkey.Error, err)
		archived = a.parts.archive.Position()
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(min(every, every-a.now().Sub(last))):
		}
		last = a.now()
		end := max(archived, a.parts.pump.Stats().News)
		if end <= seen {
			continue
		}
		if _, err := a.startTraining(); err != nil {
			a.log.Info("scheduled training put off", logkey.Reason, err.Error())
			continue
		}
		seen = end
	}
}

// startTraining starts a training run as a job.
func (a *Appliance) startTraining() (adminapi.Job, error) {
	return a.jobs.start(a.working, adminapi.Train, func(ctx context.Context, tell func(adminapi.JobProgress)) (*adminapi.TrainReport, *adminapi.Verdict, error) {
		report, verdict, err := a.training.train(ctx, tell)
		if err != nil && ctx.Err() == nil {
			a.log.Error("training failed", logkey.Error, err)
		}
		// The model before last, and what building the new one's views took:
		// an idle heap is collected after minutes only, and the machine may
		// be another's, too. Beside requests it is collected soon, and giving
		// back all of it at once holds a processor, which nothing can take away,
		// for a millisecond of each ten megabytes.
		if a.gate.Idle() {
			debug.FreeOSMemory()
		}
		return report, verdict, err
	})
}

func jobProgress(tell func(adminapi.JobProgress)) func(trainer.Progress) {
	return func(p trainer.Progress) {
		tell(adminapi.JobProgress{Stage: p.Stage, Done: int64(p.Done), Total: int64(p.Total), Loss: p.Loss})
	}
}
