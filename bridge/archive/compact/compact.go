// Package compact keeps the archive in few files: it merges the small files that
// commits leave, drops rows that repeat an event, and drops dates behind the
// retention, while the appliance runs.
//
// It owns the choice of files and the rows that stay; how new files take the place
// of old ones belongs to package archive. It must not import anything of this
// module but bridge/archive, bridge/parquet, internal/logkey and internal/pause.
//
//	c := compact.New(compact.Options{Archive: a})
//	err := c.Run(ctx)
package compact

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"vitrine/bridge/archive"
	"vitrine/bridge/parquet"
	"vitrine/internal/logkey"
	"vitrine/internal/pause"
)

// Options say what is merged and when. Zero fields are the defaults.
type Options struct {
	Archive *archive.Archive
	// Retention is how far back events are kept, by whole dates; 0 is for ever.
	Retention time.Duration
	// Every is how often the archive is looked through. Default 5 minutes.
	Every time.Duration
	// Quiet is how long a date must be over, and nothing have come into it, before
	// all its files are merged. Default 10 minutes.
	Quiet time.Duration
	// Files is how many small files that follow each other are merged in a
	// folder that is not quiet. Default 64.
	Files int
	// Bytes is up to where files are merged. Default 256 MiB.
	Bytes int64
	// Eraser, when set, is told of users who were erased.
	Eraser Eraser
	// Pace, when set, is called between two pieces of work, some 10 ms each, and
	// may take its time.
	Pace func(ctx context.Context) error
	Log  *slog.Logger
	Now  func() time.Time
}

const (
	defaultEvery = 5 * time.Minute
	defaultQuiet = 10 * time.Minute
	defaultFiles = 64
	defaultBytes = 256 << 20

	// busyFor and busyPause are how long and how often a reader is waited for: a
	// training reads for a minute or two.
	busyFor   = 10 * time.Minute
	busyPause = 200 * time.Millisecond
)

// Compactor looks after one archive, which nobody else may rewrite.
type Compactor struct {
	opt Options
	// looked is the last message of the changes of users that were looked
	// through and had no erasure.
	looked uint64

	mu    sync.Mutex
	stats Stats
}

// Stats are figures of the archive as it was last looked through, and of what was
// done since the start of the process.
type Stats struct {
	// Files, Bytes and Dates of events are there now.
	Files, Dates int
	Bytes        int64
	// Oldest is the first date, zero without dates.
	Oldest time.Time
	// Merged files became Written ones.
	Merged, Written int64
	// Repeats are rows dropped because they repeat an event.
	Repeats int64
	// Dropped are folders of dates behind the retention.
	Dropped int64
	// Erased are users whose rows were taken out.
	Erased int64
	// Passes count, Failed are those that ended early.
	Passes, Failed int64
	LastPass       time.Time
	// LastError is empty while all is well.
	LastError string
}

