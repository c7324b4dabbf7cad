package main

import (
	"context"
	"fmt"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"vitrine/appliance/client"
)

// shownFields are the attributes that the tables show where an item has them.
var shownFields = []string{"name", "category", "brand", "price"}

func (a *app) recommendCommand() *cobra.Command {
	limit := 0
	cmd := &cobra.Command{
		Use: "recommend USER", Short: "Ask the running appliance for a user's recommendations", Args: exactly("USER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "" {
				return usage(cmd, "USER is empty")
			}
			if err := checkCount(cmd, "number", limit); err != nil {
				return err
			}
			return a.ask(cmd.Context(), "recommend", func(ctx context.Context, cl *client.Client) (*client.Recommendations, error) {
				return cl.Recommend(ctx, client.RecommendRequest{UserID: args[0], Limit: given(limit), Fields: shownFields})
			})
		},
	}
	cmd.Flags().IntVarP(&limit, "number", "n", 0, "how `many` items, to 500 (default: recommend.limit)")
	return cmd
}

func (a *app) similarCommand() *cobra.Command {
	limit := 0
	cmd := &cobra.Command{
		Use: "similar ITEM", Short: "Ask the running appliance for the items most like one", Args: exactly("ITEM"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "" {
				return usage(cmd, "ITEM is empty")
			}
			if err := checkCount(cmd, "number", limit); err != nil {
				return err
			}
			return a.ask(cmd.Context(), "similar", func(ctx context.Context, cl *client.Client) (*client.Recommendations, error) {
				return cl.Similar(ctx, args[0], limit, shownFields...)
			})
		},
	}
	cmd.Flags().IntVarP(&limit, "number", "n", 0, "how `many` items, to 500 (default: recommend.limit)")
	return cmd
}

// ask prints the list that one question gives.
func (a *app) ask(ctx context.Context, what string, question func(context.Context, *client.Client) (*client.Recommendations, error)) error {
	cl, err := a.daemon(ctx, what)
	if err != nil {
		return err
	}
	list, err := question(ctx, cl)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if a.json {
		return a.printJSON(list)
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "RANK\tITEM\tSCORE")
	columns := fieldsOf(list)
	for _, c := range columns {
		fmt.Fprintf(w, "\t%s", c)
	}
	fmt.Fprintln(w)
	for _, it := range list.Items {
		fmt.Fprintf(w, "%d\t%s\t%.4f", it.Rank, it.ItemID, it.Score)
		for _, c := range columns {
			fmt.Fprintf(w, "\t%s", cell(it.Fields[c]))
		}
		fmt.Fprintln(w)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	source := string(list.Source)
	if list.Reason != "" {
		source += " (" + list.Reason + ")"
	}
	if list.Model != nil {
		source += ", model " + list.Model.Version
	}
	_, err = fmt.Fprintln(a.out, "source:", source)
	return err
}

// fieldsOf are the shown fields that any item of the list has.
func fieldsOf(list *client.Recommendations) []string {
	var out []string
	for _, name := range shownFields {
		for _, it := range list.Items {
			if _, ok := it.Fields[name]; ok {
				out = append(out, name)
				break
			}
		}
	}
	return out
}

func cell(v any) string {
	switch x := v.(type) {
	case nil:
		return ""
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64)
	default:
		return fmt.Sprint(x)
	}
}
