// Package cli is what the commands of the program share: the terminal and the
// common flags, failures with what to type next, the appliance to ask.
//
// It knows no command. A folder of commands makes them from an App, and the
// program hangs them all under one root.
package cli

import (
	"context"
	"encoding/json"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"vitrine/appliance/config"
)

// App is what every command has: where it reads and writes, and the common
// flags once the command line is parsed.
type App struct {
	In       io.Reader
	Out, Err io.Writer
	// Version is the program's.
	Version string
	// JSON asks for machine-readable output.
	JSON bool
	// ConfigFile is the flag --config, "" where it was not given; Set are all
	// --set, each key=value.
	ConfigFile string
	Set        []string

	dataDir string
}

// Root makes the program's first command of its subcommands.
func (a *App) Root(root *cobra.Command, subcommands ...*cobra.Command) *cobra.Command {
	Group(root, subcommands...)
	root.SilenceErrors, root.SilenceUsage = true, true
	flags := root.PersistentFlags()
	flags.StringVar(&a.ConfigFile, "config", "", "configuration `FILE` (default "+config.SystemFile+" if it exists)")
	flags.StringArrayVar(&a.Set, "set", nil, "set a configuration `key=value` (repeatable, wins over files)")
	flags.StringVar(&a.dataDir, "data", "", "data folder `DIR` (default /var/lib/vitrine with "+config.SystemFile+", else ~/.local/share/vitrine)")
	flags.BoolVar(&a.JSON, "json", false, "machine-readable output on stdout")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		text, _, _ := strings.Cut(err.Error(), ": strconv.") // what the parser calls itself helps nobody
		return Usage(cmd, "%s", text)
	})
	root.SetHelpCommand(helpCommand())
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			Group(c)
		}
	}
	root.SetUsageTemplate(strings.Replace(root.UsageTemplate(),
		"{{if .Runnable}}", `{{if and .Runnable (not (index .Annotations "`+groupMark+`"))}}`, 1))
	return root
}

// Run is the whole program but for the process around it: it runs the command
// that args name and gives the exit code, after telling what failed.
func (a *App) Run(ctx context.Context, root *cobra.Command, args []string) int {
	root.SetArgs(args)
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	started := false
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		started = true
		if cmd.Flags().Changed("data") && a.dataDir == "" {
			return Usage(cmd, "--data needs a folder")
		}
		return nil
	}
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if !started {
		err = AsUsage(err) // the command line was refused before a command ran
	}
	return a.fail(err)
}

// Sources are where the common flags have the configuration come from.
func (a *App) Sources() config.Sources {
	return config.Sources{File: a.ConfigFile, Set: a.Set, DataDir: a.dataDir}
}

// Load reads the configuration that the common flags name.
func (a *App) Load() (*config.Config, error) { return config.Load(a.Sources()) }

// LoadUnguarded does, too, where listeners are open to others while there are
// no keys.
func (a *App) LoadUnguarded() (*config.Config, error) {
	from := a.Sources()
	from.Unguarded = true
	return config.Load(from)
}

// PrintJSON writes v as one indented document.
func (a *App) PrintJSON(v any) error {
	enc := json.NewEncoder(a.Out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
