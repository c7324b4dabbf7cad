package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"vitrine/appliance/demo"
)

func (a *app) demoCommand() *cobra.Command {
	return &cobra.Command{
		Use: "demo DIR", Short: "Write the demo shop's event and item files", Args: exactly("DIR"),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := demo.WriteFiles(args[0], demo.Config{}); err != nil {
				return fmt.Errorf("demo: %w", err)
			}
			files := map[string]string{"items": filepath.Join(args[0], "items.ndjson"), "events": filepath.Join(args[0], "events.ndjson")}
			if a.json {
				return a.printJSON(files)
			}
			fmt.Fprintf(a.out, "wrote %s and %s\nload them into a running appliance with:\n", files["items"], files["events"])
			_, err := fmt.Fprintf(a.out, "  vitrine import --items %s\n  vitrine import %s\n", files["items"], files["events"])
			return err
		},
	}
}
