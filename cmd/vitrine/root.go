package main

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"vitrine/cmd/vitrine/cli"
	"vitrine/cmd/vitrine/copies"
	"vitrine/cmd/vitrine/exports"
	"vitrine/cmd/vitrine/intake"
	"vitrine/cmd/vitrine/lists"
	"vitrine/cmd/vitrine/plugins"
	"vitrine/cmd/vitrine/setup"
	"vitrine/cmd/vitrine/top"
	"vitrine/cmd/vitrine/training"
)

// app are the commands of this package; the others have a folder each.
type app struct{ *cli.App }

// run is the whole program but for the process around it.
func run(ctx context.Context, args []string, shared *cli.App) int {
	a := &app{shared}
	root := a.Root(&cobra.Command{
		Use:   "vitrine",
		Short: "A recommender appliance: events in, live recommendations out",
	}, slices.Concat(
		[]*cobra.Command{
			a.serveCommand(), a.rulesCommand(), a.keyCommand(), a.benchCommand(), a.configCommand(), a.demoCommand(),
			a.versionCommand(), a.ChildCommand(), a.manualCommand(),
			plugins.Command(shared), exports.Command(shared), top.Command(shared),
		},
		intake.Commands(shared), training.Commands(shared), lists.Commands(shared), setup.Commands(shared), copies.Commands(shared),
	)...)
	return a.Run(ctx, root, args)
}
