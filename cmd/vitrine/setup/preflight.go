package setup

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"vitrine/cmd/vitrine/cli"
	"vitrine/installer/preflight"
)

func (a app) preflight() *cobra.Command {
	var opt preflight.Options
	cmd := &cobra.Command{Use: "preflight", Short: "Look at this machine: what it is, what would hurt, and how to mend it", Args: cli.Exactly()}
	cmd.Flags().BoolVar(&opt.Production, "production", false, "judge as where others are served (so it is when http.listen is not a loopback address)")
	cmd.Flags().IntVar(&opt.Users, "users", 1_000_000, "how many users the shop has, for the memory")
	cmd.Flags().IntVar(&opt.Items, "items", 200_000, "how many items the shop has, for the memory")
	language := languageFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var err error
		if opt.Users < 1 || opt.Items < 1 {
			return cli.Usage(cmd, "--users and --items must be positive")
		}
		if opt.Language, err = language(); err != nil {
			return err
		}
		if opt.Config, err = a.LoadUnguarded(); err != nil {
			return err
		}
		report := preflight.Run(cmd.Context(), opt)
		if a.JSON {
			err = a.PrintJSON(report)
		} else {
			printRows(a.Out, report.Rows)
		}
		if err == nil && !report.OK {
			return cli.Failed
		}
		return err
	}
	return cmd
}

// printRows is the table, each finding that is not fine with why and fix
// below it.
func printRows(out io.Writer, rows []preflight.Line) {
	var t cli.Table
	for _, r := range rows {
		t.Row(strings.ToUpper(string(r.Severity)), r.ID, r.Value, "("+r.Want+")")
	}
	_ = t.Write(out)
	for _, r := range rows {
		if r.Why == "" {
			continue
		}
		fmt.Fprintf(out, "\n%s: %s\n", r.ID, r.Why)
		if r.Fix != "" {
			fmt.Fprintf(out, "  -> %s\n", r.Fix)
		}
	}
}
