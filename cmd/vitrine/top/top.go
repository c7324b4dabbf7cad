// Package top shows what a running appliance does, second by second: answers,
// events, and where they stand on their way to the archive.
//
// It knows the client of the HTTP API and nothing else of the product.
package top

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"vitrine/appliance/client"
	"vitrine/cmd/vitrine/cli"
)

// app is what the commands of this package share with all others.
type app struct{ *cli.App }

// Command is vitrine top.
func Command(shared *cli.App) *cobra.Command {
	a := app{shared}
	count, every := 0, time.Second
	cmd := &cobra.Command{
		Use: "top", Short: "Watch the running appliance: answers, events, bus, archive, topics",
		Long: `Show each second what the running appliance answers and takes in, and where
events stand on their way: the bus, the archive, the topics of Kafka, the dead
letters. On a terminal it is a page that Ctrl-C ends; elsewhere it is a line a
second, with --json an object a second.`,
		Args: cli.Exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if count < 0 || every < 100*time.Millisecond {
				return cli.Usage(cmd, "--count must not be negative, and --every at least 100ms")
			}
			return a.watch(cmd.Context(), count, every)
		},
	}
	cmd.Flags().IntVarP(&count, "count", "n", 0, "end after so `many` looks; 0 goes on")
	cmd.Flags().DurationVar(&every, "every", time.Second, "`time` between two looks")
	return cmd
}

// watch looks until ctx ends, which is the usual way to end it.
func (a app) watch(ctx context.Context, count int, every time.Duration) error {
	cl, err := a.Daemon(ctx, "top")
	if err != nil {
		return err
	}
	defer cl.Close()
	show, done := a.output()
	defer done()
	before, err := look(ctx, cl)
	if err != nil {
		return fmt.Errorf("top: %w", err)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now, err := look(ctx, cl)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("top: %w", err)
		}
		if err := show(now.since(before)); err != nil {
			return err
		}
		if n == count {
			return nil
		}
		before = now
	}
}

// output is how a view is shown, and what ends that.
func (a app) output() (show func(*view) error, done func()) {
	if a.JSON {
		out := json.NewEncoder(a.Out)
		return func(v *view) error { return out.Encode(v) }, func() {}
	}
	f, ok := a.Out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || os.Getenv("TERM") == "dumb" {
		return func(v *view) error { _, err := fmt.Fprintln(a.Out, v.line()); return err }, func() {}
	}
	_, _ = fmt.Fprint(f, "\x1b[?1049h\x1b[?25l") // a screen of its own, without a cursor
	return func(v *view) error {
		width, height, err := term.GetSize(int(f.Fd()))
		if err != nil || width < 20 || height < 5 { // some say 0 where they do not know
			width, height = 80, 24
		}
		return draw(f, v.page(), width, height)
	}, func() { _, _ = fmt.Fprint(f, "\x1b[?25h\x1b[?1049l") }
}

// draw puts lines over those of before: nothing flickers.
func draw(w io.Writer, lines []string, width, height int) error {
	if len(lines) > height {
		left := len(lines) - height + 1
		lines = append(lines[:height-1:height-1], fmt.Sprintf("... %d more", left))
	}
	var b strings.Builder
	b.WriteString("\x1b[H")
	for i, line := range lines {
		if len(line) > width {
			line = line[:width]
		}
		b.WriteString(line + "\x1b[K")
		if i < len(lines)-1 {
			b.WriteString("\r\n")
		}
	}
	b.WriteString("\x1b[J")
	_, err := io.WriteString(w, b.String())
	return err
}

// sample is one look.
type sample struct {
	at       time.Time
	pipeline *client.Pipeline
	metrics  metrics
}

func look(ctx context.Context, cl *client.Client) (*sample, error) {
	p, err := cl.Pipeline(ctx)
	if err != nil {
		return nil, err
	}
	text, err := cl.Metrics(ctx)
	if err != nil {
		return nil, err
	}
	m := parse(text)
	if len(m) == 0 {
		return nil, errors.New("the appliance gives no metrics")
	}
	return &sample{at: time.Now(), pipeline: p, metrics: m}, nil
}
