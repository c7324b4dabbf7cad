package training

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"vitrine/appliance/client"
	"vitrine/cmd/vitrine/cli"
	"vitrine/cmd/vitrine/progress"
)

// pollJob is how often a running job is asked for its state.
const pollJob = 100 * time.Millisecond

func (a app) trainCommand() *cobra.Command {
	wait := true
	cmd := &cobra.Command{
		Use:   "train",
		Short: "Train on everything acknowledged so far, and publish the model if it passes the gate",
		Long: `Train on everything acknowledged so far, and publish the model if it passes the gate.
A running appliance trains, with the settings that it was started with (the part [train] of
vitrine config sample; train.preset=article is the reference article's training). Where none
runs, this process does, with its own.`,
		Args: cli.Exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.With(cmd.Context(), "train", func(cl *client.Client) error {
				// In this process the run ends with the command.
				return a.train(cmd.Context(), cl, wait || cl.InProcess())
			})
		},
	}
	cmd.Flags().BoolVar(&wait, "wait", true, "wait for the verdict; --wait=false returns when the run has started")
	return cmd
}

func (a app) train(ctx context.Context, cl *client.Client, wait bool) error {
	job, err := cl.StartJob(ctx, client.JobRequest{Kind: client.Train})
	if err != nil {
		return fmt.Errorf("train: %w", err)
	}
	if !wait {
		if a.JSON {
			return a.PrintJSON(job)
		}
		_, err := fmt.Fprintf(a.Out, "started %s\n", job.ID)
		return err
	}
	job, err = a.follow(ctx, cl, job.ID)
	if err != nil {
		return fmt.Errorf("train: %w", err)
	}
	if a.JSON {
		if err := a.PrintJSON(job); err != nil {
			return err
		}
	} else if job.Report != nil {
		a.printReport(job.Report)
	}
	switch {
	case job.State == client.Failed:
		return fmt.Errorf("train: %s", job.Error)
	case !job.Verdict.Published:
		return cli.Hint(fmt.Errorf("train: model not published: %s", job.Verdict.Reason), refusedHint(job))
	case !a.JSON:
		fmt.Fprintf(a.Out, "model %s is live: %s\n", job.Verdict.Version, job.Verdict.Reason)
	}
	return nil
}

// refusedHint is what to do about a model that the gate refused.
func refusedHint(job *client.Job) string {
	if job.Report == nil || len(job.Report.Models) == 0 {
		return "load events first: vitrine import FILE, or POST /v1/events"
	}
	return "what was live before stays; try other settings with: vitrine eval --set train.half_life=30d"
}

// follow shows a job's progress until it is over.
func (a app) follow(ctx context.Context, cl *client.Client, id string) (*client.Job, error) {
	bar := progress.New(a.Err)
	defer bar.Done()
	return cl.WaitJob(ctx, id, pollJob, func(j *client.Job) {
		if j.Progress != nil && !j.Over() {
			bar.ShowLoss(j.Progress.Stage, j.Progress.Done, j.Progress.Total, j.Progress.Loss)
		}
	})
}
