package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"vitrine/appliance/config"
)

func (a *app) configCommand() *cobra.Command {
	return group(
		&cobra.Command{Use: "config", Short: "Check, show or print a sample of the configuration"},
		&cobra.Command{
			Use: "check", Short: "Report every fault of the configuration, with file and line", Args: exactly(),
			RunE: func(*cobra.Command, []string) error {
				if _, err := a.load(); err != nil {
					return err
				}
				if a.json {
					return a.printJSON(map[string]bool{"ok": true})
				}
				_, err := fmt.Fprintln(a.out, "the configuration is good")
				return err
			},
		},
		&cobra.Command{
			Use: "show", Short: "Print the effective configuration", Args: exactly(),
			RunE: func(*cobra.Command, []string) error {
				c, err := a.load()
				if err != nil {
					return err
				}
				if a.json {
					return a.printJSON(c.Map())
				}
				_, err = fmt.Fprint(a.out, c.Show())
				return err
			},
		},
		&cobra.Command{
			Use: "sample", Short: "Print the annotated sample configuration", Args: exactly(),
			RunE: func(*cobra.Command, []string) error {
				_, err := fmt.Fprint(a.out, config.Sample())
				return err
			},
		},
	)
}

// printJSON writes v as one indented document.
func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