// New makes a compactor; Run starts its work.
func New(opt Options) *Compactor {
	if opt.Every == 0 {
		opt.Every = defaultEvery
	}
	if opt.Quiet == 0 {
		opt.Quiet = defaultQuiet
	}
	if opt.Files == 0 {
		opt.Files = defaultFiles
	}
	if opt.Bytes == 0 {
		opt.Bytes = defaultBytes
	}
	if opt.Pace == nil {
		opt.Pace = func(context.Context) error { return nil }
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	return &Compactor{opt: opt}
}

// Run looks after the archive until ctx ends, and returns ctx.Err(). What fails
// is logged and tried again: the files stay as they are.
func (c *Compactor) Run(ctx context.Context) error {
	tick := time.NewTicker(c.opt.Every)
	defer tick.Stop()
	for {
		if err := c.Pass(ctx); err != nil && ctx.Err() == nil {
			c.opt.Log.Error("the archive's files were not all written anew; they stay as they are", logkey.Error, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// Stats tells how it stands.
func (c *Compactor) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

// Pass looks through the archive once. A folder that fails does not keep the
// others back.
func (c *Compactor) Pass(ctx context.Context) error {
	err := c.pass(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Passes++
	c.stats.LastPass, c.stats.LastError = c.opt.Now(), ""
	if err != nil && ctx.Err() == nil {
		c.stats.Failed++
		c.stats.LastError = err.Error()
	}
	return err
}

func (c *Compactor) pass(ctx context.Context) error {
	folders, err := c.opt.Archive.Folders(ctx)
	if err != nil {
		return fmt.Errorf("compact archive: %w", err)
	}
	var errs []error
	if err := c.erase(ctx, folders); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		errs = append(errs, err)
	}
	if folders, err = c.opt.Archive.Folders(ctx); err != nil {
		return fmt.Errorf("compact archive: %w", err)
	}
	for i := range folders {
		if err := c.folder(ctx, &folders[i]); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			errs = append(errs, err)
		}
	}
	folders, err = c.opt.Archive.Folders(ctx)
	if err != nil {
		return fmt.Errorf("compact archive: %w", err)
	}
	c.count(folders)
	return errors.Join(errs...)
}

// count takes the figures of what is there.
func (c *Compactor) count(folders []archive.Folder) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &c.stats
	s.Files, s.Dates, s.Bytes, s.Oldest = 0, 0, 0, time.Time{}
	for i := range folders {
		f := &folders[i]
		s.Files += len(f.Files)
		for n := range f.Files {
			s.Bytes += f.Files[n].Bytes
		}
		if f.Dated && f.Kind == parquet.Events {
			s.Dates++
			if s.Oldest.IsZero() || f.Date.Before(s.Oldest) {
				s.Oldest = f.Date
			}
		}
	}
}

// folder does what is due in one folder.
func (c *Compactor) folder(ctx context.Context, f *archive.Folder) error {
	if c.behind(f) {
		return c.drop(ctx, f)
	}
	runs := c.plan(f)
	if len(runs) == 0 {
		return nil
	}
	start := c.opt.Now()
	w, err := c.opt.Archive.Rewrite(ctx, f.Path)
	if err != nil {
		return fmt.Errorf("compact %s: %w", f.Path, err)
	}
	done, err := c.merge(ctx, w, f, runs)
	if err != nil {
		return errors.Join(fmt.Errorf("compact %s: %w", f.Path, err), w.Abandon())
	}
	if err := c.replace(ctx, w); err != nil {
		return fmt.Errorf("compact %s: %w", f.Path, err)
	}
	c.mu.Lock()
	c.stats.Merged += done.Merged
	c.stats.Written += done.Written
	c.stats.Repeats += done.Repeats
	c.mu.Unlock()
	c.opt.Log.Info("archive files merged", logkey.Dir, f.Path, logkey.Files, done.Merged, logkey.Written, done.Written,
		logkey.Repeats, done.Repeats, logkey.Seconds, c.opt.Now().Sub(start).Seconds())
	return nil
}

// merge writes each run as one file.
func (c *Compactor) merge(ctx context.Context, w *archive.Rewrite, f *archive.Folder, runs [][]archive.DataFile) (done Stats, err error) {
	var repeated map[string][]int64
	if f.Kind == parquet.Events {
		last := runs[len(runs)-1]
		if repeated, err = c.repeats(ctx, f, last[len(last)-1].Last); err != nil {
			return done, err
		}
	}
	for _, run := range runs {
		rows := int64(0)
		if err := w.Write(f.Kind, run, func(out *parquet.Rewriter) (int64, error) {
			for i := range run {
				n, dropped, err := c.copy(ctx, out, run[i].Path, repeated[run[i].Path])
				if err != nil {
					return 0, err
				}
				rows += n
				done.Repeats += dropped
			}
			return rows, nil
		}); err != nil {
			return done, err
		}
		done.Merged += int64(len(run))
		if rows > 0 {
			done.Written++
		}
	}
	return done, nil
}

// paceRows is how many rows are written between two calls of Pace: some 10 ms.
const paceRows = 8192

// copy writes the rows of a file but those of the given numbers, which ascend.
func (c *Compactor) copy(ctx context.Context, out *parquet.Rewriter, path string, repeats []int64) (rows, dropped int64, err error) {
	file, err := c.opt.Archive.OpenData(path)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	var paused error
	rows, err = out.Copy(ctx, file, func(r *parquet.Row) bool {
		if r.Number%paceRows == paceRows-1 && paused == nil {
			paused = c.opt.Pace(ctx)
		}
		if len(repeats) > 0 && repeats[0] == r.Number {
			repeats = repeats[1:]
			dropped++
			return false
		}
		return true
	})
	return rows, dropped, errors.Join(err, paused)
}

// replace waits for who reads.
func (c *Compactor) replace(ctx context.Context, w *archive.Rewrite) error {
	for end := c.opt.Now().Add(busyFor); ; {
		err := w.Replace(ctx)
		if !errors.Is(err, archive.ErrBusy) || c.opt.Now().After(end) {
			return err
		}
		if err := pause.For(ctx, busyPause); err != nil {
			return err
		}
	}
}

// behind says that all of a folder is behind the retention.
func (c *Compactor) behind(f *archive.Folder) bool {
	return c.opt.Retention > 0 && f.Dated && !f.Date.AddDate(0, 0, 1).After(c.opt.Now().Add(-c.opt.Retention))
}

func (c *Compactor) drop(ctx context.Context, f *archive.Folder) error {
	if err := c.opt.Archive.Drop(ctx, f.Path); err != nil {
		if errors.Is(err, archive.ErrBusy) {
			return nil // the next pass will
		}
		return fmt.Errorf("drop what is behind the retention: %w", err)
	}
	c.mu.Lock()
	c.stats.Dropped++
	c.mu.Unlock()
	c.opt.Log.Info("date dropped from the archive: it is behind archive.retention", logkey.Dir, f.Path, logkey.Files, len(f.Files))
	return nil
}

// plan chooses the files to merge: runs of files that follow each other, each
// small beside the whole. In a folder that is not quiet they must be many, so
// that the same rows are not written over and over.
func (c *Compactor) plan(f *archive.Folder) (runs [][]archive.DataFile) {
	least := c.opt.Files
	if c.quiet(f) {
		least = 2
	}
	var run []archive.DataFile
	bytes := int64(0)
	end := func() {
		if len(run) >= least {
			runs = append(runs, run)
		}
		run, bytes = nil, 0
	}
	for _, file := range f.Files {
		if file.Bytes > c.opt.Bytes/2 {
			end()
			continue
		}
		if bytes+file.Bytes > c.opt.Bytes {
			end()
		}
		run, bytes = append(run, file), bytes+file.Bytes
	}
	end()
	return runs
}

// quiet says that a date is over and nothing more comes into it.
func (c *Compactor) quiet(f *archive.Folder) bool {
	quietSince := c.opt.Now().Add(-c.opt.Quiet)
	if !f.Dated || f.Date.AddDate(0, 0, 1).After(quietSince) {
		return false
	}
	for i := range f.Files {
		if f.Files[i].Written.After(quietSince) {
			return false
		}
	}
	return true
}
