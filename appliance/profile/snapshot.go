package profile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"vitrine/appliance/signal"
	"vitrine/internal/fields"
)

// Frozen is a store as it was at one moment, to be written while the store goes
// on. What of it a later event would change is copied before: a shard's list of
// histories at the first event that falls into it, a history's events where
// they are not merely added to.
type Frozen struct {
	store          *Store
	newest         int64
	popular, trend frozenSums
}

type frozenSums struct {
	scores           []float64
	landmark, newest float64
}

// Freeze takes the state of now, in about the time of copying the popularity of
// every item (a millisecond for 200,000). It belongs to the goroutine that adds,
// and to a store that is not frozen already; Write or Thaw end it.
func (s *Store) Freeze() *Frozen {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		sh.frozen, sh.captured = true, false
		sh.mu.Unlock()
	}
	return &Frozen{store: s, newest: s.newest.Load(), popular: s.popular.freeze(), trend: s.trend.short.freeze()}
}

func (p *popularity) freeze() frozenSums {
	p.mu.Lock()
	defer p.mu.Unlock()
	return frozenSums{scores: slices.Clone(p.scores), landmark: p.landmark, newest: p.newest}
}

// capture keeps the list of histories of the moment of freezing; the shard's
// lock is held. It copies 40 bytes a user: a fifth of a millisecond for a shard
// of a million users' store.
func (sh *shard) capture() {
	if sh.frozen && !sh.captured {
		sh.kept, sh.captured = slices.Clone(sh.histories), true
	}
}

// own makes a history's events its own before something other than adding to
// their end is done to them; the shard's lock is held.
func (sh *shard) own(h *history) {
	if sh.frozen {
		h.events = append(make([]signal.Interaction, 0, cap(h.events)), h.events...)
	}
}

// release gives the histories of the moment of freezing to whoever writes them.
func (sh *shard) release() []history {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.capture()
	kept := sh.kept
	sh.kept = nil
	return kept
}

func (sh *shard) thaw() {
	sh.mu.Lock()
	sh.frozen, sh.captured, sh.kept = false, false, nil
	sh.mu.Unlock()
}

// Thaw ends the freeze.
func (f *Frozen) Thaw() {
	for i := range f.store.shards {
		f.store.shards[i].thaw()
	}
}

// The kinds of blocks, their first byte.
const (
	blockHead      = 1
	blockPopular   = 2
	blockTrend     = 3
	blockHistories = 4
)

const (
	// blockSize is about how long a block is.
	blockSize = 256 << 10
	// sumsPerBlock bounds the blocks of popularity.
	sumsPerBlock = 32 << 10
	// leastEvent is how long an event is at least.
	leastEvent = 4
)

// Bits of a history, then of an event.
const (
	hasFloor = 1
	hasValue = 1
	hasID    = 2
)

// Write hands the state out as blocks for Restore, each valid until emit
// returns, and thaws the store.
func (f *Frozen) Write(emit func(block []byte) error) error {
	defer f.Thaw()
	out := []byte{blockHead}
	for _, v := range []uint64{
		uint64(f.newest), math.Float64bits(f.popular.landmark), math.Float64bits(f.popular.newest),
		math.Float64bits(f.trend.landmark), math.Float64bits(f.trend.newest),
	} {
		out = binary.LittleEndian.AppendUint64(out, v)
	}
	if err := emit(out); err != nil {
		return err
	}
	if err := writeSums(blockPopular, f.popular.scores, emit); err != nil {
		return err
	}
	if err := writeSums(blockTrend, f.trend.scores, emit); err != nil {
		return err
	}
	f.popular, f.trend = frozenSums{}, frozenSums{}
	out = append(out[:0], blockHistories)
	for i := range f.store.shards {
		sh := &f.store.shards[i]
		for at, h := range sh.release() {
			if h.seq == 0 {
				continue
			}
			out = h.encode(out, uint32(at*numShards+i))
			if len(out) < blockSize {
				continue
			}
			if err := emit(out); err != nil {
				return err
			}
			out = out[:1]
		}
		sh.thaw()
	}
	return emit(out)
}

func writeSums(kind byte, scores []float64, emit func([]byte) error) error {
	for part := range slices.Chunk(scores, sumsPerBlock) {
		out := make([]byte, 1, 1+8*len(part))
		out[0] = kind
		for _, v := range part {
			out = binary.LittleEndian.AppendUint64(out, math.Float64bits(v))
		}
		if err := emit(out); err != nil {
			return err
		}
	}
	return nil
}

