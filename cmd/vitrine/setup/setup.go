// Package setup has the commands that prepare a machine and keep it well:
// preflight, tune, configure, doctor and bundle. Each parses its flags, calls
// the installer, and prints.
//
// It knows the installer and no other part of the command line; what the
// commands share comes in Shared.
package setup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"vitrine/appliance/config"
	"vitrine/installer/words"
)

// Shared is what all commands of the program have.
type Shared struct {
	In       io.Reader
	Out, Err io.Writer
	// JSON asks for machine-readable output.
	JSON *bool
	// Load reads the effective configuration; unguarded passes over listeners
	// that are open to others while there are no keys.
	Load func(unguarded bool) (*config.Config, error)
	// Usage makes the error of a wrong command line.
	Usage func(cmd *cobra.Command, format string, args ...any) error
	// Group makes a command one that is there for its subcommands only.
	Group func(cmd *cobra.Command, subcommands ...*cobra.Command) *cobra.Command
	// ConfigFile is the flag of that name, "" where it was not given.
	ConfigFile *string
	// Version is the program's.
	Version string
}

// Commands are all of this package, for the root.
func Commands(s *Shared) []*cobra.Command {
	return []*cobra.Command{s.preflight(), s.tune(), s.configure(), s.doctor(), s.bundle()}
}

// errNotMet is a verdict that was printed already.
var errNotMet = errors.New("not met")

// NotMet tells whether an error is a verdict that a command has printed.
func NotMet(err error) bool { return errors.Is(err, errNotMet) }

// fault is an error with what to type next.
type fault struct {
	error
	hint string
}

func (f fault) Unwrap() error { return f.error }

// Hint is the next thing to type.
func (f fault) Hint() string { return f.hint }

// asRoot adds the hint that a refusal for lack of rights calls for.
func asRoot(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fault{err, "run it as root"}
	}
	return err
}

// noArguments refuses what follows the flags.
func (s *Shared) noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return s.Usage(cmd, "%s takes no arguments, not %q", cmd.Name(), args[0])
	}
	return nil
}

// languageFlag is --lang, and what it gives.
func (s *Shared) languageFlag(cmd *cobra.Command) func() (words.Language, error) {
	lang := cmd.Flags().String("lang", "", "language `en or zh` (default: that of the locale)")
	return func() (words.Language, error) {
		l, err := words.Parse(*lang, os.Getenv)
		if err != nil {
			return l, s.Usage(cmd, "%s", err)
		}
		return l, nil
	}
}

func (s *Shared) printJSON(v any) error {
	enc := json.NewEncoder(s.Out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}
