package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/url"

	"github.com/spf13/cobra"

	"vitrine/appliance"
	"vitrine/appliance/config"
)

func (a *app) serveCommand() *cobra.Command {
	demo := false
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the appliance",
		Args:  exactly(),
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.serve(cmd.Context(), demo) },
	}
	cmd.Flags().BoolVar(&demo, "demo", false, "fill an empty data folder with the generated demo shop and train on it")
	return cmd
}

// serve runs the appliance until ctx ends.
func (a *app) serve(ctx context.Context, demo bool) error {
	c, err := a.load()
	if err != nil {
		return err
	}
	command, err := childCommandLine()
	if err != nil {
		return err
	}
	bar := newProgress(a.err)
	app := appliance.New(appliance.Options{
		Config: c, Log: logger(c, bar), Demo: demo, Command: command,
		Progress: func(stage string, done, total int64) { bar.show(stage, done, total) },
		Announce: func(ready appliance.Ready) {
			bar.done()
			a.announce(ready)
		},
	})
	err = app.Run(ctx)
	bar.done()
	return err
}

// announce tells where the appliance answers, with a line that can be pasted.
func (a *app) announce(ready appliance.Ready) {
	path := "/v1/popular?limit=5"
	if ready.User != "" {
		// Escaped: an id may hold what a shell understands.
		path = "/v1/recommend?user_id=" + url.QueryEscape(ready.User) + "&limit=5&fields=name"
	}
	// One write: who waits for the first line has the second, too.
	fmt.Fprintf(a.out, "Vitrine is ready at %s (Ctrl-C stops it). Try:\n  curl '%s%s'\n", ready.URL, ready.URL, path)
}

// logger writes the daemon's log, through the bar to stderr.
func logger(c *config.Config, w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Log.Level)) // checked with the configuration
	opt := &slog.HandlerOptions{Level: level}
	if c.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opt))
	}
	return slog.New(slog.NewTextHandler(w, opt))
}
