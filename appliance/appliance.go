// Package appliance is the composition root: it opens every part on the data
// folder, joins them, and runs them until it is told to stop.
//
// It owns the wiring (this file), the life of the data folder, the background
// jobs, and the small adapters between parts that do not know each other. It
// may import any package of this module but cmd; nothing imports it but cmd.
//
//	app := appliance.New(appliance.Options{Config: c, Log: log, Command: command})
//	err := app.Run(ctx)
package appliance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	"vitrine/appliance/config"
	"vitrine/appliance/httpapi"
	"vitrine/appliance/httpapi/adminapi"
	"vitrine/appliance/recommend"
	"vitrine/appliance/registry"
	"vitrine/appliance/signal"
	"vitrine/appliance/trainer"
	"vitrine/internal/logkey"
)

// flushTimeout bounds the last commit of a clean stop.
const flushTimeout = 15 * time.Second

// Options are what a run needs.
type Options struct {
	Config *config.Config
	Log    *slog.Logger
	// Command starts this program's training child: the program and the
	// arguments that lead to Child.
	Command []string
	// Demo fills an empty data folder with the generated shop.
	Demo bool
	// Progress, when set, is told how far the filling of the demo shop is.
	Progress func(stage string, done, total int64)
	// Announce, when set, is called once, when answers can be given.
	Announce func(Ready)
}

// Ready says where answers are.
type Ready struct {
	// URL is the API's address, such as http://127.0.0.1:8080.
	URL string
	// User is one that has a history, "" where none is known.
	User string
}

// Appliance is the whole product in one value.
type Appliance struct {
	opt    Options
	config *config.Config
	log    *slog.Logger
	now    func() time.Time

	folder   *folder
	parts    *parts
	engine   *recommend.Engine
	metrics  *metrics
	jobs     *jobs
	training *training
	server   *httpapi.Server
	ready    atomic.Bool
	// working is the context of jobs: they outlive the request that starts
	// them, and end when the appliance stops.
	working context.Context
}

// New prepares a run; nothing is opened yet.
func New(opt Options) *Appliance {
	return &Appliance{opt: opt, config: opt.Config, log: opt.Log, now: time.Now, metrics: newMetrics(), jobs: &jobs{now: time.Now}}
}

// SocketPath is where the admin socket of a configuration lies.
func SocketPath(c *config.Config) string { return filepath.Join(c.Data.Dir, "admin.sock") }

// Child is the entry of the child processes; kind is what Options.Command
// ends with.
func Child(ctx context.Context, kind string, in io.Reader, out io.Writer) error {
	if kind != "train" {
		return fmt.Errorf("there is no child process of kind %q", kind)
	}
	return trainer.Child(ctx, in, out)
}

// Run opens the data folder and serves until ctx ends, then stops cleanly:
// requests first, then what was acknowledged goes to the archive.
func (a *Appliance) Run(ctx context.Context) (err error) {
	if a.folder, err = holdFolder(a.config.Data.Dir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.folder.release()) }()
	if a.parts, err = openParts(ctx, a.config, a.folder, a.log); err != nil {
		return fmt.Errorf("open %s: %w", a.config.Data.Dir, err)
	}
	defer func() { err = errors.Join(err, a.parts.close()) }()
	if err := a.wire(); err != nil {
		return err
	}
	if err := a.server.Listen(ctx); err != nil {
		return err
	}
	return a.serve(ctx)
}

