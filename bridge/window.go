package bridge

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"vitrine/internal/fields"
)

// Between runs do on the committer's goroutine between two frames, with the
// newest sequence that the consumers have seen: what is read there is of that
// position. Frames wait as long as it takes. It may be called after Run began,
// also when Run has ended.
func (p *Pump) Between(ctx context.Context, do func(seq uint64)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	done := make(chan struct{})
	select {
	case p.between <- func() { do(p.last); close(done) }:
		<-done
		return nil
	case <-p.stopped:
		do(p.last)
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// yield runs what waits for a moment between frames.
func (p *Pump) yield() {
	for {
		select {
		case do := <-p.between:
			do()
		default:
			return
		}
	}
}

// Window is a dedup window as it was at one position of the log, with how far
// each partition of a topic had come.
type Window struct {
	key    [16]byte
	count  int
	blocks []idBlock
	places map[Place]int64
}

// Window copies what the dedup window consists of, which takes less than a
// millisecond: identities in it never change. It belongs into Between.
func (p *Pump) Window() *Window {
	return &Window{key: p.ids.key, count: p.ids.count, blocks: slices.Clone(p.ids.blocks), places: p.places.all()}
}

// The kinds of window blocks, their first byte.
const (
	windowHead   = 1
	windowIDs    = 2
	windowPlaces = 3
)

const (
	runHead      = 8 + 8 + 4
	identitySize = 16
	// windowBlock is about how long a block is.
	windowBlock = 512 << 10
)

// Write hands the window out as blocks for Restore, valid until emit returns.
func (w *Window) Write(emit func(block []byte) error) error {
	out := append([]byte{windowHead}, w.key[:]...)
	if err := emit(binary.LittleEndian.AppendUint32(out, uint32(w.count))); err != nil {
		return err
	}
	out = append(out[:0], windowPlaces)
	for place, next := range w.places {
		out = append(binary.AppendUvarint(out, uint64(len(place.Name))), place.Name...)
		out = binary.AppendVarint(binary.AppendVarint(out, int64(place.Partition)), next)
	}
	if err := emit(out); err != nil {
		return err
	}
	out = append(out[:0], windowIDs)
	for i := range w.blocks {
		b := &w.blocks[i]
		out = binary.LittleEndian.AppendUint64(out, uint64(b.first))
		out = binary.LittleEndian.AppendUint64(out, uint64(b.last))
		out = binary.LittleEndian.AppendUint32(out, uint32(b.n))
		for _, id := range b.ids[:b.n] {
			out = binary.LittleEndian.AppendUint64(out, id.hi)
			out = binary.LittleEndian.AppendUint64(out, id.lo)
		}
		if len(out) >= windowBlock || i == len(w.blocks)-1 {
			if err := emit(out); err != nil {
				return err
			}
			out = out[:1]
		}
	}
	return nil
}

// errWindow says that a block is none of a window.
var errWindow = errors.New("this is no dedup window")

// Restore takes a block of Window.Write back, in their order, into a pump that
// knows no identities yet; it belongs before Seen and Replay.
func (p *Pump) Restore(block []byte) error {
	var err error
	if len(block) > 0 && block[0] == windowPlaces {
		err = p.places.restore(block[1:])
	} else {
		err = p.ids.restore(block)
	}
	if err != nil {
		return fmt.Errorf("restore the dedup window: %w", err)
	}
	p.remembered.Store(int64(p.ids.count))
	return nil
}

func (p *places) restore(block []byte) error {
	d := fields.Reader{Rest: block}
	for len(d.Rest) > 0 {
		name := string(d.Text())
		partition, next := d.Varint(), d.Varint()
		if d.Bad || partition < 0 || partition > math.MaxInt32 || next < 0 {
			return errWindow
		}
		p.pass(Place{name, int32(partition)}, next)
	}
	return nil
}

func (s *idSet) restore(block []byte) error {
	if len(block) == 0 {
		return errWindow
	}
	kind, rest := block[0], block[1:]
	switch {
	case kind == windowHead && len(rest) == len(s.key)+4 && s.count == 0:
		copy(s.key[:], rest)
		s.reserve(min(int(binary.LittleEndian.Uint32(rest[len(s.key):])), s.max))
		return nil
	case kind != windowIDs:
		return errWindow
	}
	for len(rest) > 0 {
		if len(rest) < runHead {
			return errWindow
		}
		first, last := int64(binary.LittleEndian.Uint64(rest)), int64(binary.LittleEndian.Uint64(rest[8:]))
		n := int(binary.LittleEndian.Uint32(rest[16:]))
		rest = rest[runHead:]
		if n < 1 || n > blockIDs || len(rest) < n*identitySize || first > last {
			return errWindow
		}
		if err := s.restoreRun(first, last, rest[:n*identitySize]); err != nil {
			return err
		}
		rest = rest[n*identitySize:]
	}
	return nil
}

// restoreRun adds one block of identities with the times that it had.
func (s *idSet) restoreRun(first, last int64, ids []byte) error {
	s.blocks = append(s.blocks, idBlock{ids: new([blockIDs]identity), first: first, last: last})
	for ; len(ids) > 0; ids = ids[identitySize:] {
		id := identity{binary.LittleEndian.Uint64(ids), binary.LittleEndian.Uint64(ids[8:])}
		sh := s.room(id)
		at, found := s.find(sh, id)
		if found || id == (identity{}) {
			return fmt.Errorf("%w: an identity is there twice", errWindow)
		}
		b := &s.blocks[len(s.blocks)-1]
		sh.set(at, hashOf(id), (s.base+uint32(len(s.blocks)-1))%blockNumbers*blockIDs+uint32(b.n))
		b.ids[b.n] = id
		b.n++
		sh.n++
		s.count++
	}
	return nil
}
