// Package setup has the commands that prepare a machine and keep it well:
// preflight, tune, configure, doctor and bundle. Each parses its flags, calls
// the installer, and prints.
//
// It knows the installer and no other commands.
package setup

import (
	"errors"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"vitrine/cmd/vitrine/cli"
	"vitrine/installer/words"
)

// app is what the commands of this package share with all others.
type app struct{ *cli.App }

// Commands are all of this package, for the root.
func Commands(shared *cli.App) []*cobra.Command {
	a := app{shared}
	return []*cobra.Command{a.preflight(), a.tune(), a.configure(), a.doctor(), a.bundle()}
}

// asRoot adds the hint that a refusal for lack of rights calls for.
func asRoot(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return cli.Hint(err, "run it as root")
	}
	return err
}

// languageFlag is --lang, and what it gives.
func languageFlag(cmd *cobra.Command) func() (words.Language, error) {
	lang := cmd.Flags().String("lang", "", "language `en or zh` (default: that of the locale)")
	return func() (words.Language, error) {
		l, err := words.Parse(*lang, os.Getenv)
		if err != nil {
			return l, cli.Usage(cmd, "%s", err)
		}
		return l, nil
	}
}
