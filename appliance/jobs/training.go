package jobs

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"

	"vitrine/appliance/config"
	"vitrine/appliance/httpapi/adminapi"
	"vitrine/appliance/metrics"
	"vitrine/appliance/trainer"
	"vitrine/internal/logkey"
)

// trialsFile keeps the settings that were tried, beside the models.
const trialsFile = "trials.json"

// trainingJob is the training job of a configuration.
func trainingJob(c *config.Config) trainer.Job {
	t := c.Train.Effective()
	return trainer.Job{
		ArchiveDir: c.ArchiveDir(), Blend: c.Recommend.Blend, Signal: Signal(c), Biases: t.Biases,
		Rank: t.Rank, Iterations: t.Iterations, Regularization: t.Regularization, Tune: t.Tune,
		MemoryLimit: t.Memory,
	}
}

// Train commits what was acknowledged, trains in a child process, and puts a
// model that passed the gate live.
func (j *Jobs) Train(ctx context.Context, tell func(adminapi.JobProgress)) (*adminapi.TrainReport, *adminapi.Verdict, error) {
	report, verdict, err := j.attempt(ctx, tell)
	switch {
	case err != nil && ctx.Err() == nil:
		j.opt.Metrics.Trained(metrics.TrainingFailed)
	case err == nil && verdict.Published:
		j.opt.Metrics.Trained(metrics.TrainingPublished)
	case err == nil:
		j.opt.Metrics.Trained(metrics.TrainingRefused)
	}
	return report, verdict, err
}

// attempt is Train without its count.
func (j *Jobs) attempt(ctx context.Context, tell func(adminapi.JobProgress)) (*adminapi.TrainReport, *adminapi.Verdict, error) {
	start := j.opt.Now()
	tell(adminapi.JobProgress{Stage: "commit"})
	if err := j.opt.Follower.Flush(ctx); err != nil {
		return nil, nil, fmt.Errorf("commit to the archive: %w", err)
	}
	job := trainingJob(j.opt.Config)
	job.Version = start.UTC().Format("20060102T150405.000Z")
	if live := j.opt.Registry.Live(); live != nil {
		job.Parent, job.Live = live.Version, j.opt.Registry.Path(live.Version)
	}
	job.Out = filepath.Join(j.opt.Config.Data.Dir, "models", job.Version+".tmp")
	job.Trials = filepath.Join(j.opt.Config.Data.Dir, "models", trialsFile)
	job.Position = j.opt.Archive.Position()
	result, err := trainer.Spawn(ctx, j.child(kindTrain), job, jobProgress(tell))
	if err != nil {
		_ = os.Remove(job.Out) // what a dead child may have left
		return nil, nil, fmt.Errorf("train: %w", err)
	}
	report := trainReport(result)
	if !result.Gate.Passed {
		j.opt.Log.Warn("model not published", logkey.Reason, result.Gate.Reason)
		return report, &adminapi.Verdict{Reason: result.Gate.Reason}, nil
	}
	bundle, err := j.opt.Registry.Publish(job.Out)
	if err != nil {
		_ = os.Remove(job.Out) // a failing disk must not fill up with models
		return report, nil, fmt.Errorf("publish model: %w", err)
	}
	j.opt.Metrics.Published(result.Metrics, j.opt.Now().Sub(start).Seconds())
	j.opt.Log.Info("model live", logkey.Version, bundle.Version, logkey.Reason, result.Gate.Reason,
		logkey.Seconds, j.opt.Now().Sub(start).Seconds())
	return report, &adminapi.Verdict{Published: true, Reason: result.Gate.Reason, Version: bundle.Version}, nil
}

// startTraining starts a training run as a job.
func (j *Jobs) startTraining() (adminapi.Job, error) {
	return j.list.start(j.under, adminapi.Train, func(ctx context.Context, tell func(adminapi.JobProgress)) (*adminapi.TrainReport, *adminapi.Verdict, error) {
		report, verdict, err := j.Train(ctx, tell)
		if err != nil && ctx.Err() == nil {
			j.opt.Log.Error("training failed", logkey.Error, err)
		}
		// The model before last, and what building the new one's views took:
		// an idle heap is collected after minutes only, and the machine may
		// be another's, too. Beside requests it is collected soon, and giving
		// back all of it at once holds a processor, which nothing can take away,
		// for a millisecond of each ten megabytes.
		if j.opt.Idle() {
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
