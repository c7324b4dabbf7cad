package gen

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"vitrine/als/dataset"
	"vitrine/bridge/archive"
	"vitrine/bridge/parquet"
)

// days is how many dates an archive spreads over: one file each.
const days = 60

// maxGroup is how many rows a row group has at most.
const maxGroup = 1 << 20

// firstDay is 2026-01-01.
func firstDay() int64 { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli() }

const dayMillis = 24 * 60 * 60 * 1000

// EventTypes are the types of an archive's events; the one at place n stands
// for a cell of weight n+1.
func EventTypes() []string { return []string{"view", "favorite", "cart", "purchase"} }

// Archive writes the matrix as the archive of a shop: one event for each cell,
// at a random time of two months, users and items of a date in random order.
// Ids are whole numbers as text, or, with text, of 12 bytes. It returns the
// number of events.
func Archive(ctx context.Context, dir string, s Shape, text bool) (int, error) {
	m, err := Matrix(ctx, s)
	if err != nil {
		return 0, err
	}
	a, err := archive.Open(ctx, archive.Options{Dir: dir})
	if err != nil {
		return 0, err
	}
	b, err := a.Begin(ctx)
	if err != nil {
		return 0, err
	}
	parts := spread(m, s.Seed)
	users, items := names("user", s.Users, text), names("item", s.Items, text)
	for day := range days {
		start := firstDay() + int64(day)*dayMillis
		err := b.AddDate(start, func(w *parquet.ColumnsWriter) error {
			d := &parts[day]
			d.shuffle(rand.New(rand.NewPCG(s.Seed, streamDay+uint64(day)<<40)))
			for lo := 0; lo < len(d.users) && ctx.Err() == nil; lo += maxGroup {
				hi := min(lo+maxGroup, len(d.users))
				c := &parquet.EventColumns{
					UserID:    parquet.Codes{Names: users, Code: d.users[lo:hi]},
					ItemID:    parquet.Codes{Names: items, Code: d.items[lo:hi]},
					EventType: parquet.Codes{Names: EventTypes(), Code: d.types[lo:hi]},
					Time:      make([]int64, hi-lo), BusSeq: b.First(),
				}
				for i := range c.Time {
					c.Time[i] = start + int64(lo+i)*dayMillis/int64(len(d.users))
				}
				if err := w.Write(c); err != nil {
					return err
				}
			}
			*d = part{}
			return ctx.Err()
		})
		if err != nil {
			return 0, err
		}
	}
	return m.NNZ(), b.Commit(ctx, b.First())
}

// names are the ids of one side.
func names(kind string, n int, text bool) []string {
	out := make([]string, n)
	for i := range out {
		if text {
			out[i] = fmt.Sprintf("%s-%07d", kind, i)
			continue
		}
		out[i] = strconv.Itoa(i)
	}
	return out
}

// part is one date's events.
type part struct{ users, items, types []uint32 }

// spread deals the cells out to the dates.
func spread(m *dataset.CSR, seed uint64) []part {
	parts := make([]part, days)
	room := m.NNZ()/days + m.NNZ()/days/8 + 64
	for d := range parts {
		parts[d] = part{make([]uint32, 0, room), make([]uint32, 0, room), make([]uint32, 0, room)}
	}
	random := rand.New(rand.NewPCG(seed, streamDay))
	for user := range m.Rows {
		cols, weights := m.Row(user)
		for i, item := range cols {
			p := &parts[random.IntN(days)]
			p.users, p.items, p.types = append(p.users, uint32(user)), append(p.items, item), append(p.types, uint32(weights[i])-1)
		}
	}
	return parts
}

func (p *part) shuffle(random *rand.Rand) {
	random.Shuffle(len(p.users), func(i, j int) {
		p.users[i], p.users[j] = p.users[j], p.users[i]
		p.items[i], p.items[j] = p.items[j], p.items[i]
		p.types[i], p.types[j] = p.types[j], p.types[i]
	})
}
