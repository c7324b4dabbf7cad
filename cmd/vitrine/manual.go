package main

import (
	"github.com/spf13/cobra"

	"vitrine/cmd/vitrine/cli"
	"vitrine/cmd/vitrine/manual"
)

// manualCommand is hidden: packages are built with it.
func (a *app) manualCommand() *cobra.Command {
	return &cobra.Command{
		Use: "manual DIR", Short: "Write the man pages", Hidden: true, Args: cli.Exactly("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error { return manual.Write(cmd.Root(), args[0], a.Version) },
	}
}
