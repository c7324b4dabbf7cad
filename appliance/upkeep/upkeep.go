// Package upkeep looks after what lies in the data folder while the appliance
// runs: it keeps the archive in few files, within its retention and without
// erased users, beside the serving of requests.
//
// It owns the pace of such work, its figures, and the list of erased users; what is
// done with the archive belongs to bridge/archive/compact. It knows no requests.
package upkeep

import (
	"context"
	"log/slog"
	"time"

	"vitrine/appliance/scrape"
	"vitrine/bridge/archive"
	"vitrine/bridge/archive/compact"
	"vitrine/internal/logkey"
	"vitrine/internal/pause"
)

// Options say what is looked after.
type Options struct {
	Archive *archive.Archive
	// Retention is how far back events are kept; 0 is for ever.
	Retention time.Duration
	// HalfLife is the age at which an event counts half in training.
	HalfLife time.Duration
	// Every is how often the archive is looked through.
	Every time.Duration
	// Erasures is the list of erased users; Events, Models, Snapshots and Letters are
	// what else may hold something of them.
	Erasures  *Erasures
	Events    Log
	Models    Models
	Snapshots Snapshots
	Letters   Letters
	// Copied brings the archive to its copy elsewhere; nil where there is none.
	Copied func(ctx context.Context) error
	Log    *slog.Logger
}

// Upkeep is the work on one data folder.
type Upkeep struct {
	every   time.Duration
	compact *compact.Compactor
}

// New makes it; Run starts it.
func New(opt Options) *Upkeep {
	if opt.Retention > 0 && opt.Retention < opt.HalfLife {
		// It is the operator's choice, and may be the law's.
		opt.Log.Warn("archive.retention is shorter than train.half_life: what training would weigh by half and more is dropped",
			logkey.Hint, "raise archive.retention, or lower train.half_life to it")
	}
	return &Upkeep{every: opt.Every, compact: compact.New(compact.Options{
		Archive: opt.Archive, Retention: opt.Retention, Every: opt.Every, Pace: gently(), Log: opt.Log,
		Eraser: &eraser{erasures: opt.Erasures, models: opt.Models, snapshots: opt.Snapshots, letters: opt.Letters, log: opt.Events, copied: opt.Copied},
	})}
}

// startAfter keeps the work out of the way of a start, and of commands that open
// the appliance for a moment.
const startAfter = 20 * time.Second

// Run works until ctx ends, and returns ctx.Err().
func (u *Upkeep) Run(ctx context.Context) error {
	if err := pause.For(ctx, min(startAfter, u.every)); err != nil {
		return err
	}
	return u.compact.Run(ctx)
}

// gently leaves two thirds of a core to the others, as long as it is called
// every few milliseconds.
func gently() func(ctx context.Context) error {
	var last time.Time
	return func(ctx context.Context) error {
		// What took longer than a piece of work does was no work.
		worked := min(time.Since(last), maxPiece)
		err := pause.For(ctx, 2*worked)
		last = time.Now()
		return err
	}
}

const maxPiece = 50 * time.Millisecond

// Figures are those of /metrics.
func (u *Upkeep) Figures() []scrape.Figure {
	s := u.compact.Stats()
	return []scrape.Figure{
		scrape.Gauge("vitrine_archive_files", "Parquet files of the archive, as of the last look.", float64(s.Files)),
		scrape.Gauge("vitrine_archive_bytes", "Bytes of the archive's Parquet files, as of the last look.", float64(s.Bytes)),
		scrape.Gauge("vitrine_archive_dates", "Dates that the archive has events of.", float64(s.Dates)),
		scrape.Counter("vitrine_archive_merged_files_total", "Small files that were merged into others.", float64(s.Merged)),
		scrape.Counter("vitrine_archive_repeats_dropped_total", "Rows dropped while merging because they repeat an event.", float64(s.Repeats)),
		scrape.Counter("vitrine_archive_dates_dropped_total", "Dates dropped because they are behind archive.retention.", float64(s.Dropped)),
		scrape.Counter("vitrine_archive_erased_users_total", "Erased users of whom the files hold nothing any more.", float64(s.Erased)),
		scrape.Counter("vitrine_archive_upkeep_failures_total", "Looks through the archive that ended with an error; the log has it.", float64(s.Failed)),
	}
}
