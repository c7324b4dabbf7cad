// Package state keeps what answers are made of in RAM: the catalog, the
// histories and the dedup window. It fills them at start, from the newest
// snapshot that is whole and what came after it, and writes such snapshots while
// the appliance runs.
//
// It owns the snapshots' files, that of what is wanted again of topics, and the order
// of filling; what is in a snapshot's blocks belongs to catalog, profile and bridge. It
// must not import recommend, registry or httpapi: it knows events and attributes, no
// models and no answers.
package state

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"vitrine/appliance/catalog"
	"vitrine/appliance/profile"
	"vitrine/appliance/signal"
	"vitrine/bridge"
	"vitrine/bridge/archive"
	"vitrine/bridge/event"
	"vitrine/bridge/parquet"
	"vitrine/internal/logkey"
)

// Options say what state is made of.
type Options struct {
	// Dir is the folder of snapshots; it is made where it is not there.
	Dir string
	// Signal says what of events is kept.
	Signal *signal.Signal
	// Archive and Bus are the log: together they have all of it.
	Archive *archive.Archive
	Bus     bridge.Log
	// Lost is the first frame behind the archive that the bus has lost, 0 when
	// there is none. A snapshot that has it is not used: the topics' records in it
	// are read again.
	Lost uint64
	// Begun is where partitions of topics began to be read of which the archive may
	// have nothing.
	Begun map[bridge.Place]int64
	// Wanted is the file of what is wanted again of topics because the log has lost it.
	// Default wanted.json in Dir.
	Wanted string
	// MaxFrame is the largest frame that the bus takes; 0 is the pump's default.
	MaxFrame int
	// DedupWindow is for how long event ids are remembered.
	DedupWindow time.Duration
	// Consumer, when set, sees what catalog and histories have taken in.
	Consumer bridge.Consumer
	// Every is how often a snapshot is written, if anything came. Default 5
	// minutes.
	Every time.Duration
	// Forgotten, when set, says of a user who was erased at a time (Unix
	// milliseconds) that files must not hold his id any more.
	Forgotten func(id string, at int64) bool
	Log       *slog.Logger
}

const (
	defaultEvery = 5 * time.Minute
	// lookEvery is how often it is asked whether so much came that a snapshot
	// is due before its time: snapshotRecords are read in about two seconds.
	lookEvery       = 30 * time.Second
	snapshotRecords = 2_000_000
)

// State is the open state. Its parts are ready to be used; Run writes snapshots.
type State struct {
	Catalog *catalog.Catalog
	Profile *profile.Store
	Pump    *bridge.Pump

	opt Options
	// position is of the newest snapshot, size its bytes. Only who saves writes
	// them, and since belongs to him.
	position atomic.Uint64
	size     atomic.Int64
	// saving is held by who writes a snapshot.
	saving sync.Mutex
	// since are the records that came before Run and are in no snapshot.
	since int64
	base  uint64

	wanted wanted
}

// Open fills the state.
func Open(ctx context.Context, opt Options) (*State, error) {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Every <= 0 {
		opt.Every = defaultEvery
	}
	opt.Wanted = cmp.Or(opt.Wanted, filepath.Join(opt.Dir, "wanted.json"))
	s := &State{opt: opt, wanted: wanted{path: opt.Wanted, log: opt.Log}}
	if err := os.MkdirAll(opt.Dir, 0o750); err != nil {
		return nil, fmt.Errorf("make the folder of snapshots: %w", err)
	}
	start := time.Now()
	if err := s.wanted.read(); err != nil {
		return nil, err
	}
	if err := s.restore(ctx); err != nil {
		return nil, err
	}
	opt.Log.Debug("snapshot read", logkey.Seq, s.position.Load(), logkey.Seconds, time.Since(start).Seconds())
	if err := s.follow(ctx); err != nil {
		return nil, err
	}
	for _, t := range opt.Archive.Topics() {
		s.Pump.Passed(bridge.Place{Name: t.Name, Partition: t.Partition}, t.Next)
	}
	for place, from := range opt.Begun {
		s.Pump.Begun(place, from)
	}
	for _, h := range s.wanted.holes {
		s.Pump.Want(h)
	}
	opt.Log.Debug("archive read", logkey.Rows, s.since, logkey.Seconds, time.Since(start).Seconds())
	if err := s.Pump.Replay(ctx, max(s.position.Load(), opt.Archive.Position())+1); err != nil {
		return nil, err
	}
	holes, _ := s.Pump.Wanted()
	return s, s.wanted.keep(s.Pump.Stats().Last, holes)
}

// Snapshot is the position of the newest snapshot, and its bytes; zeros where
// there is none.
func (s *State) Snapshot() (position uint64, size int64) { return s.position.Load(), s.size.Load() }

