package parts

import (
	"context"
	"hash/maphash"
	"math/bits"
	"runtime"
	"slices"

	"vitrine/bridge/archive"
	"vitrine/bridge/archive/ids"
	"vitrine/bridge/parquet"
	"vitrine/internal/parallel"
)

// hashed are the hashes of a part's event ids, ordered by their highest bits:
// bucket n has those from starts[n] to starts[n+1]-1.
type hashed struct {
	hashes []uint64
	starts []uint32
}

// bucketRows is about how many hashes of a date share a bucket: a table of so
// many stays in the cache.
const bucketRows = 1 << 15

// maxBucketBits bounds the number of buckets.
const maxBucketBits = 12

// findRepeats puts into the parts of some dates which of their rows repeat an
// event. First it looks for equal hashes of 64 bits; only where there are such,
// ids are read again, and those of equal hash compared as Archive.ScanEvents does.
func findRepeats(ctx context.Context, a *archive.Archive, days [][]part) error {
	seed := maphash.MakeSeed()
	type place struct{ day, part int }
	var places []place
	of := make([][]hashed, len(days))
	bucketBits := make([]int, len(days))
	for d, day := range days {
		of[d] = make([]hashed, len(day))
		rows := 0
		for n := range day {
			if day[n].ids {
				rows += day[n].rows
				places = append(places, place{d, n})
			}
		}
		bucketBits[d] = min(bits.Len(uint(rows/bucketRows)), maxBucketBits)
	}
	err := eachPart(ctx, a, len(places), func(r *idReader, i int) error {
		at := places[i]
		var err error
		of[at.day][at.part], err = r.hash(ctx, &days[at.day][at.part], seed, bucketBits[at.day])
		return err
	})
	if err != nil {
		return err
	}
	return eachPart(ctx, a, len(days), func(r *idReader, d int) error {
		twice, err := sharedHashes(ctx, of[d], bucketBits[d])
		of[d] = nil
		if err != nil || len(twice) == 0 {
			return err
		}
		return r.drop(ctx, days[d], seed, twice)
	})
}

// eachPart calls fn for 0..n-1 on all cores, each with a reader of its own.
func eachPart(ctx context.Context, a *archive.Archive, n int, fn func(r *idReader, i int) error) error {
	workers := runtime.GOMAXPROCS(0)
	readers := make(chan *idReader, workers)
	for range workers {
		readers <- &idReader{archive: a, scanner: parquet.NewEventScanner(parquet.EventID)}
	}
	err := parallel.Each(workers, n, func(i int) error {
		r := <-readers
		defer func() { readers <- r }()
		if err := ctx.Err(); err != nil {
			return err
		}
		return fn(r, i)
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// idReader is one goroutine's reader of event ids.
type idReader struct {
	archive *archive.Archive
	scanner *parquet.EventScanner
	hashes  []uint64
}

// scan calls fn with the ids of a part.
func (r *idReader) scan(ctx context.Context, p *part, fn func(list []string)) error {
	return withFile(r.archive, p.path, func(f *parquet.File) error {
		return r.scanner.ScanGroup(ctx, f, p.group, func(b *parquet.EventBatch) error {
			fn(b.EventID)
			return nil
		})
	})
}

// hash hashes the ids of a part and orders them into 2^bucketBits buckets.
func (r *idReader) hash(ctx context.Context, p *part, seed maphash.Seed, bucketBits int) (hashed, error) {
	r.hashes = r.hashes[:0]
	starts := make([]uint32, 1<<bucketBits+1)
	err := r.scan(ctx, p, func(list []string) {
		for _, id := range list {
			if id != "" {
				h := maphash.String(seed, id)
				r.hashes = append(r.hashes, h)
				starts[h>>(64-bucketBits)+1]++
			}
		}
	})
	if err != nil {
		return hashed{}, err
	}
	for n := range len(starts) - 1 {
		starts[n+1] += starts[n]
	}
	out := hashed{hashes: make([]uint64, len(r.hashes)), starts: starts}
	next := slices.Clone(starts)
	for _, h := range r.hashes {
		n := h >> (64 - bucketBits)
		out.hashes[next[n]] = h
		next[n]++
	}
	return out, nil
}

// sharedHashes are the hashes that more than one id of a date has.
func sharedHashes(ctx context.Context, parts []hashed, bucketBits int) (map[uint64]struct{}, error) {
	var twice map[uint64]struct{}
	var table []uint64
	for n := range 1 << bucketBits {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		count := 0
		for i := range parts {
			if starts := parts[i].starts; starts != nil {
				count += int(starts[n+1] - starts[n])
			}
		}
		size := 1 << bits.Len(uint(2*count))
		if len(table) < size {
			table = make([]uint64, size)
		}
		table := table[:size]
		clear(table)
		for i := range parts {
			if parts[i].starts == nil {
				continue
			}
			for _, h := range parts[i].hashes[parts[i].starts[n]:parts[i].starts[n+1]] {
				if h = max(h, 1); !ids.Enter(table, h) {
					if twice == nil {
						twice = make(map[uint64]struct{})
					}
					twice[h] = struct{}{}
				}
			}
		}
	}
	return twice, nil
}

// drop finds the rows of a date whose id was there before; twice has the hashes
// of all ids that come more than once.
func (r *idReader) drop(ctx context.Context, day []part, seed maphash.Seed, twice map[uint64]struct{}) error {
	seen := ids.NewSet()
	for n := range day {
		p := &day[n]
		if !p.ids {
			continue
		}
		row := 0
		err := r.scan(ctx, p, func(list []string) {
			for _, id := range list {
				if id != "" {
					_, maybe := twice[max(maphash.String(seed, id), 1)]
					if maybe && !seen.Add(id) {
						p.drop = append(p.drop, row)
					}
				}
				row++
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}
