package setup

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"vitrine/cmd/vitrine/cli"
	"vitrine/installer/tune"
)

func (a app) tune() *cobra.Command {
	apply, undo := false, false
	cmd := &cobra.Command{Use: "tune", Short: "Show which kernel limits are too low; raise them, or take it back", Args: cli.Exactly()}
	cmd.Flags().BoolVar(&apply, "apply", false, "raise them, now and for every start, in /"+tune.DropIn)
	cmd.Flags().BoolVar(&undo, "undo", false, "bring back what was before --apply")
	dry := cmd.Flags().Bool("dry-run", false, "change nothing, whatever else is said")
	language := languageFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if apply && undo {
			return cli.Usage(cmd, "--apply and --undo exclude each other")
		}
		var opt tune.Options
		var err error
		if opt.Language, err = language(); err != nil {
			return err
		}
		var out tune.Result
		switch {
		case undo && !*dry:
			out, err = tune.Undo(opt)
		case apply && !*dry:
			out, err = tune.Apply(opt)
		default:
			out = tune.Plan(opt)
		}
		if err != nil {
			return asRoot(err)
		}
		if a.JSON {
			return a.PrintJSON(out)
		}
		var t cli.Table
		for _, r := range out.Rows {
			t.Row(strings.ToUpper(r.Action), r.Key, r.Current, "-> "+r.Want, r.Why)
		}
		_ = t.Write(a.Out)
		switch {
		case len(out.Changed) > 0:
			fmt.Fprintf(a.Out, "changed: %s\n", strings.Join(out.Changed, ", "))
		case !apply && !undo:
			fmt.Fprintln(a.Out, "nothing was changed; vitrine tune --apply raises what is marked RAISE")
		default:
			fmt.Fprintln(a.Out, "there was nothing to change")
		}
		return nil
	}
	return cmd
}
