package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// groupMark tells the usage text that a command does nothing by itself.
const groupMark = "group"

// Group makes cmd a command that is there for its subcommands only. Without
// one the root shows its help; a group says which there are.
func Group(cmd *cobra.Command, subcommands ...*cobra.Command) *cobra.Command {
	cmd.AddCommand(subcommands...)
	cmd.Args = cobra.ArbitraryArgs
	cmd.Annotations = map[string]string{groupMark: "yes"}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) > 0:
			return unknownCommand(cmd, args[0])
		case !cmd.HasParent():
			return cmd.Help()
		}
		return Usage(cmd, "%s needs one of: %s", ShortPath(cmd), strings.Join(names(cmd), ", "))
	}
	return cmd
}

// names lists the subcommands that the help shows.
func names(cmd *cobra.Command) []string {
	var out []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			out = append(out, c.Name())
		}
	}
	return out
}

func unknownCommand(cmd *cobra.Command, name string) error {
	full := name
	if cmd.HasParent() {
		full = ShortPath(cmd) + " " + name
	}
	err := AsUsage(fmt.Errorf("there is no command %q", full))
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		return Hint(err, "did you mean: "+cmd.CommandPath()+" "+near[0])
	}
	if cmd.HasParent() {
		return Hint(err, cmd.CommandPath()+" has: "+strings.Join(names(cmd), ", "))
	}
	return Hint(err, "see: vitrine help")
}

// helpCommand replaces the library's, which takes an unknown name for a
// success.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Help about any command",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			target, rest, err := cmd.Root().Find(args)
			if err != nil {
				return AsUsage(err)
			}
			if len(rest) > 0 {
				return unknownCommand(target, rest[0])
			}
			target.InitDefaultHelpFlag()
			return target.Help()
		},
	}
}
