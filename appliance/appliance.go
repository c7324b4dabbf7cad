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
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"vitrine/appliance/access"
	"vitrine/appliance/admit"
	"vitrine/appliance/answer"
	"vitrine/appliance/config"
	"vitrine/appliance/datadir"
	"vitrine/appliance/httpapi"
	"vitrine/appliance/httpapi/early"
	"vitrine/appliance/jobs"
	"vitrine/appliance/ladder"
	"vitrine/appliance/metrics"
	"vitrine/appliance/models"
	"vitrine/appliance/pluginhost"
	"vitrine/appliance/recommend"
	"vitrine/appliance/registry"
	"vitrine/appliance/rulebook"
	"vitrine/appliance/served"
	"vitrine/appliance/signal"
	"vitrine/internal/logkey"
)

// Options are what a run needs.
type Options struct {
	Config *config.Config
	Log    *slog.Logger
	// Command starts this program's child processes: the program and the
	// arguments that lead to Child, but for the kind, which comes last.
	Command []string
	// Version is this program's, for the data folder's mark.
	Version string
	// Demo fills an empty data folder with the generated shop.
	Demo bool
	// AwaitPlugins makes Open wait until every plugin of the folder is loaded.
	AwaitPlugins bool
	// Progress, when set, is told how far the filling of the demo shop is.
	Progress func(stage string, done, total int64)
	// Announce, when set, is called once, when answers can be given.
	Announce func(Ready)
}

// Ready says where answers are.
type Ready struct {
	// URL is the API's address as seen from this machine, such as
	// http://127.0.0.1:8080.
	URL string
	// Keys says that callers need one.
	Keys bool
	// User is one that has a history, "" where none is known.
	User string
}

// Appliance is the whole product in one value.
type Appliance struct {
	opt    Options
	config *config.Config
	log    *slog.Logger
	now    func() time.Time

	folder  *datadir.Folder
	parts   *parts
	plugins *pluginhost.Host
	keys    *access.Store
	gate    *admit.Gate
	engine  *recommend.Engine
	answers *ladder.Ladder
	served  *served.Log
	metrics *metrics.Metrics
	jobs    *jobs.Jobs
	server  *httpapi.Server
	ready   atomic.Bool
}

// New prepares a run; nothing is opened yet.
func New(opt Options) *Appliance {
	return &Appliance{opt: opt, config: opt.Config, log: opt.Log, now: time.Now, metrics: metrics.New()}
}

// SocketPath is where the admin socket of a configuration lies.
func SocketPath(c *config.Config) string { return filepath.Join(c.Data.Dir, "admin.sock") }

// childCompile is the kind of the child processes that compile plugins.
const childCompile = "compile"

// Child is the entry of the child processes; kind is the last word of the
// command that Options.Command begins.
func Child(ctx context.Context, kind string, in io.Reader, out io.Writer) error {
	if kind == childCompile {
		return pluginhost.CompileChild(ctx, in, out)
	}
	return jobs.Child(ctx, kind, in, out)
}

// Run opens the data folder and serves until ctx ends, then stops cleanly:
// requests first, then what was acknowledged goes to the archive.
func (a *Appliance) Run(ctx context.Context) (err error) {
	if err := a.acquire(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.letGo()) }()
	if err := a.server.Listen(ctx); err != nil {
		return err
	}
	return a.serve(ctx)
}

// Open opens the appliance without any listener, for commands on a data folder
// that no appliance runs on: the handler answers every route as the admin
// socket would, until stop is called. Nothing is trained by schedule.
func (a *Appliance) Open(ctx context.Context) (h http.Handler, stop func() error, err error) {
	if err := a.acquire(ctx); err != nil {
		return nil, nil, err
	}
	outer, cancel := context.WithCancelCause(ctx)
	running := a.start(outer, cancel)
	a.ready.Store(true)
	stop = func() error {
		cancel(nil)
		err := running.stop(ctx)
		return errors.Join(err, a.letGo())
	}
	if a.opt.AwaitPlugins {
		if err := a.plugins.Idle(ctx); err != nil {
			return nil, nil, errors.Join(err, stop())
		}
	}
	return a.server.Socket(), stop, nil
}

// acquire takes the data folder, opens every part on it and joins them.
func (a *Appliance) acquire(ctx context.Context) (err error) {
	if err := checkClock(a.now()); err != nil {
		return err
	}
	if a.folder, err = datadir.Hold(a.config.Data.Dir, a.opt.Version); err != nil {
		return err
	}
	if a.parts, err = openParts(ctx, a.config, a.folder, a.log); err != nil {
		return errors.Join(openFault(err, a.config.Data.Dir), a.folder.Release())
	}
	a.plugins, err = pluginhost.Open(ctx, pluginhost.Options{
		Dir: a.config.PluginsDir(), CacheDir: a.folder.Path("cache", "plugins"), Compile: append(slices.Clone(a.opt.Command), childCompile),
		Columns: a.parts.catalog, RequestBudget: a.config.Plugins.Budget, Depth: a.config.Plugins.Candidates,
		Order: a.config.Plugins.Order, Log: a.log, Now: a.now,
	})
	if err == nil {
		err = a.openKafka()
	}
	if err == nil {
		err = a.wire()
	}
	if err != nil {
		err = errors.Join(err, a.letGo())
	}
	return err
}

