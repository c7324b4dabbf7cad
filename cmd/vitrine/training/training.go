// Package training has the commands that make models and tell how good they
// are: train, eval and model, and the tables that they print for people.
//
// It knows no other commands.
package training

import (
	"github.com/spf13/cobra"

	"vitrine/cmd/vitrine/cli"
)

// app is what the commands of this package share with all others.
type app struct{ *cli.App }

// Commands are all of this package, for the root.
func Commands(shared *cli.App) []*cobra.Command {
	a := app{shared}
	return []*cobra.Command{a.trainCommand(), a.evalCommand(), a.modelCommand()}
}
