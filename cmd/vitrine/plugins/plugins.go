// Package plugins has the command plugin: what the appliance ranks with, looked
// at, built and switched.
//
// It knows no other commands.
package plugins

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"vitrine/appliance/client"
	"vitrine/cmd/vitrine/cli"
	"vitrine/internal/disk"
)

// app is what the commands of this package share with all others.
type app struct{ *cli.App }

const moduleSuffix = ".wasm"

// Command is plugin, for the root.
func Command(shared *cli.App) *cobra.Command {
	a := app{shared}
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
		a.listCommand(), a.inspectCommand(), a.buildCommand(),
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
		return nil, cli.Hint(fmt.Errorf("read %s: %w", file, disk.WithoutPath(err)), "name the .wasm file")
	}
	base := strings.TrimSuffix(file, moduleSuffix)
	toml, err := os.ReadFile(base + ".toml")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read %s: %w", base+".toml", disk.WithoutPath(err))
	}
	return &client.PluginInstall{Name: filepath.Base(base), Wasm: wasm, Toml: string(toml)}, nil
}

func (a app) printPlugin(p *client.Plugin) error {
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

func (a app) listCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the plugins in ranking order", Args: cli.Exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.WithPlugins(cmd.Context(), "plugin list", func(cl *client.Client) error {
				list, err := cl.Plugins(cmd.Context())
				if err != nil {
					return fmt.Errorf("plugin list: %w", err)
				}
				t := cli.NewTextTable("NAME", "VERSION", "STATE", "KINDS", "SHA256", "REASON")
				for _, p := range list {
					reason := p.Reason
					if p.State == "refused" && p.Version != "" {
						reason += "; " + p.Version + " goes on as before"
					}
					t.Row(p.Name, p.Version, string(p.State), strings.Join(p.Kinds, ","), fmt.Sprintf("%.12s", p.Sha256), reason)
				}
				return a.PrintList(list, "no plugins; copy a .wasm into the plugins folder or use: vitrine plugin install FILE", t)
			})
		},
	}
}
