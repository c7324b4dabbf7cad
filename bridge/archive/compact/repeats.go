package compact

import (
	"context"
	"errors"
	"hash/maphash"
	"math/bits"
	"slices"
	"strings"

	"vitrine/bridge/archive"
	"vitrine/bridge/archive/ids"
	"vitrine/bridge/parquet"
)

// tableIDs is how many event ids are looked through at once: their hashes take 16
// to 32 bytes each. Of a folder with more, all ids are read several times, each
// time for another part of the hashes.
const tableIDs = 2 << 20

// repeats gives the numbers of the rows whose event id an earlier row of the
// folder has, by file, up to the one that ends with bus message last.
func (c *Compactor) repeats(ctx context.Context, f *archive.Folder, last uint64) (map[string][]int64, error) {
	var files []string
	ids := int64(0)
	for i := range f.Files {
		if f.Files[i].Last > last {
			break
		}
		n, err := c.countIDs(f.Files[i].Path)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			files = append(files, f.Files[i].Path)
			ids += n
		}
	}
	repeated := map[string][]int64{}
	parts := uint64(ids/tableIDs + 1)
	l := look{seed: maphash.MakeSeed(), parts: parts, table: make([]uint64, 1<<bits.Len64(2*uint64(ids)/parts))}
	for l.part = range parts {
		if err := c.look(ctx, &l, files, repeated); err != nil {
			return nil, err
		}
	}
	if parts > 1 {
		for _, rows := range repeated {
			slices.Sort(rows)
		}
	}
	return repeated, nil
}

// look is one look through the ids whose hashes are of one of several parts.
type look struct {
	seed        maphash.Seed
	part, parts uint64
	table       []uint64
}

// hash is that of an id, 0 where it is of another part.
func (l *look) hash(id string) uint64 {
	if h := max(maphash.String(l.seed, id), 1); h%l.parts == l.part {
		return h
	}
	return 0
}

func (c *Compactor) look(ctx context.Context, l *look, files []string, repeated map[string][]int64) error {
	clear(l.table)
	suspects := map[uint64]struct{}{}
	err := c.ids(ctx, files, func(_ string, _ int64, id string) {
		if h := l.hash(id); h != 0 && !ids.Enter(l.table, h) {
			suspects[h] = struct{}{}
		}
	})
	if err != nil || len(suspects) == 0 {
		return err
	}
	// Equal hashes may be of different ids: those few are compared themselves.
	seen := map[string]struct{}{}
	return c.ids(ctx, files, func(file string, row int64, id string) {
		if _, suspect := suspects[l.hash(id)]; !suspect {
			return
		}
		if _, again := seen[id]; again {
			repeated[file] = append(repeated[file], row)
			return
		}
		seen[strings.Clone(id)] = struct{}{}
	})
}

// countIDs is how many rows of a file may have an event id.
func (c *Compactor) countIDs(path string) (n int64, err error) {
	file, err := c.opt.Archive.OpenData(path)
	if err != nil {
		return 0, err
	}
	for _, g := range file.Groups() {
		if g.IDs {
			n += int64(g.Rows)
		}
	}
	return n, file.Close()
}

// ids calls fn with every event id of some files, in order.
func (c *Compactor) ids(ctx context.Context, files []string, fn func(file string, row int64, id string)) error {
	scanner := parquet.NewEventScanner(parquet.EventID)
	for _, path := range files {
		file, err := c.opt.Archive.OpenData(path)
		if err != nil {
			return err
		}
		row := int64(0)
		err = scanner.Scan(ctx, file, func(b *parquet.EventBatch) error {
			for i, id := range b.EventID {
				if id != "" {
					fn(path, row+int64(i), id)
				}
			}
			row += int64(b.Len)
			return c.opt.Pace(ctx)
		})
		if err = errors.Join(err, file.Close()); err != nil {
			return err
		}
	}
	return nil
}