// letGo closes what acquire opened, in the reverse order.
func (a *Appliance) letGo() error {
	var errs []error
	if a.plugins != nil {
		errs = append(errs, a.plugins.Close())
	}
	return errors.Join(append(errs, a.parts.close(), a.folder.Release())...)
}

// wire joins the open parts.
func (a *Appliance) wire() error {
	p := a.parts
	a.gate = admit.NewGate(admit.Options{})
	a.engine = recommend.New(recommend.Deps{
		History: p.profile, Popularity: p.profile, Trends: p.profile, Windows: p.profile, News: p.catalog, Codes: p.catalog, Shelf: p.catalog,
		Columns: p.catalog, Filters: p.catalog, Plugins: a.plugins, Scenes: a.config.Recommend.Presets(),
	})
	book, err := rulebook.Open(rulebook.Options{Dir: a.folder.Path("state", "rules"), Engine: a.engine, Shop: p.catalog, Now: a.now, Log: a.log})
	if err != nil {
		return err
	}
	p.registry.Subscribe(func(b *registry.Bundle) {
		if err := goLive(a.engine, p.catalog, b, a.config.Recommend); err != nil {
			a.log.Error("model not served, the one before stays", logkey.Version, b.Version, logkey.Error, err)
			return
		}
		// From the next request on: what stands between the two calls may be
		// folded in by the old measure, once.
		p.profile.Measure(signal.Measure(b.Measure))
		if p.lists != nil {
			p.lists.Changed()
		}
	})
	a.jobs = jobs.New(jobs.Options{
		Config: a.config, Command: a.opt.Command, Registry: p.registry, Archive: p.archive, Follower: p.follower, Pump: p.pump,
		Metrics: a.metrics, Idle: a.gate.Idle, Log: a.log, Now: a.now,
	})
	a.watch()
	store, err := access.Open(a.config.KeysPath())
	if err != nil {
		return &Fault{Op: "open API keys", Err: err, Hint: "auth.keys_file names the file; vitrine key new makes one"}
	}
	a.keys = store
	a.answers = a.ladder()
	in := ingester{pump: p.pump, metrics: a.metrics}
	refused, err := a.letters(in)
	if err != nil {
		return err
	}
	a.served = a.servedLog(book)
	a.metrics.Register(a.served)
	server, err := httpapi.New(httpapi.Config{
		Listen: a.config.HTTP.Listen, AdminListen: a.config.HTTP.AdminListen, Socket: SocketPath(a.config),
		TLSCert: a.config.HTTP.TLSCert, TLSKey: a.config.HTTP.TLSKey, AdminTLS: !config.Loopback(a.config.HTTP.AdminListen),
		RateLimit: a.config.HTTP.RateLimit, MaxBody: a.config.HTTP.MaxBody, Limit: a.config.Recommend.Limit,
		EmptyForUnknown: a.config.Compat.EmptyForUnknown, ExcludeSeen: a.config.Recommend.ExcludeSeen,
	}, httpapi.Deps{
		Ingester: in, Types: p.signal, Items: items{p.catalog}, Users: users{p.catalog, p.profile, p.erasures}, DeadLetters: refused,
		Recommender: a.answers,
		Importer:    importer{ingester: in, letters: refused, types: p.signal, metrics: a.metrics, log: a.log, now: a.now},
		Jobs:        a.jobs, Models: models.Versions{Registry: p.registry}, Plugins: plugins{a.plugins}, Rules: book, Pipeline: a, Backup: a, Exporter: a.exporter(), Readiness: a, Keys: store,
		Metrics: a.metrics.Handler(), Observer: a.metrics, Served: a.served, Client: func() early.Client { return a.gate.Client() }, Now: a.now,
	}, a.log)
	a.server = server
	return err
}

// ladder puts what may be answered instead behind the engine.
func (a *Appliance) ladder() *ladder.Ladder {
	p := a.parts
	return ladder.New(ladder.Options{
		Live: answer.New(a.engine, func() int64 { return a.now().UnixMilli() }),
		Gate: a.gate, Deadline: a.config.Recommend.Deadline, Late: a.metrics.Late, Known: a.known, Log: a.log,
		Shown: func(id string, now int64) bool {
			code, ok := p.catalog.ItemCode(id)
			return ok && !p.catalog.Expired(code, now) && a.engine.Allowed(code, now)
		},
	})
}

// known tells whether a user has a history.
func (a *Appliance) known(id string) bool {
	code, ok := a.parts.catalog.UserCode(id)
	return ok && a.parts.profile.Has(code)
}
