package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"vitrine/appliance"
	"vitrine/appliance/client"
	"vitrine/appliance/config"
)

// ErrNotRunning says that no appliance runs on the data folder.
var ErrNotRunning = errors.New("no appliance runs")

// Daemon is a client of the running appliance, or a fault that says how to
// start one.
func (a *App) Daemon(ctx context.Context, what string) (*client.Client, error) {
	c, err := a.Load()
	if err != nil {
		return nil, err
	}
	return Connect(ctx, c, what)
}

// Connect does, for a configuration that is not that of the common flags alone.
func Connect(ctx context.Context, c *config.Config, what string) (*client.Client, error) {
	socket := appliance.SocketPath(c)
	cl := client.NewSocket(socket)
	err := cl.Live(ctx)
	var unreachable *client.UnreachableError
	switch {
	case err == nil:
		return cl, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, os.ErrPermission):
		return nil, Hint(fmt.Errorf("%s: no right to use %s", what, socket), "run as the user or group that the appliance runs as")
	case errors.As(err, &unreachable):
		return nil, Hint(fmt.Errorf("%s: %w on %s", what, ErrNotRunning, c.Data.Dir), "start it with: vitrine serve --data "+c.Data.Dir+"; or say with --data DIR where one runs")
	}
	return nil, fmt.Errorf("%s: %w", what, err)
}

// With hands do a client of the running appliance. Where none runs, it opens
// the one in the data folder within this process, without listeners, so that
// the same handlers do the work; a folder that never held an appliance is not
// made into one by a slip of the pen.
func (a *App) With(ctx context.Context, what string, do func(*client.Client) error) error {
	return a.with(ctx, what, false, do)
}

// WithPlugins is With for what plugins have a part in: where the appliance is
// opened here, do waits until they are loaded.
func (a *App) WithPlugins(ctx context.Context, what string, do func(*client.Client) error) error {
	return a.with(ctx, what, true, do)
}

func (a *App) with(ctx context.Context, what string, plugins bool, do func(*client.Client) error) error {
	c, err := a.Load()
	if err != nil {
		return err
	}
	cl, err := Connect(ctx, c, what)
	if err == nil {
		return do(cl)
	}
	if _, statErr := os.Stat(filepath.Join(c.Data.Dir, "state")); !errors.Is(err, ErrNotRunning) || statErr != nil {
		return err
	}
	command, err := ChildLine()
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	log := slog.New(slog.NewTextHandler(a.Err, &slog.HandlerOptions{Level: slog.LevelError}))
	handler, stop, err := appliance.New(appliance.Options{
		Config: c, Log: log, Command: command, Version: a.Version,
		AwaitPlugins: plugins,
	}).Open(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	err = do(client.NewHandler(handler))
	if stopErr := stop(); err == nil && stopErr != nil {
		err = fmt.Errorf("%s: %w", what, stopErr)
	}
	return err
}
