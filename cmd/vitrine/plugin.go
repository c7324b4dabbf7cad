package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"vitrine/appliance/client"
	"vitrine/appliance/pluginhost"
	"vitrine/cmd/vitrine/cli"
	"vitrine/cmd/vitrine/progress"
)

const moduleSuffix = ".wasm"

func (a *app) pluginCommand() *cobra.Command {
	change := func(use, short string, do func(ctx context.Context, cl *client.Client, name string) (*client.Plugin, error)) *cobra.Command {
		return &cobra.Command{
			Use: use, Short: short, Args: cli.Exactly(strings.Fields(use)[1]),
			RunE: func(cmd *cobra.Command, args []string) error {
				what := "plugin " + strings.Fields(use)[0]
				return a.WithPlugins(cmd.Context(), what, func(cl *client.Client) error {
					p, err := do(cmd.Context(), cl, args[0])
					if err != nil {
						return fmt.Errorf("%s: %w", what, err)
					}
					return a.printPlugin(p)
				})
			},
		}
	}
	return cli.Group(
		&cobra.Command{Use: "plugin", Short: "Build, inspect, install and switch ranking plugins"},
		a.pluginListCommand(), a.pluginInspectCommand(), a.pluginBuildCommand(),
		change("install FILE", "Check and compile FILE.wasm, then put it and FILE.toml into the plugins folder",
			func(ctx context.Context, cl *client.Client, file string) (*client.Plugin, error) {
				in, err := installOf(file)
				if err != nil {
					return nil, err
				}
				return cl.InstallPlugin(ctx, *in)
			}),
		change("enable NAME", "Let a plugin rank", func(ctx context.Context, cl *client.Client, name string) (*client.Plugin, error) {
			return cl.EnablePlugin(ctx, name, true)
		}),
		change("disable NAME", "Take a plugin out of the ranking; its files stay", func(ctx context.Context, cl *client.Client, name string) (*client.Plugin, error) {
			return cl.EnablePlugin(ctx, name, false)
		}),
		change("remove NAME", "Take a plugin out of the ranking and its files out of the folder", func(ctx context.Context, cl *client.Client, name string) (*client.Plugin, error) {
			return &client.Plugin{Name: name, State: "removed"}, cl.RemovePlugin(ctx, name)
		}),
	)
}

// installOf reads a module and the settings beside it.
func installOf(file string) (*client.PluginInstall, error) {
	wasm, err := os.ReadFile(file)
	if err != nil {
		return nil, cli.Hint(fmt.Errorf("read %s: %w", file, cli.WithoutPath(err)), "name the .wasm file")
	}
	base := strings.TrimSuffix(file, moduleSuffix)
	toml, err := os.ReadFile(base + ".toml")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read %s: %w", base+".toml", cli.WithoutPath(err))
	}
	return &client.PluginInstall{Name: filepath.Base(base), Wasm: wasm, Toml: string(toml)}, nil
}

func (a *app) printPlugin(p *client.Plugin) error {
	if a.JSON {
		return a.PrintJSON(p)
	}
	line := p.Name + " is " + string(p.State)
	if p.Version != "" {
		line = p.Name + " " + p.Version + " is " + string(p.State)
	}
	if p.Reason != "" {
		line += ": " + p.Reason
	}
	_, err := fmt.Fprintln(a.Out, line)
	return err
}

func (a *app) pluginListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the plugins in ranking order", Args: cli.Exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.WithPlugins(cmd.Context(), "plugin list", func(cl *client.Client) error {
				list, err := cl.Plugins(cmd.Context())
				if err != nil {
					return fmt.Errorf("plugin list: %w", err)
				}
				if a.JSON {
					return a.PrintJSON(list)
				}
				if len(list) == 0 {
					_, err := fmt.Fprintln(a.Out, "no plugins; copy a .wasm into the plugins folder or use: vitrine plugin install FILE")
					return err
				}
				w := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
				fmt.Fprintln(w, "NAME\tVERSION\tSTATE\tKINDS\tSHA256\tREASON")
				for _, p := range list {
					reason := p.Reason
					if p.State == "refused" && p.Version != "" {
						reason += "; " + p.Version + " goes on as before"
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%.12s\t%s\n", p.Name, p.Version, p.State, strings.Join(p.Kinds, ","), p.Sha256, reason)
				}
				return w.Flush()
			})
		},
	}
}

func (a *app) pluginInspectCommand() *cobra.Command {
	return &cobra.Command{
		Use: "inspect FILE", Short: "Tell what a module is, reads and costs, and whether it would be refused", Args: cli.Exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			wasm, err := os.ReadFile(args[0])
			if err != nil {
				return fmt.Errorf("plugin inspect: read %s: %w", args[0], cli.WithoutPath(err))
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

func (a *app) printInspection(file string, ins *pluginhost.Inspection) error {
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

func (a *app) pluginBuildCommand() *cobra.Command {
	return &cobra.Command{
		Use: "build [DIR]", Short: "Build the Go plugin in DIR (default here) as DIR's name.wasm",
		Args: cli.AtMostOne("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			dir, err := filepath.Abs(dir)
			if err != nil {
				return fmt.Errorf("plugin build: %w", err)
			}
			out := filepath.Join(dir, filepath.Base(dir)+moduleSuffix)
			build := exec.CommandContext(cmd.Context(), "go", "build", "-buildvcs=false", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w", "-o", out, ".")
			build.Dir = dir
			build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
			build.Stderr, build.Stdout = a.Err, a.Err
			if err := build.Run(); err != nil {
				if errors.Is(err, exec.ErrNotFound) {
					return cli.Hint(errors.New("plugin build: there is no go command"), "install Go 1.24 or newer")
				}
				return cli.Hint(fmt.Errorf("plugin build: the go command failed in %s: %w", dir, err), "DIR is a folder with a main package that imports vitrine/sdk; docs/PLUGINS.md has one")
			}
			if a.JSON {
				return a.PrintJSON(map[string]string{"wasm": out})
			}
			_, err = fmt.Fprintf(a.Out, "built %s; put it to work with: vitrine plugin install %s\n", out, out)
			return err
		},
	}
}
