// Package service runs the appliance as a process of its own: announced on a
// terminal or to systemd, reloaded on SIGHUP, watched through the path that
// its answers take.
//
// It knows the appliance, its configuration and its client, and no flags: the
// command owns these.
package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"vitrine/appliance"
	"vitrine/appliance/client"
	"vitrine/appliance/config"
	"vitrine/appliance/systemd"
)

// Options are what a run needs. All but Reload is required.
type Options struct {
	// Load reads the configuration, at the start and for each reload.
	Load func() (*config.Config, error)
	// Command starts this program's child processes; see appliance.Options.
	Command []string
	// Demo fills an empty data folder with the generated shop.
	Demo bool
	// Version is shown by the service manager.
	Version string
	// Out takes the two lines of the announcement, Log the daemon's log.
	Out, Log io.Writer
	// Progress is told how far the filling of the demo shop is; Settled that
	// no more of it comes.
	Progress func(stage string, done, total int64)
	Settled  func()
	// Reload asks for a new reading of the configuration.
	Reload <-chan os.Signal
}

// mendAgain keeps a log that cannot be mended from being mended over and over.
const mendAgain = time.Minute

// Run serves until ctx ends. A reload stops the appliance cleanly and starts
// it with the configuration as it is now; one that is refused is logged, and
// changes nothing.
func Run(ctx context.Context, opt Options) error {
	c, err := opt.Load()
	if err != nil {
		return err
	}
	unit, err := systemd.Connect(os.Getenv)
	if err != nil {
		return err
	}
	for mended := (time.Time{}); ; {
		r := &run{opt: opt, unit: unit, config: c, log: logger(c, opt.Log)}
		next, err := r.serve(ctx)
		if appliance.Damaged(err) && ctx.Err() == nil && time.Since(mended) > mendAgain {
			// A start makes the log anew from what is sound.
			r.log.Error("starting again to mend the log", slog.Any("error", err))
			r.tell("RELOADING=1", "WATCHDOG=1", systemd.Status("mending the log"))
			mended = time.Now()
			continue
		}
		if err != nil || next == nil {
			return err
		}
		c = next
	}
}

// run is the appliance with one configuration.
type run struct {
	opt    Options
	unit   *systemd.Unit
	config *config.Config
	log    *slog.Logger
}

// serve gives the configuration to go on with after a reload, nil at the end.
func (r *run) serve(ctx context.Context) (next *config.Config, err error) {
	inner, stop := context.WithCancel(ctx)
	var tasks sync.WaitGroup
	tasks.Go(func() {
		if next = r.awaitReload(inner); next != nil {
			stop()
		}
	})
	app := appliance.New(appliance.Options{
		Config: r.config, Log: r.log, Version: r.opt.Version, Demo: r.opt.Demo, Command: r.opt.Command,
		Progress: func(stage string, done, total int64) {
			r.opt.Progress(stage, done, total)
			r.tell(systemd.Status("preparing the demo shop: " + stage))
		},
		Announce: func(ready appliance.Ready) {
			r.opt.Settled()
			announce(r.opt.Out, ready)
			r.tell("READY=1", systemd.Status(fmt.Sprintf("version %s answers at %s", r.opt.Version, ready.URL)))
			tasks.Go(func() {
				r.unit.Watch(inner, probe(client.NewSocket(appliance.SocketPath(r.config)), ready.User), r.log)
			})
			// A manager that waits longer is told before the listeners close.
			tasks.Go(func() {
				if <-inner.Done(); ctx.Err() != nil {
					r.tell("STOPPING=1", systemd.Status("stopping"))
				}
			})
		},
	})
	err = app.Run(inner)
	r.opt.Settled()
	stop()
	tasks.Wait()
	if ctx.Err() != nil {
		next = nil
	}
	return next, err
}

// awaitReload gives the new configuration, nil when ctx ends first.
func (r *run) awaitReload(ctx context.Context) *config.Config {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.opt.Reload:
		}
		c, err := r.opt.Load()
		if err == nil {
			r.log.Info("reloading")
			r.tell("RELOADING=1", "WATCHDOG=1", systemd.Status("reloading"))
			return c
		}
		var faults config.Faults
		if !errors.As(err, &faults) {
			faults = config.Faults{{What: err.Error()}}
		}
		for _, f := range faults {
			r.log.Error("configuration refused, the old one stays", slog.String("fault", f.String()))
		}
		r.tell(systemd.Status("serves with the old configuration: the new one was refused"))
	}
}

// tell is only told: a manager that cannot be reached changes nothing here.
func (r *run) tell(assignments ...string) {
	if err := r.unit.Tell(assignments...); err != nil {
		r.log.Warn("service manager not reached", slog.Any("error", err))
	}
}

// probe asks for a list as any client does: over HTTP, through the gate, from
// the engine with its plugins. A refusal for overload is an answer, too: a
// restart would help nobody.
func probe(cl *client.Client, user string) func(context.Context) error {
	return func(ctx context.Context) error {
		var err error
		if user == "" {
			_, err = cl.Popular(ctx, 1)
		} else {
			_, err = cl.Recommend(ctx, client.RecommendRequest{UserID: user, Limit: new(1)})
		}
		var refused *client.Problem
		if errors.As(err, &refused) && (refused.Status < http.StatusInternalServerError || refused.Status == http.StatusServiceUnavailable) {
			return nil
		}
		return err
	}
}

// announce tells where the appliance answers, with a line that can be pasted.
func announce(out io.Writer, ready appliance.Ready) {
	path := "/v1/popular?limit=5"
	if ready.User != "" {
		// Escaped: an id may hold what a shell understands.
		path = "/v1/recommend?user_id=" + url.QueryEscape(ready.User) + "&limit=5&fields=name"
	}
	flags := ""
	if strings.HasPrefix(ready.URL, "https:") {
		flags = "-k " // a certificate is one of a name, not of this address
	}
	if ready.Keys {
		flags += "-H 'Authorization: Bearer KEY' "
	}
	// One write: who waits for the first line has the second, too.
	fmt.Fprintf(out, "Vitrine is ready at %s (Ctrl-C stops it). Try:\n  curl %s'%s%s'\n", ready.URL, flags, ready.URL, path)
}

// logger writes the daemon's log.
func logger(c *config.Config, w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Log.Level)) // checked with the configuration
	opt := &slog.HandlerOptions{Level: level}
	if c.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opt))
	}
	return slog.New(slog.NewTextHandler(w, opt))
}
