package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"vitrine/appliance"
	"vitrine/appliance/client"
	"vitrine/appliance/config"
	"vitrine/cmd/vitrine/exports"
)

// errNotRunning says that no appliance runs on the data folder.
var errNotRunning = errors.New("no appliance runs")

// daemon is a client of the running appliance, or a fault that says how to
// start one.
func (a *app) daemon(ctx context.Context, what string) (*client.Client, error) {
	c, err := a.load()
	if err != nil {
		return nil, err
	}
	return connect(ctx, c, what)
}

func connect(ctx context.Context, c *config.Config, what string) (*client.Client, error) {
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
		return nil, hinted{fmt.Errorf("%s: no right to use %s", what, socket), "run as the user or group that the appliance runs as"}
	case errors.As(err, &unreachable):
		return nil, hinted{fmt.Errorf("%s: %w on %s", what, errNotRunning, c.Data.Dir), "start it with: vitrine serve --data " + c.Data.Dir + "; or say with --data DIR where one runs"}
	}
	return nil, fmt.Errorf("%s: %w", what, err)
}

// withAppliance hands do a client of the running appliance. Where none runs,
// it opens the one in the data folder within this process, without listeners,
// so that the same handlers do the work; a folder that never held an appliance
// is not made into one by a slip of the pen.
func (a *app) withAppliance(ctx context.Context, what string, do func(*client.Client) error) error {
	c, err := a.load()
	if err != nil {
		return err
	}
	cl, err := connect(ctx, c, what)
	if err == nil {
		return do(cl)
	}
	if _, statErr := os.Stat(filepath.Join(c.Data.Dir, "state")); !errors.Is(err, errNotRunning) || statErr != nil {
		return err
	}
	command, err := childCommandLine()
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	log := slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: slog.LevelError}))
	handler, stop, err := appliance.New(appliance.Options{
		Config: c, Log: log, Command: command, Version: version,
		AwaitPlugins: strings.HasPrefix(what, "plugin ") || what == exports.Lists,
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

// childCommandLine is how this program starts itself as a child process, but
// for the kind.
func childCommandLine() ([]string, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	return []string{exe, childName}, nil
}
