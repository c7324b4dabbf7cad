package plugins

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vitrine/appliance/pluginhost"
	"vitrine/cmd/vitrine/cli"
	"vitrine/cmd/vitrine/progress"
	"vitrine/internal/disk"
)

func (a app) inspectCommand() *cobra.Command {
	return &cobra.Command{
		Use: "inspect FILE", Short: "Tell what a module is, reads and costs, and whether it would be refused", Args: cli.Exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			wasm, err := os.ReadFile(args[0])
			if err != nil {
				return fmt.Errorf("plugin inspect: read %s: %w", args[0], disk.WithoutPath(err))
			}
			ins, err := inspect(cmd.Context(), wasm)
			if err != nil {
				return fmt.Errorf("plugin inspect: %w", err)
			}
			if a.JSON {
				err = a.PrintJSON(inspectionOf(ins))
			} else {
				err = a.printInspection(args[0], ins)
			}
			if err == nil && ins.Reason != "" {
				return fmt.Errorf("plugin inspect: %s would be refused: %s", args[0], ins.Reason)
			}
			return err
		},
	}
}

// inspect loads a module in a host without a folder.
func inspect(ctx context.Context, wasm []byte) (*pluginhost.Inspection, error) {
	cache, err := os.MkdirTemp("", "vitrine-inspect")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(cache) //nolint:errcheck // the system clears it at the latest
	command, err := cli.ChildLine()
	if err != nil {
		return nil, err
	}
	host, err := pluginhost.Open(ctx, pluginhost.Options{CacheDir: cache, Compile: append(command, "compile")})
	if err != nil {
		return nil, err
	}
	ins, err := host.Inspect(ctx, wasm)
	return &ins, errors.Join(err, host.Close())
}

// inspection is an Inspection as JSON.
type inspection struct {
	SHA256      string           `json:"sha256"`
	Bytes       int              `json:"bytes"`
	Reason      string           `json:"reason"`
	Manifest    any              `json:"manifest"`
	Imports     []string         `json:"imports"`
	Exports     []string         `json:"exports"`
	Pages       int              `json:"pages"`
	MaxPages    int              `json:"max_pages"`
	LoadSeconds float64          `json:"load_seconds"`
	Costs       []inspectionCost `json:"costs"`
}

// inspectionCost is what trial calls of one kind cost.
type inspectionCost struct {
	Kind        string  `json:"kind"`
	FuelBase    float64 `json:"fuel_base"`
	FuelPerItem float64 `json:"fuel_per_item"`
	NsPerItem   float64 `json:"ns_per_item"`
}

func inspectionOf(ins *pluginhost.Inspection) inspection {
	out := inspection{
		SHA256: ins.SHA256, Bytes: ins.Bytes, Reason: ins.Reason,
		Imports: append([]string{}, ins.Imports...), Exports: append([]string{}, ins.Exports...),
		Pages: ins.Pages, MaxPages: ins.MaxPages, LoadSeconds: ins.Load.Seconds(), Costs: []inspectionCost{},
	}
	if ins.Manifest != nil {
		out.Manifest = ins.Manifest
	}
	for _, c := range ins.Costs {
		out.Costs = append(out.Costs, inspectionCost{c.Kind.String(), c.Base, c.PerItem, float64(c.Time.Nanoseconds()) / float64(max(c.Rows, 1))})
	}
	return out
}

func (a app) printInspection(file string, ins *pluginhost.Inspection) error {
	fmt.Fprintf(a.Out, "%s: %s bytes, sha256 %s\n", file, progress.Count(int64(ins.Bytes)), ins.SHA256)
	if m := ins.Manifest; m != nil {
		fmt.Fprintf(a.Out, "plugin   %s %s: %s\n", m.Name, m.Version, m.Summary)
		for _, c := range m.Reads {
			fmt.Fprintf(a.Out, "reads    %v.%s (%v)\n", c.Scope, c.Name, c.Type)
		}
		for _, c := range m.Writes {
			fmt.Fprintf(a.Out, "writes   %v.%s (%v)\n", c.Scope, c.Name, c.Type)
		}
		for _, c := range m.Config {
			fmt.Fprintf(a.Out, "config   %s: %s\n", c.Key, c.Help)
		}
	}
	if ins.MaxPages == 0 { // refused before anything could be read of it
		return nil
	}
	fmt.Fprintf(a.Out, "memory   %d pages of 64 KiB at rest, %d at most\n", ins.Pages, ins.MaxPages)
	for _, c := range ins.Costs {
		fmt.Fprintf(a.Out, "%-8s %.0f + %.1f fuel an item, %s for %d items\n", c.Kind, c.Base, c.PerItem, c.Time.Round(100*time.Nanosecond), c.Rows)
	}
	_, err := fmt.Fprintf(a.Out, "imports  %s\n", strings.Join(ins.Imports, ", "))
	return err
}
