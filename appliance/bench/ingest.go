package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"vitrine/appliance/bench/ingest"
	"vitrine/appliance/bench/report"
)

// ingest measures the way of events into an empty appliance, over HTTP, and
// from a bus of its own into Parquet and back.
func (r *run) ingest(ctx context.Context) (_ *report.Part, err error) {
	if r.opt.ServeCommand == nil {
		return nil, fmt.Errorf("%w: there is no command for the server", ErrPart)
	}
	dir, err := os.MkdirTemp(r.opt.TempDir, "vitrine-bench-")
	if err != nil {
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b := &ingest.Bench{
		Dir: dir, Warmup: r.rhythm.warmup, Duration: 3 * time.Second, Rows: 1_000_000, Repetitions: r.repetitions,
		Progress: r.opt.Progress, Invalid: r.invalidate,
	}
	if r.opt.Full {
		b.Duration, b.Rows = 10*time.Second, 5_000_000
	}
	fmt.Fprintf(r.data, "ingest %s %d\n", b.Duration, b.Rows)
	if err := b.Disk(); err != nil {
		return nil, err
	}
	if err := b.Archive(ctx); err != nil {
		return nil, err
	}
	s := &subject{name: "ingest", dir: dir}
	if err := r.start(ctx, s); err != nil {
		return nil, err
	}
	defer s.process.Stop()
	if err := b.HTTP(ctx, ingest.Server{Address: s.address, CPU: s.cpu}); err != nil {
		return nil, err
	}
	part := &report.Part{Figures: b.Figures, Reference: report.Reference{Name: "a write of 16 KiB and its fsync", Value: b.Figures[0].Value, Unit: "ms"}, Notes: []string{
		"http: every event has an id of its own and is on disk when it is acknowledged; clients send the next request when the last one is answered; server and generator share the machine",
		fmt.Sprintf("archive: %d events of 12-byte ids from the bus into Parquet, then training's columns read on all cores", b.Rows),
	}}
	r.judgeBars(part.Figures)
	return part, nil
}
