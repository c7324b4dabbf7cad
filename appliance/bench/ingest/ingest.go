// Package ingest measures the way of an event from its arrival to the archive:
// over HTTP or from Kafka to where it is durable, from the bus into Parquet, and
// back into training's hands.
//
// It owns these measurements, their data and their bars. How an appliance is
// started, and what becomes of the figures, are its caller's. It may import the
// packages of the bridge and must not know of models.
package ingest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"vitrine/appliance/bench/report"
	"vitrine/bridge/jetstream"
)

// Bench is one run of these measurements.
type Bench struct {
	// Dir is a folder on the disk that is measured.
	Dir string
	// Duration is how long requests are sent, Warmup how long before they count.
	Warmup, Duration time.Duration
	// Rows are those of the archive.
	Rows        int
	Repetitions int
	// Progress is told what is being done, Invalid what makes the figures
	// unbelievable.
	Progress func(stage string, done, total int64)
	Invalid  func(format string, args ...any)
	// Figures are those found so far.
	Figures []report.Figure
}

// figure makes a figure of the samples under a name, without a bar where that
// is 0.
func (b *Bench) figure(s report.Samples, name, unit, better string, bar float64) {
	f := s.Figure(name, unit, better)
	if bar > 0 {
		f = f.WithBar(bar)
	}
	b.Figures = append(b.Figures, f)
}

// withBus calls do with a folder of its own and a durable log in it; without
// maxBytes that may be as long as logs are.
func (b *Bench) withBus(ctx context.Context, maxBytes int64, do func(dir string, bus *jetstream.Bus) error) (err error) {
	dir, err := os.MkdirTemp(b.Dir, "bus-")
	if err != nil {
		return fmt.Errorf("make folder of the bus: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	bus, err := jetstream.Open(ctx, jetstream.Options{Dir: filepath.Join(dir, "bus"), MaxBytes: maxBytes})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bus.Close()) }()
	return do(dir, bus)
}

// The reference of the part.
const (
	// ReferenceFigure is the figure of one write and sync of the disk.
	ReferenceFigure = "ingest.disk.fsync"
	syncs           = 64
	// syncBytes are a frame of some hundred events.
	syncBytes = 16 << 10
)

// Disk measures what every durable acknowledgement waits for at least, a small
// write behind the last one and its fsync; and how fast frames of 1 MiB get to the
// disk one after the other, which bounds what a log of raw records can take.
func (b *Bench) Disk() error {
	if err := b.syncs(ReferenceFigure, syncBytes, func(took time.Duration) float64 { return float64(took.Nanoseconds()) / 1e6 }, "ms", report.Lower); err != nil {
		return err
	}
	return b.syncs("ingest.disk.frames", rawFrame, func(took time.Duration) float64 { return rawFrame / (1 << 20) / took.Seconds() }, "MiB/s", report.Higher)
}

// syncs makes a figure of writes of that many bytes with an fsync each.
func (b *Bench) syncs(name string, size int, value func(took time.Duration) float64, unit, better string) error {
	f, err := os.Create(filepath.Join(b.Dir, "sync-"+strconv.Itoa(os.Getpid())))
	if err != nil {
		return fmt.Errorf("measure the disk: %w", err)
	}
	defer os.Remove(f.Name()) //nolint:errcheck // the folder goes anyway
	defer f.Close()           //nolint:errcheck // nobody reads it
	block := make([]byte, size)
	for i := range block { // zeros may cost a disk nothing
		block[i] = byte(i*31 ^ i>>8)
	}
	took := make([]float64, 0, syncs)
	for range syncs {
		start := time.Now()
		if _, err := f.Write(block); err != nil {
			return fmt.Errorf("measure the disk: %w", err)
		}
		if err := f.Sync(); err != nil {
			return fmt.Errorf("measure the disk: %w", err)
		}
		took = append(took, value(time.Since(start)))
	}
	b.Figures = append(b.Figures, report.New(name, unit, better, took...))
	return nil
}
