package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"vitrine/appliance/bench/ingest"
	"vitrine/appliance/bench/report"
	"vitrine/appliance/config"
)

// ingest measures the way of events into an empty appliance, over HTTP, from a bus
// of its own into Parquet and back, and from a Kafka, where the configuration names
// one, into a bus.
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
	// The clock of a Kafka's ways begins when the first answer of a broker is there,
	// which has 175,000 of them.
	records := 3_000_000
	if r.opt.Full {
		b.Duration, b.Rows, records = 10*time.Second, 5_000_000, 10_000_000
	}
	fmt.Fprintf(r.data, "ingest %s %d\n", b.Duration, b.Rows)
	if err := b.Disk(); err != nil {
		return nil, err
	}
	c, err := config.Load(config.Sources{File: r.opt.ConfigFile, Set: r.opt.Settings})
	if err != nil {
		return nil, err
	}
	var notes []string
	if r.wants(caseArchive) {
		notes = append(notes, fmt.Sprintf("archive: %d events of 12-byte ids from the bus into Parquet, then training's columns read on all cores", b.Rows))
		if err := b.Archive(ctx); err != nil {
			return nil, err
		}
	}
	switch listed := len(c.Kafka.Brokers) > 0; {
	case listed && r.wants(caseKafka):
		notes = append(notes, ingest.KafkaNote)
		if err := b.Kafka(ctx, c.Kafka.Options(), records); err != nil {
			return nil, err
		}
	case !listed && slices.Contains(r.opt.Only, caseKafka):
		return nil, fmt.Errorf("%w: no Kafka is named; --set kafka.brokers=HOST:9092 does", ErrPart)
	}
	if r.wants(caseHTTP) {
		notes = append(notes, "http: every event has an id of its own and is on disk when it is acknowledged; clients send the next request when the last one is answered; server and generator share the machine")
		if err := r.ingestHTTP(ctx, b, dir); err != nil {
			return nil, err
		}
	}
	part := &report.Part{Figures: b.Figures, Reference: report.Reference{Name: "a write of 16 KiB and its fsync", Value: b.Figures[0].Value, Unit: "ms"}, Notes: notes}
	r.judgeBars(part.Figures)
	return part, nil
}

// ingestHTTP sends events to an appliance of our own.
func (r *run) ingestHTTP(ctx context.Context, b *ingest.Bench, dir string) error {
	s := &subject{name: "ingest", dir: dir}
	if err := r.start(ctx, s); err != nil {
		return err
	}
	defer s.process.Stop()
	return b.HTTP(ctx, ingest.Server{Address: s.address, CPU: s.cpu})
}
