package ingest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"vitrine/appliance/bench/machine"
	"vitrine/appliance/bench/report"
	"vitrine/bridge/archive"
	"vitrine/bridge/archive/follow"
	"vitrine/bridge/archive/parts"
	"vitrine/bridge/event"
	"vitrine/bridge/event/frames"
	"vitrine/bridge/jetstream"
	"vitrine/bridge/parquet"
)

// The bars of the archive, rows of 12-byte ids a second.
const (
	barWrite = 600_000
	barRead  = 5_000_000
)

const (
	// frameRecords are those of one frame, as a busy bus has them.
	frameRecords = 1000
	// archiveDays are the dates that the events are of: a stream's are of one
	// day or two.
	archiveDays = 2
	dayMillis   = 24 * 60 * 60 * 1000
	// scatter makes ids look as if they were drawn: no column compresses better
	// than a shop's.
	scatter = 2_654_435_761
)

// Archive measures how fast the follower empties a full bus into Parquet, and
// how fast training's columns are read back on all cores. The limits: about
// 100 bytes a row to be encoded and compressed, and one pass of decompression.
func (b *Bench) Archive(ctx context.Context) error {
	got := report.Samples{}
	for rep := range b.Repetitions {
		b.Progress("ingest.archive", int64(rep), int64(b.Repetitions))
		if err := b.withBus(ctx, int64(b.Rows)*512+1<<30, func(dir string, bus *jetstream.Bus) error {
			return b.archiveOnce(ctx, dir, bus, got)
		}); err != nil {
			return err
		}
	}
	b.figure(got, "ingest.archive.write", "1/s", report.Higher, barWrite)
	b.figure(got, "ingest.archive.write_cpu", "us", report.Lower, 0)
	b.figure(got, "ingest.archive.read", "1/s", report.Higher, barRead)
	b.figure(got, "ingest.archive.row", "bytes", report.Lower, 0)
	return nil
}

// archiveOnce fills a bus, empties it into an archive, and reads that.
func (b *Bench) archiveOnce(ctx context.Context, dir string, bus *jetstream.Bus, got report.Samples) error {
	if err := fill(ctx, bus, b.Rows); err != nil {
		return err
	}
	a, err := archive.Open(ctx, archive.Options{Dir: filepath.Join(dir, "archive")})
	if err != nil {
		return err
	}
	before, start := machine.OwnTime(), time.Now()
	if err := follow.New(a, bus, follow.Options{}).Flush(ctx); err != nil {
		return err
	}
	rows := float64(b.Rows)
	got.Add("ingest.archive.write", rows/time.Since(start).Seconds())
	got.Add("ingest.archive.write_cpu", float64((machine.OwnTime()-before).Nanoseconds())/1000/rows)
	start = time.Now()
	read, err := readAll(ctx, a)
	if err != nil {
		return err
	}
	got.Add("ingest.archive.read", float64(read)/time.Since(start).Seconds())
	sum, err := a.Summary(ctx)
	if err != nil {
		return err
	}
	got.Add("ingest.archive.row", float64(sum.Bytes)/rows)
	if read != b.Rows || sum.Events != int64(b.Rows) {
		b.Invalid("of %d events on the bus %d are in the archive and %d were read", b.Rows, sum.Events, read)
	}
	return nil
}

// fill puts so many views on the bus.
func fill(ctx context.Context, bus *jetstream.Bus, rows int) error {
	var frame frames.Builder
	last := uint64(0)
	day0 := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	for n := range rows {
		frame.Add(&event.Record{Kind: event.KindEvent, Event: event.Event{
			UserID: fmt.Sprintf("user-%07d", n*7919%users), ItemID: fmt.Sprintf("item-%07d", n*104729%items),
			Type: "view", Time: day0 + int64(n)*archiveDays*dayMillis/int64(rows),
			EventID: fmt.Sprintf("e-%010d", n*scatter%1e10), SessionID: fmt.Sprintf("s-%08d", n/5*scatter%1e8),
		}})
		if frame.Len() < frameRecords && n < rows-1 {
			continue
		}
		seq, err := bus.Append(ctx, frame.Seal(), last)
		if err != nil {
			return fmt.Errorf("fill the bus: %w", err)
		}
		last = seq
		frame.Reset()
	}
	return nil
}

// readAll reads what training reads, on all cores, and counts the rows.
func readAll(ctx context.Context, a *archive.Archive) (int, error) {
	list, err := parts.List(ctx, a)
	if err != nil {
		return 0, err
	}
	var next, rows atomic.Int64
	var wg sync.WaitGroup
	failures := make([]error, runtime.GOMAXPROCS(0))
	for worker := range failures {
		wg.Go(func() {
			r := list.Reader(parquet.UserID | parquet.ItemID | parquet.EventType | parquet.Time | parquet.Value)
			defer r.Close() //nolint:errcheck // read only
			for n := int(next.Add(1)) - 1; n < list.Len() && failures[worker] == nil; n = int(next.Add(1)) - 1 {
				failures[worker] = r.Scan(ctx, n, func(batch *parquet.EventBatch) error {
					rows.Add(int64(batch.Len))
					return nil
				})
			}
		})
	}
	wg.Wait()
	return int(rows.Load()), errors.Join(failures...)
}
