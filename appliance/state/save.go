package state

import (
	"context"
	"fmt"
	"time"

	"vitrine/appliance/catalog"
	"vitrine/appliance/profile"
	"vitrine/bridge"
	"vitrine/internal/logkey"
	"vitrine/internal/pause"
)

// Run writes snapshots until ctx ends, and returns ctx.Err(). One that cannot be
// written is logged: the log has all of it.
func (s *State) Run(ctx context.Context) error {
	tick := time.NewTicker(min(lookEvery, s.opt.Every))
	defer tick.Stop()
	saved := time.Now()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if time.Since(saved) < s.opt.Every && s.came() < snapshotRecords {
			continue
		}
		if err := s.save(ctx, gently(ctx)); err != nil && ctx.Err() == nil {
			s.opt.Log.Warn("snapshot not written; the next start takes longer", logkey.Error, err)
		}
		saved = time.Now()
	}
}

// Save writes a snapshot of now, unless there is one. It belongs to the stop,
// when Run and the pump have ended.
func (s *State) Save(ctx context.Context) error {
	return s.save(ctx, func() error { return ctx.Err() })
}

// gently leaves three quarters of a core to the others.
func gently(ctx context.Context) func() error {
	begin := time.Now()
	return func() error {
		// What took longer than a piece of work does was no work.
		if err := pause.For(ctx, 3*min(time.Since(begin), maxPiece)); err != nil {
			return err
		}
		begin = time.Now()
		return nil
	}
}

const maxPiece = 100 * time.Millisecond

// came is how many records came since the newest snapshot.
func (s *State) came() int64 {
	s.saving.Lock()
	defer s.saving.Unlock()
	return s.since + int64(s.Pump.Stats().Accepted-s.base)
}

// Renew writes a snapshot of now and removes all others: what was taken away
// since they were written is in none of them then.
func (s *State) Renew(ctx context.Context) error {
	s.saving.Lock()
	defer s.saving.Unlock()
	if err := s.write(ctx, gently(ctx)); err != nil {
		return err
	}
	return pruneBefore(s.opt.Dir, s.position.Load())
}

// forget says whether a snapshot must not hold the id of a user who was erased.
func (s *State) forget(user uint32, id string, at int64) bool {
	return s.opt.Forgotten != nil && s.opt.Forgotten(id, at) && !s.Profile.Has(user)
}

// save writes a snapshot; between is called between two blocks.
func (s *State) save(ctx context.Context, between func() error) error {
	s.saving.Lock()
	defer s.saving.Unlock()
	if s.Pump.Stats().Last == s.position.Load() {
		return nil
	}
	return s.write(ctx, between)
}

// write is save whatever there is; saving is held.
func (s *State) write(ctx context.Context, between func() error) error {
	start := time.Now()
	var m moment
	if err := s.Pump.Between(ctx, func(seq uint64) { m = s.freeze(seq) }); err != nil {
		return err
	}
	defer m.profile.Thaw()
	w, err := create(s.opt.Dir, head{Position: m.seq, Settings: s.settings(), Items: m.catalog.Items(), Users: m.catalog.Users()})
	if err != nil {
		return err
	}
	for _, p := range []struct {
		part  part
		write func(emit func([]byte) error) error
	}{
		{partCatalog, m.catalog.Write},
		{partWindow, m.window.Write},
		{partProfile, m.profile.Write},
	} {
		err := p.write(func(block []byte) error {
			if err := w.block(p.part, block); err != nil {
				return err
			}
			return between()
		})
		if err != nil {
			w.abandon()
			return fmt.Errorf("write snapshot: %w", err)
		}
	}
	if err := w.finish(); err != nil {
		return err
	}
	s.position.Store(m.seq)
	s.size.Store(w.bytes)
	s.since, s.base = 0, m.accepted
	s.opt.Log.Debug("snapshot written", logkey.Seq, m.seq, logkey.Bytes, w.bytes, logkey.Seconds, time.Since(start).Seconds(),
		logkey.Paused, m.took.Seconds())
	return prune(s.opt.Dir)
}

// moment is the state at one position of the log.
type moment struct {
	seq, accepted uint64
	catalog       *catalog.Frozen
	profile       *profile.Frozen
	window        *bridge.Window
	// took is for how long frames waited.
	took time.Duration
}

func (s *State) freeze(seq uint64) moment {
	start := time.Now()
	m := moment{
		seq: seq, accepted: s.Pump.Stats().Accepted,
		catalog: s.Catalog.Freeze(s.forget), profile: s.Profile.Freeze(), window: s.Pump.Window(),
	}
	m.took = time.Since(start)
	return m
}
