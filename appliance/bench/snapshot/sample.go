package snapshot

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"vitrine/appliance/signal"
	"vitrine/bridge/archive"
	"vitrine/bridge/parquet"
)

// Sample is who is asked for, and what for.
type Sample struct {
	// Users have interactions, those with most of them first.
	Users []string
	// Items have several.
	Items []string
}

const (
	// MostUsers and mostItems bound what is kept of an archive of any size.
	MostUsers = 5_000
	mostItems = 100_000
	// itemEvents are how many an item has that a model knows well.
	itemEvents = 3
)

// Sample draws users and items evenly, whatever they did, the same in every run
// on the same data.
func (s *Snapshot) Sample(ctx context.Context, sig *signal.Signal) (*Sample, error) {
	a, err := archive.OpenReadOnly(ctx, archive.Options{Dir: s.archive()})
	if err != nil {
		return nil, fault(s.Root, "it cannot be opened", err)
	}
	defer a.Close()
	owners, err := a.Owners(ctx)
	if err != nil {
		return nil, s.broken(ctx, err)
	}
	users, items := newDraw(MostUsers), newDraw(mostItems)
	err = a.ScanEvents(ctx, parquet.UserID|parquet.ItemID|parquet.EventType|parquet.BusSeq, func(b *archive.EventBatch) error {
		for i := range b.Len {
			code, known := sig.TypeCode(b.EventType.Names[b.EventType.Code[i]])
			if !known || !sig.Enters(code) {
				continue
			}
			if user := owners.Of(b.UserID.Names[b.UserID.Code[i]], b.BusSeq[i]); user != "" {
				users.add(user)
				items.add(b.ItemID.Names[b.ItemID.Code[i]])
			}
		}
		return nil
	})
	if err != nil {
		return nil, s.broken(ctx, err)
	}
	return &Sample{Users: users.atLeast(1), Items: items.atLeast(itemEvents)}, nil
}

// Choose samples, and leaves out the users whom knows does not know: those for
// whom an appliance with the archive makes no full list would tell nothing of
// ranking. left is how many they are.
func (s *Snapshot) Choose(ctx context.Context, cfg signal.Config, knows func(user string) (bool, error)) (chosen *Sample, left int, err error) {
	sig, err := signal.New(cfg)
	if err != nil {
		return nil, 0, fmt.Errorf("check signal: %w", err)
	}
	drawn, err := s.Sample(ctx, sig)
	if err != nil {
		return nil, 0, err
	}
	chosen = &Sample{Items: drawn.Items}
	for _, user := range drawn.Users {
		ok, err := knows(user)
		switch {
		case err != nil:
			return nil, 0, err
		case ok:
			chosen.Users = append(chosen.Users, user)
		default:
			left++
		}
	}
	if len(chosen.Users) < 2 || len(chosen.Items) < 2 {
		return nil, 0, &Unfit{
			Err: fmt.Errorf("archive %s: of %d users %d get a full list made for them, and %d items have %d events: too few", s.Root, len(drawn.Users), len(chosen.Users), len(chosen.Items), itemEvents),
			Do:  "the benchmark asks for lists of 20 items; without --archive it measures a generated shop",
		}
	}
	return chosen, left, nil
}

// draw keeps the ids with the lowest hashes, and how often each came. One whose
// hash is among the lowest of all is kept from its first time on, so its count is
// whole; the others' are given up with them.
type draw struct {
	most int
	kept map[string]*drawn
	// highest is the bound that a hash must be below, once there are too many.
	highest uint64
}

type drawn struct {
	hash  uint64
	times int
}

func newDraw(most int) *draw {
	return &draw{most: most, kept: map[string]*drawn{}, highest: ^uint64(0)}
}

func (d *draw) add(id string) {
	if k := d.kept[id]; k != nil {
		k.times++
		return
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(id))
	sum := mix(h.Sum64())
	if sum >= d.highest {
		return
	}
	d.kept[strings.Clone(id)] = &drawn{hash: sum, times: 1}
	if len(d.kept) >= 2*d.most {
		d.cut()
	}
}

// mix spreads a hash over all its bits: those of ids that differ in their last
// letter alone lie close together.
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// cut gives up all but the lowest.
func (d *draw) cut() {
	if len(d.kept) <= d.most {
		return
	}
	hashes := make([]uint64, 0, len(d.kept))
	for _, k := range d.kept {
		hashes = append(hashes, k.hash)
	}
	slices.Sort(hashes)
	d.highest = hashes[d.most]
	for id, k := range d.kept {
		if k.hash >= d.highest {
			delete(d.kept, id)
		}
	}
}

// atLeast are the ids that came so often, the most frequent first.
func (d *draw) atLeast(times int) []string {
	d.cut()
	var ids []string
	for id, k := range d.kept {
		if k.times >= times {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b string) int {
		return cmp.Or(cmp.Compare(d.kept[b].times, d.kept[a].times), cmp.Compare(a, b))
	})
	return ids
}