// encode appends a user's history.
func (h *history) encode(out []byte, user uint32) []byte {
	out = binary.AppendUvarint(out, uint64(user))
	out = binary.AppendUvarint(out, h.seq)
	if h.floor == math.MinInt64 {
		out = append(out, 0)
	} else {
		out = binary.AppendVarint(append(out, hasFloor), h.floor)
	}
	out = binary.AppendUvarint(out, uint64(len(h.events)))
	// The room decides when the cap is applied next, and so for how long an
	// event beyond it is known when it is sent again.
	out = binary.AppendUvarint(out, uint64(cap(h.events)-len(h.events)))
	before := int64(0)
	for i := range h.events {
		in := &h.events[i]
		out = binary.AppendVarint(out, in.Time-before)
		before = in.Time
		out = binary.AppendUvarint(out, uint64(in.Item))
		flags := byte(0)
		if in.Value == in.Value {
			flags |= hasValue
		}
		if in.ID != 0 {
			flags |= hasID
		}
		out = append(out, in.Type, flags)
		if flags&hasValue != 0 {
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(in.Value))
		}
		if flags&hasID != 0 {
			out = binary.LittleEndian.AppendUint32(out, in.ID)
		}
	}
	return out
}

// Limits are how many codes there are: a block that speaks of others is none.
type Limits struct{ Items, Users int }

// errBlock says that a block is none of a store.
var errBlock = errors.New("these are no histories")

// Restore takes a block of Frozen.Write back, in their order, into a store that
// nothing was added to yet.
func (s *Store) Restore(block []byte, most Limits) error {
	d := fields.Reader{Rest: block}
	switch kind := d.Byte(); kind {
	case blockHead:
		s.newest.Store(int64(d.Uint64()))
		s.popular.landmark, s.popular.newest = d.Float(), d.Float()
		s.trend.short.landmark, s.trend.short.newest = d.Float(), d.Float()
	case blockPopular:
		s.popular.restore(&d, most.Items)
	case blockTrend:
		s.trend.short.restore(&d, most.Items)
	case blockHistories:
		for len(d.Rest) > 0 && !d.Bad {
			s.restoreHistory(&d, most)
		}
	default:
		d.Bad = true
	}
	if d.Bad || len(d.Rest) > 0 {
		return fmt.Errorf("restore histories: %w", errBlock)
	}
	return nil
}

func (p *popularity) restore(d *fields.Reader, most int) {
	for len(d.Rest) > 0 && !d.Bad {
		if len(p.scores) >= most {
			d.Bad = true
			return
		}
		p.scores = append(p.scores, d.Float())
	}
	p.version.Add(1)
}

func (s *Store) restoreHistory(d *fields.Reader, most Limits) {
	user := d.Uvarint()
	h := history{seq: d.Uvarint(), floor: math.MinInt64}
	if d.Byte() == hasFloor {
		h.floor = d.Varint()
	}
	n, room := d.Uvarint(), d.Uvarint()
	if d.Bad || h.seq == 0 || user >= uint64(most.Users) || n > uint64(len(d.Rest)/leastEvent) {
		d.Bad = true
		return
	}
	sh := &s.shards[user%numShards]
	if sh.histories == nil {
		sh.histories = make([]history, (most.Users+numShards-1)/numShards)
		for i := range sh.histories {
			sh.histories[i].floor = math.MinInt64
		}
	}
	slot := &sh.histories[user/numShards]
	if slot.seq != 0 {
		d.Bad = true
		return
	}
	// No more than this comes of cutting a history, so no file asks for more.
	h.events = make([]signal.Interaction, n, n+min(room, 4*n+64))
	before := int64(0)
	for i := range h.events {
		in := restoreEvent(d, before)
		if i > 0 && in.Time < before || in.Item >= uint32(most.Items) || !s.sig.Enters(in.Type) {
			d.Bad = true
			return
		}
		before = in.Time
		h.events[i] = in
	}
	*slot = h
	s.users.Add(1)
}

// restoreEvent reads an event of a history, whose time is told from the one
// before.
func restoreEvent(d *fields.Reader, before int64) signal.Interaction {
	in := signal.Interaction{Time: before + d.Varint(), Value: float32(math.NaN())}
	if item := d.Uvarint(); item <= math.MaxUint32 {
		in.Item = uint32(item)
	} else {
		d.Bad = true
	}
	in.Type = d.Byte()
	flags := d.Byte()
	if flags&hasValue != 0 {
		in.Value = math.Float32frombits(d.Uint32())
	}
	if flags&hasID != 0 {
		in.ID = d.Uint32()
	}
	return in
}