// wire joins the open parts.
func (a *Appliance) wire() error {
	p := a.parts
	a.engine = recommend.New(recommend.Deps{History: p.profile, Popularity: p.profile, Codes: p.catalog, Shelf: p.catalog})
	p.registry.Subscribe(func(b *registry.Bundle) {
		if err := goLive(a.engine, p.catalog, b); err != nil {
			a.log.Error("model not served, the one before stays", logkey.Version, b.Version, logkey.Error, err)
		}
	})
	a.training = &training{
		config: a.config, command: a.opt.Command, follower: p.follower, registry: p.registry,
		archive: p.archive, log: a.log, now: a.now, metrics: a.metrics,
	}
	a.watch()
	in := ingester{pump: p.pump, metrics: a.metrics}
	server, err := httpapi.New(httpapi.Config{
		Listen: a.config.HTTP.Listen, AdminListen: a.config.HTTP.AdminListen, Socket: SocketPath(a.config),
		MaxBody: a.config.HTTP.MaxBody, Limit: a.config.Recommend.Limit,
		EmptyForUnknown: a.config.Compat.EmptyForUnknown, ExcludeSeen: a.config.Recommend.ExcludeSeen,
	}, httpapi.Deps{
		Ingester: in, Types: p.signal, Items: items{p.catalog}, Users: users{p.catalog}, DeadLetters: letters{p.letters},
		Recommender: newRecommender(a.engine, func() int64 { return a.now().UnixMilli() }),
		Importer:    importer{ingester: in, letters: letters{p.letters}, types: p.signal, metrics: a.metrics, log: a.log, now: a.now},
		Jobs:        a, Models: models{p.registry}, Pipeline: a, Readiness: a,
		Metrics: a.metrics.handler(), Observer: a.metrics, Now: a.now,
	}, a.log)
	a.server = server
	return err
}

// serve runs the parts that run, and stops them in order: the doors first,
// then jobs, then the pump when nothing is handed in any more, then the
// archive with all that was acknowledged.
func (a *Appliance) serve(ctx context.Context) error {
	outer, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	a.working = outer
	pump := a.background(outer, cancel, "ingest pump", a.parts.pump.Run)
	follower := a.background(outer, cancel, "archive", a.parts.follower.Run)
	scheduler := a.background(outer, cancel, "training schedule", func(ctx context.Context) error { a.schedule(ctx); return nil })
	server := a.background(outer, cancel, "HTTP server", a.server.Run)
	if err := a.open(outer); err != nil {
		cancel(err)
	}
	<-outer.Done()
	a.ready.Store(false)
	a.log.Info("stopping")
	server.stop()
	scheduler.stop()
	a.jobs.wait()
	pump.stop()
	follower.stop()
	flush, done := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer done()
	err := a.parts.follower.Flush(flush)
	if cause := context.Cause(outer); cause != nil && ctx.Err() == nil {
		err = errors.Join(cause, err)
	}
	if err == nil {
		a.log.Info("stopped")
	}
	return err
}

// task is a part that runs in the background.
type task struct {
	cancel context.CancelFunc
	done   chan struct{}
}

func (t *task) stop() {
	t.cancel()
	<-t.done
}

// background runs a part until stop is called; its failure ends the whole
// appliance. The part's context is not outer: the parts end one by one.
func (a *Appliance) background(outer context.Context, fail context.CancelCauseFunc, name string, run func(context.Context) error) *task {
	ctx, cancel := context.WithCancel(context.WithoutCancel(outer))
	t := &task{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(t.done)
		if err := run(ctx); err != nil && !errors.Is(err, context.Canceled) {
			fail(fmt.Errorf("%s: %w", name, err))
		}
	}()
	return t
}

// open makes the appliance ready, after the demo shop was filled in where one
// is wanted, and tells.
func (a *Appliance) open(ctx context.Context) error {
	api, _ := a.server.Addresses()
	if a.opt.Demo {
		mark, pending, err := a.demoPending()
		if err != nil {
			return err
		}
		if pending {
			if err := a.fillDemo(ctx, mark, a.tell); err != nil {
				return err
			}
		}
	}
	a.ready.Store(true)
	if a.opt.Announce != nil {
		a.opt.Announce(Ready{URL: "http://" + api.String(), User: a.exampleUser()})
	}
	return nil
}

// exampleUser is, of the first users, the one with the longest history.
func (a *Appliance) exampleUser() string {
	const look = 500
	best, longest := "", 0
	var history []signal.Interaction
	for code := range uint32(min(a.parts.catalog.NumUsers(), look)) {
		if history, _ = a.parts.profile.History(code, history[:0]); len(history) > longest {
			best, longest = a.parts.catalog.UserID(code), len(history)
		}
	}
	return best
}

func (a *Appliance) tell(p adminapi.JobProgress) {
	if a.opt.Progress != nil {
		a.opt.Progress(p.Stage, p.Done, p.Total)
	}
}
