package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"vitrine/appliance"
	"vitrine/appliance/client"
	"vitrine/appliance/config"
	"vitrine/cmd/vitrine/copies"
	"vitrine/cmd/vitrine/exports"
	"vitrine/cmd/vitrine/setup"
	"vitrine/cmd/vitrine/top"
)

// The exit codes of docs/OPERATIONS.md.
const (
	exitOK      = 0
	exitFailed  = 1
	exitUsage   = 2
	exitRefused = 78
)

// terminal is where a command reads and writes.
type terminal struct {
	in       io.Reader
	out, err io.Writer
}

// app is what every command shares: the terminal and the common flags.
type app struct {
	*terminal
	configFile string
	set        []string
	dataDir    string
	json       bool
}

// usageError is a wrong command line.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

// hinted is an error with what to type next.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }

// errSilent is a failure that the command has already printed.
var errSilent = errors.New("failed")

// maxList is the longest list that the API gives.
const maxList = 500

// run is the whole program but for the process around it.
func run(ctx context.Context, args []string, t *terminal) int {
	a := &app{terminal: t}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(t.in)
	root.SetOut(t.out)
	root.SetErr(t.err)
	started := false
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		started = true
		if cmd.Flags().Changed("data") && a.dataDir == "" {
			return usage(cmd, "--data needs a folder")
		}
		return nil
	}
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if !started {
		err = usageError{err} // the command line was refused before a command ran
	}
	return a.fail(err)
}

func (a *app) root() *cobra.Command {
	root := group(&cobra.Command{
		Use:           "vitrine",
		Short:         "A recommender appliance: events in, live recommendations out",
		SilenceErrors: true,
		SilenceUsage:  true,
	},
		a.serveCommand(), a.importCommand(), a.trainCommand(), a.evalCommand(),
		a.recommendCommand(), a.similarCommand(), a.modelCommand(), a.deadlettersCommand(),
		a.pluginCommand(), a.rulesCommand(), a.keyCommand(), a.benchCommand(), a.configCommand(), a.demoCommand(), a.versionCommand(), a.childCommand(), a.manualCommand(),
	)
	root.AddCommand(top.Command(&top.Shared{Out: a.out, JSON: &a.json, Connect: a.daemon, Usage: usage}))
	load := func(unguarded bool) (*config.Config, error) {
		return config.Load(config.Sources{File: a.configFile, Set: a.set, DataDir: a.dataDir, Unguarded: unguarded})
	}
	root.AddCommand(setup.Commands(&setup.Shared{
		In: a.in, Out: a.out, Err: a.err, JSON: &a.json, ConfigFile: &a.configFile, Usage: usage, Group: group, Version: version, Load: load,
	})...)
	hint := func(err error, hint string) error { return hinted{err, hint} }
	root.AddCommand(copies.Commands(&copies.Shared{
		Out: a.out, Err: a.err, JSON: &a.json, Print: a.printJSON, With: a.withAppliance, Dir: exactly("DIR"), Version: version,
		Load: func() (*config.Config, error) { return load(true) }, Hint: hint,
	})...)
	root.AddCommand(exports.Command(&exports.Shared{
		Out: a.out, Err: a.err, JSON: &a.json, Print: a.printJSON, Load: a.load, With: a.withAppliance, Usage: usage, Count: checkCount, Version: version,
		Hint: hint,
	}))
	flags := root.PersistentFlags()
	flags.StringVar(&a.configFile, "config", "", "configuration `FILE` (default "+config.SystemFile+" if it exists)")
	flags.StringArrayVar(&a.set, "set", nil, "set a configuration `key=value` (repeatable, wins over files)")
	flags.StringVar(&a.dataDir, "data", "", "data folder `DIR` (default /var/lib/vitrine with "+config.SystemFile+", else ~/.local/share/vitrine)")
	flags.BoolVar(&a.json, "json", false, "machine-readable output on stdout")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		text, _, _ := strings.Cut(err.Error(), ": strconv.") // what the parser calls itself helps nobody
		return usage(cmd, "%s", text)
	})
	root.SetHelpCommand(helpCommand())
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			group(c)
		}
	}
	root.SetUsageTemplate(strings.Replace(root.UsageTemplate(),
		"{{if .Runnable}}", `{{if and .Runnable (not (index .Annotations "`+groupMark+`"))}}`, 1))
	return root
}

// exactly wants n arguments and says which are missing.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		if len(names) == 0 {
			return usage(cmd, "%s takes no arguments, not %q", shortPath(cmd), args[0])
		}
		return usage(cmd, "%s takes exactly: %s", shortPath(cmd), strings.Join(names, " "))
	}
}

func atLeastOne(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return nil
		}
		return usage(cmd, "%s needs at least one %s", shortPath(cmd), name)
	}
}

// shortPath names cmd where the program is named already.
func shortPath(cmd *cobra.Command) string {
	return strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
}

// usage is a wrong command line of cmd.
func usage(cmd *cobra.Command, format string, args ...any) error {
	return hinted{usageError{fmt.Errorf(format, args...)}, "see: " + cmd.CommandPath() + " --help"}
}

// checkCount bounds the length of a list where a flag gives it.
func checkCount(cmd *cobra.Command, flag string, n int) error {
	if cmd.Flags().Changed(flag) && (n < 1 || n > maxList) {
		return usage(cmd, "--%s must be between 1 and %d", flag, maxList)
	}
	return nil
}

// load reads the configuration that the common flags name.
func (a *app) load() (*config.Config, error) {
	return config.Load(config.Sources{File: a.configFile, Set: a.set, DataDir: a.dataDir})
}

// fail prints an error as the contract has it and returns the exit code.
func (a *app) fail(err error) int {
	var faults config.Faults
	if errors.As(err, &faults) {
		for _, f := range faults {
			fmt.Fprintf(a.err, "vitrine: config: %s\n", f)
		}
		return exitRefused
	}
	if errors.Is(err, errInvalid) {
		return exitInvalid
	}
	if errors.Is(err, errSilent) || setup.NotMet(err) {
		return exitFailed
	}
	hint := hintOf(err)
	var usage usageError
	code := exitFailed
	if errors.As(err, &usage) {
		code = exitUsage
		if hint == "" {
			hint = "see: vitrine help"
		}
	}
	if errors.Is(err, context.Canceled) {
		err = errors.New("stopped before it was done")
	}
	fmt.Fprintf(a.err, "vitrine: %s\n", oneLine(err.Error()))
	if hint != "" {
		fmt.Fprintf(a.err, "hint: %s\n", oneLine(hint))
	}
	return code
}

func hintOf(err error) string {
	var h hinted
	var f *appliance.Fault
	var p *client.Problem
	var own interface{ Hint() string }
	switch {
	case errors.As(err, &h):
		return h.hint
	case errors.As(err, &f):
		return f.Hint
	case errors.As(err, &p):
		return p.Hint
	case errors.As(err, &own):
		return own.Hint()
	}
	return ""
}

func oneLine(s string) string { return strings.ReplaceAll(strings.TrimSpace(s), "\n", "; ") }
