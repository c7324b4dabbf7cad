// Command vitrine is the recommender appliance and its tools: a file for each
// subcommand, or a folder for a group of them. It parses flags, calls a
// library, prints, and holds no logic of its own.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"vitrine/cmd/vitrine/cli"
)

// version is set by the linker.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second Ctrl-C ends the process at once.
	context.AfterFunc(ctx, stop)
	code := run(ctx, os.Args[1:], &cli.App{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Version: version})
	stop()
	os.Exit(code)
}