// clear begins with nothing.
func (s *State) clear() {
	s.Catalog = catalog.New()
	s.Profile = profile.New(s.opt.Signal, s.Catalog)
	consumers := []bridge.Consumer{s.Catalog, s.Profile}
	if s.opt.Consumer != nil {
		consumers = append(consumers, s.opt.Consumer)
	}
	s.Pump = bridge.New(s.opt.Bus, consumers, bridge.Options{DedupWindow: s.opt.DedupWindow, MaxFrame: s.opt.MaxFrame, Log: s.opt.Log})
	s.position.Store(0)
	s.size.Store(0)
}

// settings are those that a snapshot depends on: under others the log has to be
// read again.
func (s *State) settings() string {
	return fmt.Sprint(s.opt.Signal.Fingerprint(), " ", s.opt.DedupWindow)
}

// errAhead says that a snapshot knows more than the log.
var errAhead = errors.New("it is ahead of the log, which was emptied or replaced")

// errLost says that a snapshot holds what the log has lost.
var errLost = errors.New("it holds frames that the log has lost")

// errWanted says that nobody knows which records behind the archive a snapshot has
// of those that are wanted again.
var errWanted = errors.New("it is ahead of the archive, and what the log had lost is being read again")

// errSettings says that a snapshot was made under other settings.
var errSettings = errors.New("it was made under other settings of ingest or histories")

// restore takes the newest snapshot that can be used, or none. One that never
// will be is removed: the log has all of it.
func (s *State) restore(ctx context.Context) error {
	_, last, err := s.opt.Bus.Bounds(ctx)
	if err != nil {
		return fmt.Errorf("read the bounds of the bus: %w", err)
	}
	paths, err := snapshots(s.opt.Dir)
	if err != nil {
		return err
	}
	for _, path := range paths {
		s.clear()
		err := s.load(ctx, path, last)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.opt.Log.Warn("snapshot not used", logkey.Path, path, logkey.Error, err)
		var corrupt *corruptError
		if errors.As(err, &corrupt) || errors.Is(err, errAhead) || errors.Is(err, errLost) {
			if err := os.Remove(path); err != nil {
				return fmt.Errorf("remove a snapshot that cannot be used: %w", err)
			}
		}
	}
	s.clear()
	return nil
}

// load fills the state from a snapshot.
func (s *State) load(ctx context.Context, path string, last uint64) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open snapshot: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("open snapshot: %w", err)
	}
	r, err := newReader(f, info.Size())
	switch {
	case err != nil:
		return err
	case r.head.Position > last:
		return errAhead
	case s.opt.Lost > 0 && r.head.Position >= s.opt.Lost:
		return errLost
	case s.wanted.ranges() && r.head.Position > s.opt.Archive.Position():
		return errWanted
	case r.head.Settings != s.settings():
		return errSettings
	}
	limits := profile.Limits{Items: r.head.Items, Users: r.head.Users}
	s.Catalog.Reserve(limits.Items, limits.Users)
	if err := r.each(ctx, map[part]func([]byte) error{
		partCatalog: s.Catalog.Restore,
		partProfile: func(block []byte) error { return s.Profile.Restore(block, limits) },
		partWindow:  s.Pump.Restore,
	}); err != nil {
		return err
	}
	if s.Catalog.NumItems() != limits.Items || s.Catalog.NumUsers() != limits.Users {
		return &corruptError{"ids are missing"}
	}
	s.position.Store(r.head.Position)
	s.size.Store(info.Size())
	return nil
}

// follow applies what the archive has behind the snapshot. Users are moved first:
// then an event's owner is the one that it has now.
func (s *State) follow(ctx context.Context) error {
	after := s.position.Load()
	if s.opt.Archive.Position() <= after {
		return nil
	}
	var change [1]event.Record
	apply := func(seq uint64, r *event.Record) {
		change[0] = *r
		s.Catalog.Apply(seq, change[:])
		s.since++
	}
	if err := s.opt.Archive.ScanItemsAfter(ctx, after, func(seq uint64, r *event.Record) error {
		apply(seq, r)
		return nil
	}); err != nil {
		return fmt.Errorf("read items from the archive: %w", err)
	}
	owners := &archive.Owners{}
	if err := s.opt.Archive.ScanUsersAfter(ctx, after, func(seq uint64, r *event.Record) error {
		apply(seq, r)
		owners.Add(seq, r)
		s.Profile.Apply(seq, change[:])
		return nil
	}); err != nil {
		return fmt.Errorf("read users from the archive: %w", err)
	}
	if err := s.events(ctx, after, owners); err != nil {
		return fmt.Errorf("read events from the archive: %w", err)
	}
	return nil
}

func (s *State) events(ctx context.Context, after uint64, owners *archive.Owners) error {
	columns := parquet.UserID | parquet.ItemID | parquet.EventType | parquet.Time | parquet.Value | parquet.EventID
	if !owners.None() {
		columns |= parquet.BusSeq
	}
	records := make([]event.Record, 0, parquet.BatchRows)
	return s.opt.Archive.ScanEventsAfter(ctx, after, columns, func(b *archive.EventBatch) error {
		records = records[:0]
		for i := range b.Len {
			s.Pump.Seen(b.EventID[i], b.Committed)
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
		s.Profile.Apply(0, records)
		s.since += int64(len(records))
		return nil
	})
}
