package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"vitrine/appliance/demo"
	"vitrine/cmd/vitrine/cli"
)

func (a *app) demoCommand() *cobra.Command {
	return &cobra.Command{
		Use: "demo DIR", Short: "Write the demo shop's event, item and user files", Args: cli.Exactly("DIR"),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := demo.WriteFiles(args[0], demo.Config{}); err != nil {
				return fmt.Errorf("demo: %w", err)
			}
			files := map[string]string{
				"items": filepath.Join(args[0], demo.ItemsFile), "users": filepath.Join(args[0], demo.UsersFile),
				"events": filepath.Join(args[0], demo.EventsFile),
			}
			if a.JSON {
				return a.PrintJSON(files)
			}
			fmt.Fprintf(a.Out, "wrote %s, %s and %s\nload them into a running appliance with:\n", files["items"], files["users"], files["events"])
			_, err := fmt.Fprintf(a.Out, "  vitrine import --items %s\n  vitrine import --users %s\n  vitrine import %s\n", files["items"], files["users"], files["events"])
			return err
		},
	}
}
