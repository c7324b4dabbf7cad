package appliance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"vitrine/appliance/config"
	"vitrine/appliance/trainer"
	"vitrine/bridge/archive"
	"vitrine/bridge/jetstream"
)

// Evaluate measures what a training would give, in this process, with no
// appliance running on the data folder. What a killed process left on the bus
// is committed first, so that the result is over everything acknowledged. The
// report has the JSON form of a job's.
func Evaluate(ctx context.Context, c *config.Config, k int, tell func(stage string, done, total int64)) (json.RawMessage, error) {
	if _, err := os.Stat(c.Data.Dir); err != nil {
		return nil, &Fault{
			Op: "open data folder", Err: fmt.Errorf("there is nothing at %s", c.Data.Dir),
			Hint: "name the appliance's folder with --data DIR",
		}
	}
	f, err := holdFolder(c.Data.Dir)
	if err != nil {
		return nil, err
	}
	defer f.release() //nolint:errcheck // the lock goes with the process
	if err := commitBus(ctx, c, f); err != nil {
		return nil, err
	}
	job := trainingJob(c)
	job.K = k
	result, err := trainer.Run(ctx, job, func(p trainer.Progress) { tell(p.Stage, int64(p.Done), int64(p.Total)) })
	if err != nil {
		return nil, err
	}
	if err := measured(result); err != nil {
		return nil, err
	}
	return json.Marshal(trainReport(result))
}

// measured is an error where there was nothing to measure.
func measured(r *trainer.Result) error {
	if len(r.Metrics) > 0 {
		return nil
	}
	return &Fault{Op: "nothing to measure", Err: errors.New(r.Gate.Reason), Hint: "load more events: vitrine import FILE"}
}

func commitBus(ctx context.Context, c *config.Config, f *folder) error {
	log := slog.New(slog.DiscardHandler)
	a, err := archive.Open(ctx, archive.Options{Dir: c.ArchiveDir(), Log: log})
	if err != nil {
		return err
	}
	bus, err := jetstream.Open(ctx, jetstream.Options{Dir: f.path("bus"), MaxBytes: c.Bus.MaxBytes, After: a.Position(), Log: log})
	if err != nil {
		return err
	}
	defer bus.Close() //nolint:errcheck // everything on it is durable
	if err := archive.NewFollower(a, bus, archive.FollowerOptions{Log: log}).Flush(ctx); err != nil {
		return fmt.Errorf("commit to the archive: %w", err)
	}
	return nil
}
