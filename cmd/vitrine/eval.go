package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"vitrine/appliance/client"
)

func (a *app) evalCommand() *cobra.Command {
	k := 10
	cmd := &cobra.Command{
		Use:   "eval",
		Short: "Measure a training on the archive against popularity, publishing nothing",
		Long: `Fit on the older nine tenths of the archive's interactions and rank the whole catalogue
for every user of the newest tenth, seen items left out, beside popularity.
Settings can be tried with --set, such as --set train.rank=32.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkCount(cmd, "k", k); err != nil {
				return err
			}
			return a.withAppliance(cmd.Context(), "eval", func(cl *client.Client) error { return a.eval(cmd.Context(), cl, k) })
		},
	}
	cmd.Flags().IntVar(&k, "k", k, "a further `cut` at which every metric is measured")
	return cmd
}

// eval prints what a training would give.
func (a *app) eval(ctx context.Context, cl *client.Client, k int) error {
	report, err := a.evaluate(ctx, cl, k)
	if err != nil {
		return fmt.Errorf("eval: %w", err)
	}
	if a.json {
		return a.printJSON(report)
	}
	a.printReport(report)
	return nil
}

func (a *app) evaluate(ctx context.Context, cl *client.Client, k int) (*client.TrainReport, error) {
	job, err := cl.StartJob(ctx, client.JobRequest{Kind: client.Eval, K: k, Set: a.set})
	if err != nil {
		return nil, err
	}
	if job, err = a.follow(ctx, cl, job.ID); err != nil {
		return nil, err
	}
	if job.State == client.Failed {
		return nil, errors.New(job.Error)
	}
	if len(job.Report.Models) == 0 {
		return nil, hinted{fmt.Errorf("nothing to measure: %s", job.Verdict.Reason), "load more events: vitrine import FILE"}
	}
	return job.Report, nil
}
