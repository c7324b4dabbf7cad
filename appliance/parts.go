package appliance

import (
	"context"
	"errors"
	"log/slog"

	"vitrine/appliance/catalog"
	"vitrine/appliance/config"
	"vitrine/appliance/copies"
	"vitrine/appliance/datadir"
	"vitrine/appliance/jobs"
	"vitrine/appliance/pipeline"
	"vitrine/appliance/profile"
	"vitrine/appliance/publish"
	"vitrine/appliance/registry"
	"vitrine/appliance/signal"
	"vitrine/appliance/state"
	"vitrine/appliance/topics"
	"vitrine/appliance/upkeep"
	"vitrine/bridge"
	"vitrine/bridge/archive"
	"vitrine/bridge/archive/follow"
	"vitrine/bridge/deadletter"
	"vitrine/bridge/jetstream"
	"vitrine/bridge/kafka"
	"vitrine/bridge/mirror"
)

// parts are everything that holds state. They are opened and closed together.
type parts struct {
	signal   *signal.Signal
	state    *state.State
	catalog  *catalog.Catalog
	profile  *profile.Store
	archive  *archive.Archive
	bus      pipeline.Bus
	pump     *bridge.Pump
	letters  *deadletter.Store
	registry *registry.Registry
	follower *follow.Follower
	upkeep   *upkeep.Upkeep
	erasures *upkeep.Erasures
	// copy is nil where the archive is on local disk only, kafka where no cluster
	// is configured.
	copy  *mirror.Mirror
	kafka *kafka.Source
	// begun is where the topics began.
	begun *topics.Begun
	// lists is nil where none are published.
	lists *publish.Publisher
}

// openParts opens what lies in the data folder and fills what lives in RAM.
func openParts(ctx context.Context, c *config.Config, f *datadir.Folder, log *slog.Logger) (p *parts, err error) {
	p = &parts{}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	if p.signal, err = signal.New(jobs.Signal(c)); err != nil {
		return p, err
	}
	if p.archive, err = archive.Open(ctx, archive.Options{Dir: c.ArchiveDir(), Log: log}); err != nil {
		return p, err
	}
	if p.copy, err = copies.Open(c, p.archive, log); err != nil {
		return p, err
	}
	p.bus, err = pipeline.OpenBus(ctx, c.Bus, jetstream.Options{Dir: f.Path("bus"), After: p.archive.Position(), Log: log})
	var fault *jetstream.Fault
	switch {
	case errors.As(err, &fault):
		return p, &Fault{Op: "open the bus", Err: err, Hint: fault.Hint}
	case err != nil:
		return p, err
	}
	p.letters, err = deadletter.Open(deadletter.Options{Dir: f.Path("deadletters"), MaxBytes: c.DeadLetters.MaxBytes, MaxAge: c.DeadLetters.MaxAge})
	if err != nil {
		return p, err
	}
	if p.registry, err = registry.Open(f.Path("models"), 0, log); err != nil {
		return p, err
	}
	if p.erasures, err = upkeep.OpenErasures(f.Path("state", "erasures.json")); err != nil {
		return p, err
	}
	var consumer bridge.Consumer
	if c.Redis.Publish {
		p.lists = OpenLists(c.Redis, log)
		consumer = p.lists
	}
	if p.begun, err = topics.OpenBegun(f.Path("state", "begun.json"), p.archive.Topics(), log); err != nil {
		return p, err
	}
	stats := p.bus.Stats(ctx)
	p.state, err = state.Open(ctx, state.Options{
		Consumer: consumer, Begun: p.begun.Places(), Wanted: f.Path("state", "wanted.json"), Lost: pipeline.Lost(&stats, p.archive.Position()), Forgotten: p.erasures.Begun,
		Dir: f.Path("state", "snapshots"), Signal: p.signal, Archive: p.archive, Bus: p.bus, MaxFrame: p.bus.MaxFrame(), DedupWindow: c.Ingest.DedupWindow, Log: log,
	})
	if err != nil {
		return p, err
	}
	p.catalog, p.profile, p.pump = p.state.Catalog, p.state.Profile, p.state.Pump
	p.follower = follow.New(p.archive, p.bus, follow.Options{RollEvery: c.Archive.CommitEvery, Before: p.state.Keep, Log: log})
	p.upkeep = upkeep.New(upkeep.Options{
		Archive: p.archive, Retention: c.Archive.Retention, HalfLife: c.Train.HalfLife, Every: c.Archive.CompactEvery, Log: log,
		Erasures: p.erasures, Events: upkeep.Log{Pump: p.pump, Follower: p.follower, Bus: p.bus}, Models: p.registry, Snapshots: p.state, Letters: p.letters,
		Copied: copies.Flush(p.copy),
	})
	return p, nil
}

// close closes what was opened, in the reverse order.
func (p *parts) close() error {
	var errs []error
	if p.letters != nil {
		errs = append(errs, p.letters.Close())
	}
	if p.lists != nil {
		errs = append(errs, p.lists.Close())
	}
	if p.copy != nil {
		errs = append(errs, p.copy.Close())
	}
	if p.bus != nil {
		errs = append(errs, p.bus.Close())
	}
	return errors.Join(errs...)
}
