package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"vitrine/appliance"
	"vitrine/appliance/client"
	"vitrine/appliance/config"
)

// The exit codes of docs/OPERATIONS.md that are the same for all commands.
const (
	exitOK      = 0
	exitFailed  = 1
	exitUsage   = 2
	exitRefused = 78
)

// Told is a failure that the command has printed already: its exit code.
type Told int

// Error is for those who print it nevertheless.
func (t Told) Error() string { return "exit code " + strconv.Itoa(int(t)) }

// Failed is the failure that a command has told and that has no code of its
// own.
const Failed Told = exitFailed

// usageError is a wrong command line.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

// AsUsage makes err the fault of who typed the command.
func AsUsage(err error) error { return usageError{err} }

// Usage is a wrong command line of cmd.
func Usage(cmd *cobra.Command, format string, args ...any) error {
	return Hint(AsUsage(fmt.Errorf(format, args...)), "see: "+cmd.CommandPath()+" --help")
}

// hinted is an error with what to type next.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }

// Hint makes an error that says what to type next.
func Hint(err error, hint string) error { return hinted{err, hint} }

// fail prints an error as the contract has it and returns the exit code.
func (a *App) fail(err error) int {
	var faults config.Faults
	if errors.As(err, &faults) {
		for _, f := range faults {
			fmt.Fprintf(a.Err, "vitrine: config: %s\n", f)
		}
		return exitRefused
	}
	var told Told
	if errors.As(err, &told) {
		return int(told)
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
	fmt.Fprintf(a.Err, "vitrine: %s\n", oneLine(err.Error()))
	if hint != "" {
		fmt.Fprintf(a.Err, "hint: %s\n", oneLine(hint))
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
