package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"vitrine/appliance/config"
	"vitrine/cmd/vitrine/cli"
	"vitrine/cmd/vitrine/progress"
	"vitrine/cmd/vitrine/service"
)

func (a *app) serveCommand() *cobra.Command {
	demo := false
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the appliance",
		Args:  cli.Exactly(),
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.serve(cmd.Context(), demo) },
	}
	cmd.Flags().BoolVar(&demo, "demo", false, "fill an empty data folder with the generated demo shop and train on it")
	return cmd
}

// serve runs the appliance until ctx ends.
func (a *app) serve(ctx context.Context, demo bool) error {
	command, err := cli.ChildLine()
	if err != nil {
		return err
	}
	bar := progress.New(a.Err)
	reload := make(chan os.Signal, 1)
	if !bar.Terminal() { // there, a hangup means that the terminal is gone
		signal.Notify(reload, syscall.SIGHUP)
		defer signal.Stop(reload)
	}
	return service.Run(ctx, service.Options{
		Load: func() (*config.Config, error) {
			from := a.Sources()
			from.OwnData = demo
			return config.Load(from)
		},
		Command: command, Demo: demo, Version: a.Version, Out: a.Out, Log: bar,
		Progress: bar.Show, Settled: bar.Done, Reload: reload,
	})
}
