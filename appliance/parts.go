package appliance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"vitrine/appliance/catalog"
	"vitrine/appliance/config"
	"vitrine/appliance/profile"
	"vitrine/appliance/registry"
	"vitrine/appliance/signal"
	"vitrine/bridge"
	"vitrine/bridge/archive"
	"vitrine/bridge/deadletter"
	"vitrine/bridge/event"
	"vitrine/bridge/jetstream"
	"vitrine/bridge/kafka"
	"vitrine/bridge/parquet"
	"vitrine/internal/logkey"
)

// parts are everything that holds state. They are opened and closed together.
type parts struct {
	signal   *signal.Signal
	catalog  *catalog.Catalog
	profile  *profile.Store
	archive  *archive.Archive
	bus      *jetstream.Bus
	pump     *bridge.Pump
	letters  *deadletter.Store
	registry *registry.Registry
	follower *archive.Follower
	// kafka is nil where no cluster is configured.
	kafka *kafka.Source
}

// openParts opens what lies in the data folder and rebuilds what lives in RAM:
// archive first, then the bus behind it.
func openParts(ctx context.Context, c *config.Config, f *folder, log *slog.Logger) (p *parts, err error) {
	p = &parts{}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	if p.signal, err = signal.New(signalConfig(c)); err != nil {
		return p, err
	}
	if p.catalog, err = catalog.Open(f.path("state")); err != nil {
		return p, err
	}
	if p.archive, err = archive.Open(ctx, archive.Options{Dir: c.ArchiveDir(), Log: log}); err != nil {
		return p, err
	}
	if p.bus, err = jetstream.Open(ctx, jetstream.Options{Dir: f.path("bus"), MaxBytes: c.Bus.MaxBytes, After: p.archive.Position(), Log: log}); err != nil {
		return p, err
	}
	p.letters, err = deadletter.Open(deadletter.Options{Dir: f.path("deadletters"), MaxBytes: c.DeadLetters.MaxBytes, MaxAge: c.DeadLetters.MaxAge})
	if err != nil {
		return p, err
	}
	if p.registry, err = registry.Open(f.path("models"), 0, log); err != nil {
		return p, err
	}
	p.profile = profile.New(p.signal, p.catalog)
	p.pump = bridge.New(p.bus, []bridge.Consumer{p.catalog, p.profile}, bridge.Options{DedupWindow: c.Ingest.DedupWindow, Log: log})
	p.follower = archive.NewFollower(p.archive, p.bus, archive.FollowerOptions{RollEvery: c.Archive.CommitEvery, Log: log})
	return p, p.rebuild(ctx, log)
}

// rebuild fills catalog, profile and dedup window from the archive, then from
// the frames of the bus that are not in it yet.
func (p *parts) rebuild(ctx context.Context, log *slog.Logger) error {
	start := time.Now()
	var change [1]event.Record
	apply := func(r *event.Record) error {
		change[0] = *r
		p.catalog.Apply(0, change[:])
		return nil
	}
	if err := p.archive.ScanItems(ctx, apply); err != nil {
		return fmt.Errorf("rebuild items from the archive: %w", err)
	}
	if err := p.archive.ScanUsers(ctx, apply); err != nil {
		return fmt.Errorf("rebuild users from the archive: %w", err)
	}
	if err := p.rebuildProfile(ctx); err != nil {
		return fmt.Errorf("rebuild histories from the archive: %w", err)
	}
	for _, t := range p.archive.Topics() {
		p.pump.Passed(bridge.Place{Name: t.Name, Partition: t.Partition}, t.Next)
	}
	log.Debug("archive read", logkey.Seconds, time.Since(start).Seconds())
	return p.pump.Replay(ctx, p.archive.Position()+1)
}

func (p *parts) rebuildProfile(ctx context.Context) error {
	owners, err := p.archive.Owners(ctx)
	if err != nil {
		return fmt.Errorf("read erasures and merges: %w", err)
	}
	columns := parquet.UserID | parquet.ItemID | parquet.EventType | parquet.Time | parquet.Value | parquet.EventID
	if !owners.None() {
		columns |= parquet.BusSeq
	}
	records := make([]event.Record, 0, parquet.BatchRows)
	return p.archive.ScanEvents(ctx, columns, func(b *archive.EventBatch) error {
		records = records[:0]
		for i := range b.Len {
			p.pump.Seen(b.EventID[i], b.Committed)
			v, user := b.Value[i], b.UserID.At(i)
			if owners.Moved(user) {
				if user = owners.Of(user, b.BusSeq[i]); user == "" {
					continue
				}
			}
			records = append(records, event.Record{Kind: event.KindEvent, Event: event.Event{
				UserID: user, ItemID: b.ItemID.At(i), Type: b.EventType.At(i), EventID: b.EventID[i],
				Time: b.Time[i], Value: v, HasValue: v == v,
			}})
		}
		p.profile.Apply(0, records)
		return nil
	})
}

// close closes what was opened, in the reverse order.
func (p *parts) close() error {
	var errs []error
	if p.letters != nil {
		errs = append(errs, p.letters.Close())
	}
	if p.bus != nil {
		errs = append(errs, p.bus.Close())
	}
	if p.catalog != nil {
		errs = append(errs, p.catalog.Close())
	}
	return errors.Join(errs...)
}
