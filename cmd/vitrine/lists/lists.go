// Package lists has the commands that ask for lists of items, recommend and
// similar, and prints these as tables for people, with the reasons of each item
// where the list has them.
//
// It knows no other commands.
package lists

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"vitrine/appliance/client"
	"vitrine/cmd/vitrine/cli"
)

// app is what the commands of this package share with all others.
type app struct{ *cli.App }

// Commands are all of this package, for the root.
func Commands(shared *cli.App) []*cobra.Command {
	a := app{shared}
	return []*cobra.Command{a.recommendCommand(), a.similarCommand()}
}

func (a app) recommendCommand() *cobra.Command {
	limit, explain := 0, false
	cmd := &cobra.Command{
		Use: "recommend USER", Short: "Ask the running appliance for a user's recommendations", Args: cli.Exactly("USER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "" {
				return cli.Usage(cmd, "USER is empty")
			}
			if err := cli.CheckCount(cmd, "number", limit); err != nil {
				return err
			}
			return a.ask(cmd.Context(), "recommend", func(ctx context.Context, cl *client.Client) (*client.Recommendations, error) {
				req := client.RecommendRequest{UserID: args[0], Fields: shown()}
				if limit > 0 {
					req.Limit = &limit
				}
				if !explain {
					return cl.Recommend(ctx, req)
				}
				return explained(ctx, cl, req)
			})
		},
	}
	cmd.Flags().IntVarP(&limit, "number", "n", 0, "how `many` items, to 500 (default: recommend.limit)")
	cmd.Flags().BoolVar(&explain, "explain", false, "tell which of the user's items carry each score, and what plugins and rules changed")
	return cmd
}

func (a app) similarCommand() *cobra.Command {
	limit := 0
	cmd := &cobra.Command{
		Use: "similar ITEM", Short: "Ask the running appliance for the items most like one", Args: cli.Exactly("ITEM"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "" {
				return cli.Usage(cmd, "ITEM is empty")
			}
			if err := cli.CheckCount(cmd, "number", limit); err != nil {
				return err
			}
			return a.ask(cmd.Context(), "similar", func(ctx context.Context, cl *client.Client) (*client.Recommendations, error) {
				return cl.Similar(ctx, args[0], limit, shown()...)
			})
		},
	}
	cmd.Flags().IntVarP(&limit, "number", "n", 0, "how `many` items, to 500 (default: recommend.limit)")
	return cmd
}

// ask prints the list that one question gives.
func (a app) ask(ctx context.Context, what string, question func(context.Context, *client.Client) (*client.Recommendations, error)) error {
	cl, err := a.Daemon(ctx, what)
	if err != nil {
		return err
	}
	list, err := question(ctx, cl)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if a.JSON {
		return a.PrintJSON(list)
	}
	return write(a.Out, list)
}
