package appliance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"vitrine/appliance/copies"
	"vitrine/appliance/demo/fill"
	"vitrine/appliance/httpapi/adminapi"
	"vitrine/appliance/pipeline"
	"vitrine/appliance/signal"
	"vitrine/internal/logkey"
)

// flushTimeout bounds the last commit of a clean stop.
const flushTimeout = 10 * time.Second

// saveTimeout bounds the snapshot of a clean stop, which only spares the next
// start reading the log.
const saveTimeout = 5 * time.Second

// serve runs the appliance and answers on its doors until ctx ends.
func (a *Appliance) serve(ctx context.Context) error {
	outer, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	running := a.start(outer, cancel)
	a.tellUnread()
	scheduler := background(outer, cancel, "training schedule", func(ctx context.Context) error { a.jobs.Schedule(ctx); return nil })
	keys := background(outer, cancel, "API keys", func(ctx context.Context) error { return a.keys.Run(ctx, a.log) })
	gate := background(outer, cancel, "gate", a.gate.Watch)
	server := background(outer, cancel, "HTTP server", a.server.Run)
	if a.parts.kafka != nil {
		running.kafka = background(outer, cancel, "Kafka", a.parts.kafka.Run)
	}
	if a.parts.lists != nil {
		running.lists = background(outer, cancel, "published lists", func(ctx context.Context) error { return a.parts.lists.Run(ctx, a.listSource()) })
	}
	bus := background(outer, cancel, "bus", func(ctx context.Context) error { return pipeline.Watch(ctx, a.parts.bus) })
	if err := a.announce(outer); err != nil {
		cancel(err)
	}
	<-outer.Done()
	a.ready.Store(false)
	a.log.Info("stopping")
	server.stop()
	gate.stop()
	bus.stop()
	keys.stop()
	scheduler.stop()
	err := running.stop(ctx)
	if cause := context.Cause(outer); cause != nil && ctx.Err() == nil {
		err = errors.Join(cause, err)
	}
	if err == nil {
		a.log.Info("stopped")
	}
	return err
}

// running are the parts that work behind the doors.
type running struct {
	appliance                                          *Appliance
	pump, follower, plugins, snapshots, served, upkeep *task
	// These are nil where none is configured, and kafka and lists for commands.
	kafka, lists, copy *task
}

// start lets the parts work; the failure of one is told to fail.
func (a *Appliance) start(outer context.Context, fail context.CancelCauseFunc) *running {
	a.jobs.Bind(outer)
	r := &running{
		appliance: a,
		pump:      background(outer, fail, "ingest pump", a.parts.pump.Run),
		follower:  background(outer, fail, "archive", a.parts.follower.Run),
		plugins:   background(outer, fail, "plugins", a.plugins.Run),
		snapshots: background(outer, fail, "snapshots", a.parts.state.Run),
		served:    background(outer, fail, "served lists", a.served.Run),
		upkeep:    background(outer, fail, "upkeep", a.parts.upkeep.Run),
	}
	if a.parts.copy != nil {
		r.copy = background(outer, fail, "copy of the archive", a.parts.copy.Run)
	}
	return r
}

// stop ends the parts in order, when outer has ended and nothing is handed in
// any more: topics, jobs and served lists, then the pump, then the archive with
// all that was acknowledged, then its copy, and a snapshot for the next start.
func (r *running) stop(ctx context.Context) error {
	if r.kafka != nil {
		r.kafka.stop()
	}
	if r.lists != nil {
		r.lists.stop()
	}
	r.appliance.jobs.Wait()
	r.plugins.stop()
	r.upkeep.stop()
	r.snapshots.stop()
	r.served.stop()
	r.pump.stop()
	r.follower.stop()
	flush, done := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer done()
	flushErr := r.appliance.parts.follower.Flush(flush)
	var copying sync.WaitGroup
	defer copying.Wait()
	if r.copy != nil {
		r.copy.stop()
		copying.Go(func() { copies.Finish(ctx, r.appliance.parts.copy, r.appliance.log) })
	}
	if flushErr != nil {
		return flushErr
	}
	save, done := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer done()
	if err := r.appliance.parts.state.Save(save); err != nil {
		r.appliance.log.Warn("snapshot not written; the next start takes longer", logkey.Error, err)
	}
	return nil
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
func background(outer context.Context, fail context.CancelCauseFunc, name string, run func(context.Context) error) *task {
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

// announce makes the appliance ready, after the demo shop was filled in where one
// is wanted, and tells.
func (a *Appliance) announce(ctx context.Context) error {
	api, _ := a.server.Addresses()
	if a.opt.Demo {
		if err := fill.Run(ctx, fill.Options{
			Mark: a.folder.Path("state", "demo.json"), Pump: a.parts.pump, Train: a.jobs.Train, Tell: a.tell, Now: a.now,
		}); err != nil {
			return err
		}
	}
	a.ready.Store(true)
	if a.opt.Announce != nil {
		a.opt.Announce(Ready{URL: a.scheme() + reachable(api), User: a.exampleUser(), Keys: a.keys.Required()})
	}
	debug.FreeOSMemory() // what was read at the start is decoded, the files' bytes are waste
	return nil
}

// reachable is an address that can be asked from this machine: one of all
// interfaces is none.
func reachable(addr net.Addr) string {
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", strconv.Itoa(tcp.Port))
	}
	return addr.String()
}

func (a *Appliance) scheme() string {
	if a.config.HTTP.TLSCert != "" {
		return "https://"
	}
	return "http://"
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
