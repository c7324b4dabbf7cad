package training

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vitrine/appliance/client"
	"vitrine/cmd/vitrine/cli"
	"vitrine/cmd/vitrine/progress"
)

func (a app) modelCommand() *cobra.Command {
	return cli.Group(
		&cobra.Command{Use: "model", Short: "List and show the model versions, or go back to the previous one"},
		&cobra.Command{
			Use: "list", Short: "List the model versions, newest first", Args: cli.Exactly(),
			RunE: func(cmd *cobra.Command, _ []string) error {
				return a.With(cmd.Context(), "model list", func(cl *client.Client) error {
					models, err := cl.Models(cmd.Context())
					if err != nil {
						return fmt.Errorf("model list: %w", err)
					}
					return a.printModels(models)
				})
			},
		},
		&cobra.Command{
			Use: "show VERSION", Short: "Show a version: its figures, the gate's verdict, and what it was made with", Args: cli.Exactly("VERSION"),
			RunE: func(cmd *cobra.Command, args []string) error {
				return a.With(cmd.Context(), "model show", func(cl *client.Client) error {
					models, err := cl.Models(cmd.Context())
					if err != nil {
						return fmt.Errorf("model show: %w", err)
					}
					return a.showModel(models, args[0])
				})
			},
		},
		&cobra.Command{
			Use: "rollback", Short: "Make the previous version live again", Args: cli.Exactly(),
			RunE: func(cmd *cobra.Command, _ []string) error {
				return a.With(cmd.Context(), "model rollback", func(cl *client.Client) error {
					m, err := cl.Rollback(cmd.Context())
					if err != nil {
						return fmt.Errorf("model rollback: %w", err)
					}
					if a.JSON {
						return a.PrintJSON(m)
					}
					_, err = fmt.Fprintf(a.Out, "model %s is live\n", m.Version)
					return err
				})
			},
		},
	)
}

func (a app) printModels(models []client.Model) error {
	// Users, items and when it was made, which its name tells, are in model show.
	t := cli.NewTextTable("VERSION", "STATE", "INTERACTIONS", "NDCG@10", "POPULARITY", "GATE")
	for _, m := range models {
		ndcg := map[string]string{}
		for _, mm := range m.Metrics {
			if v, ok := mm.Metrics["ndcg@10"]; ok {
				ndcg[mm.Name] = fmt.Sprintf("%.4f", v)
			}
		}
		t.Row(m.Version, string(m.State), progress.Count(int64(m.Interactions)), cmp.Or(ndcg["blend"], ndcg["als"]), ndcg["popularity"], inBrief(m.Reason))
	}
	return a.PrintList(client.ModelList{Models: models}, "no model yet; make one with: vitrine train", t)
}

// showModel prints one version of the list.
func (a app) showModel(models []client.Model, version string) error {
	at := slices.IndexFunc(models, func(m client.Model) bool { return m.Version == version })
	if at < 0 {
		return cli.Hint(fmt.Errorf("model show: there is no version %q", version), "vitrine model list shows the versions")
	}
	m := &models[at]
	if a.JSON {
		return a.PrintJSON(m)
	}
	fmt.Fprintf(a.Out, "model %s, %s, made %s\n", m.Version, m.State, m.CreatedAt.Local().Format(time.DateTime))
	if m.Parent != "" {
		fmt.Fprintf(a.Out, "live before it: %s\n", m.Parent)
	}
	fmt.Fprintf(a.Out, "gate: %s\n", m.Reason)
	report := client.TrainReport{Users: m.Users, Items: m.Items, Interactions: m.Interactions, Options: m.Options, Seconds: m.Seconds}
	for _, metrics := range m.Metrics {
		switch {
		case strings.HasSuffix(metrics.Name, "-popularity"):
			report.Difference = &metrics
		case strings.HasSuffix(metrics.Name, "-live"):
			report.DifferenceLive = &metrics
		default:
			report.Models = append(report.Models, metrics)
		}
	}
	a.printReport(&report)
	return nil
}

// inBrief is a gate's reason without what stands in brackets, its intervals.
func inBrief(reason string) string {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(reason, " (")
		out.WriteString(before)
		_, after, closed := strings.Cut(rest, ")")
		if !found || !closed {
			return out.String()
		}
		reason = after
	}
}
