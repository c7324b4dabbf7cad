package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"vitrine/appliance/client"
	"vitrine/cmd/vitrine/cli"
	"vitrine/internal/disk"
)

func (a *app) rulesCommand() *cobra.Command {
	version := 0
	show := &cobra.Command{
		Use: "show", Short: "Print the rules in force, as rules set takes them", Args: cli.Exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("version") && version < 1 {
				return cli.Usage(cmd, "--version must be 1 or more")
			}
			return a.withRules(cmd.Context(), "rules show", func(ctx context.Context, cl *client.Client) error {
				set, err := cl.Rules(ctx, version)
				if err != nil {
					return err
				}
				return a.PrintJSON(set) // without --json, too: it is what rules set takes
			})
		},
	}
	show.Flags().IntVar(&version, "version", 0, "those of an earlier `VERSION`; the last ten are kept")
	return cli.Group(
		&cobra.Command{Use: "rules", Short: "Show, check and set the business rules"},
		show,
		&cobra.Command{
			Use: "set FILE", Short: "Put the rules of a JSON file into force, at once; - is the standard input", Args: cli.Exactly("FILE"),
			RunE: func(cmd *cobra.Command, args []string) error { return a.changeRules(cmd.Context(), args[0], false) },
		},
		&cobra.Command{
			Use: "check FILE", Short: "Tell all faults of a file of rules and change nothing", Args: cli.Exactly("FILE"),
			RunE: func(cmd *cobra.Command, args []string) error { return a.changeRules(cmd.Context(), args[0], true) },
		},
	)
}

// withRules asks the appliance; a problem lists all faults.
func (a *app) withRules(ctx context.Context, what string, do func(context.Context, *client.Client) error) error {
	return a.With(ctx, what, func(cl *client.Client) error {
		if err := do(ctx, cl); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	})
}

func (a *app) changeRules(ctx context.Context, file string, check bool) error {
	what := "rules set"
	if check {
		what = "rules check"
	}
	body, err := readAll(file)
	if err != nil {
		return cli.Hint(fmt.Errorf("%s: read %s: %w", what, file, disk.WithoutPath(err)), "vitrine rules show prints rules to begin with")
	}
	return a.withRules(ctx, what, func(ctx context.Context, cl *client.Client) error {
		set, err := cl.SetRules(ctx, body, check)
		if err != nil {
			return err
		}
		switch {
		case a.JSON:
			return a.PrintJSON(set)
		case check:
			_, err = fmt.Fprintf(a.Out, "%s: no faults, rules: %d\n", file, len(set.Rules))
		default:
			_, err = fmt.Fprintf(a.Out, "rules in force: %d, version %d\n", len(set.Rules), set.Version)
		}
		return err
	})
}

func readAll(file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(os.Stdin)
	}
	return os.ReadFile(file)
}
