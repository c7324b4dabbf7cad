// Package intake has the commands for what comes in by files, and for what was
// refused of it or of anything else: import and deadletters.
//
// It knows no other commands.
package intake

import (
	"github.com/spf13/cobra"

	"vitrine/cmd/vitrine/cli"
)

// app is what the commands of this package share with all others.
type app struct{ *cli.App }

// Commands are all of this package, for the root.
func Commands(shared *cli.App) []*cobra.Command {
	a := app{shared}
	return []*cobra.Command{a.importCommand(), a.deadlettersCommand()}
}
