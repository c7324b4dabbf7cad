package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"vitrine/appliance/config"
	"vitrine/cmd/vitrine/cli"
)

func (a *app) configCommand() *cobra.Command {
	return cli.Group(
		&cobra.Command{Use: "config", Short: "Check, show or print a sample of the configuration"},
		&cobra.Command{
			Use: "check", Short: "Report every fault of the configuration, with file and line", Args: cli.Exactly(),
			RunE: func(*cobra.Command, []string) error {
				if _, err := a.Load(); err != nil {
					return err
				}
				if a.JSON {
					return a.PrintJSON(map[string]bool{"ok": true})
				}
				_, err := fmt.Fprintln(a.Out, "the configuration is good")
				return err
			},
		},
		&cobra.Command{
			Use: "show", Short: "Print the effective configuration", Args: cli.Exactly(),
			RunE: func(*cobra.Command, []string) error {
				c, err := a.Load()
				if err != nil {
					return err
				}
				if a.JSON {
					return a.PrintJSON(c.Map())
				}
				_, err = fmt.Fprint(a.Out, c.Show())
				return err
			},
		},
		&cobra.Command{
			Use: "sample", Short: "Print the annotated sample configuration", Args: cli.Exactly(),
			RunE: func(*cobra.Command, []string) error {
				_, err := fmt.Fprint(a.Out, config.Sample())
				return err
			},
		},
	)
}
