package cli

import (
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// Exactly wants these arguments and says which are missing.
func Exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		if len(names) == 0 {
			return Usage(cmd, "%s takes no arguments, not %q", ShortPath(cmd), args[0])
		}
		return Usage(cmd, "%s takes exactly: %s", ShortPath(cmd), strings.Join(names, " "))
	}
}

// AtLeastOne wants one argument or more.
func AtLeastOne(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return nil
		}
		return Usage(cmd, "%s needs at least one %s", ShortPath(cmd), name)
	}
}

// AtMostOne wants one argument or none.
func AtMostOne(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) <= 1 {
			return nil
		}
		return Usage(cmd, "%s takes at most one %s, not %q", ShortPath(cmd), name, args)
	}
}

// ShortPath names cmd where the program is named already.
func ShortPath(cmd *cobra.Command) string {
	return strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
}

// maxList is the longest list that the API gives.
const maxList = 500

// CheckCount bounds the length of a list where a flag gives it.
func CheckCount(cmd *cobra.Command, flag string, n int) error {
	if cmd.Flags().Changed(flag) && (n < 1 || n > maxList) {
		return Usage(cmd, "--%s must be between 1 and %d", flag, maxList)
	}
	return nil
}

// WorkingDir is where relative paths begin, for hints about files.
func WorkingDir() string {
	dir, err := os.Getwd()
	if err != nil {
		return "the present folder"
	}
	return dir
}
