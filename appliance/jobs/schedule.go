package jobs

import (
	"context"
	"time"

	"vitrine/internal/logkey"
)

// Schedule trains when the interval has passed since the live model was made
// (whoever restarts the appliance more often is not kept waiting for ever) and
// records came in since the last attempt: a model that was refused or rolled
// back does not come again from the same data. Each run is a job, so that a
// manual one is not disturbed.
func (j *Jobs) Schedule(ctx context.Context) {
	every := j.opt.Config.Train.Schedule
	if every == 0 {
		<-ctx.Done()
		return
	}
	last, seen := j.opt.Now(), uint64(0)
	if live := j.opt.Registry.Live(); live != nil {
		last, seen = live.Created, live.Position
	}
	archived, err := j.opt.Archive.News()
	if err != nil {
		j.opt.Log.Warn("it is not known whether there is anything new to train on", logkey.Error, err)
		archived = j.opt.Archive.Position()
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(min(every, every-j.opt.Now().Sub(last))):
		}
		last = j.opt.Now()
		end := max(archived, j.opt.Pump.Stats().News)
		if end <= seen {
			continue
		}
		if _, err := j.startTraining(); err != nil {
			j.opt.Log.Info("scheduled training put off", logkey.Reason, err.Error())
			continue
		}
		seen = end
	}
}
