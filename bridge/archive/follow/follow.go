// Package follow moves the bus into the archive, commit by commit, and trims the
// bus behind it.
//
// It owns when a commit is due, and the join of bus and archive: a gap between
// them ends it. It must not import anything of this module but bridge/archive,
// bridge/event and its frames, internal/logkey and internal/pause.
package follow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"vitrine/bridge/archive"
	"vitrine/bridge/event"
	"vitrine/bridge/event/frames"
	"vitrine/internal/logkey"
	"vitrine/internal/pause"
)

// Reader is the bus as the follower needs it.
type Reader interface {
	// Read calls fn with all frames from a sequence to the last one, in order.
	Read(ctx context.Context, from uint64, fn func(seq uint64, frame []byte) error) (next uint64, err error)
	// Bounds gives the first and last sequence; last is first-1 when empty.
	Bounds(ctx context.Context) (first, last uint64, err error)
	// Trim drops the frames up to a sequence.
	Trim(ctx context.Context, upTo uint64) error
}

// Defaults of a zero Options.
const (
	// DefaultRollEvery keeps well below the promise that what was acknowledged
	// is in the archive within 60 s.
	DefaultRollEvery = 30 * time.Second
	// DefaultRollBytes bounds the memory of a commit: half a million records of
	// a bulk import, 100 MB, and so few files a date that reading stays quick.
	DefaultRollBytes = 32 << 20
)

// pollEvery is how often the bus is asked for news: reading as it comes spreads
// the work and lets a bulk import roll as soon as it reaches RollBytes.
const pollEvery = time.Second

// Options say when the follower commits. Zero fields are the defaults.
type Options struct {
	// RollEvery is the longest that a record waits for its commit.
	RollEvery time.Duration
	// RollBytes commits at once when so many bytes of frames wait.
	RollBytes int64
	// Before, when set, is called before each commit with the last sequence that will
	// be in it. Its error keeps the commit from being made, and is tried again.
	Before func(ctx context.Context, last uint64) error
	Log    *slog.Logger
	Now    func() time.Time
}

// Follower moves the bus into the archive and trims the bus behind it.
type Follower struct {
	archive *archive.Archive
	bus     Reader
	opt     Options

	// mu is held for a whole turn: Run and Flush take turns.
	mu sync.Mutex
	// batch holds what was read and is not committed; nil when nothing is.
	batch *archive.Batch
	last  uint64
	bytes int64
	since time.Time

	statsMu sync.Mutex
	stats   Stats
}

// Stats is what a status page shows.
type Stats struct {
	// Position is the last bus sequence committed.
	Position uint64
	// Commits and Records count since the start of the process.
	Commits, Records int64
	LastCommit       time.Time
	LastSeconds      float64
	// LastError is empty while all is well.
	LastError string
}

// GapError tells that bus and archive do not join: records between them are in
// neither. Going on would hide the loss.
type GapError struct {
	// Position is the archive's, First and Last are the bus's bounds.
	Position, First, Last uint64
}

// Error names the gap.
func (e *GapError) Error() string {
	if e.Last < e.Position {
		return fmt.Sprintf("the archive is committed up to bus sequence %d but the bus ends at %d: it was emptied or belongs to another archive",
			e.Position, e.Last)
	}
	return fmt.Sprintf("bus sequences %d to %d are neither in the archive nor on the bus", e.Position+1, e.First-1)
}

// FrameError tells of a frame on the bus that cannot be archived.
type FrameError struct {
	Seq uint64
	Err error
}

// Error names the message.
func (e *FrameError) Error() string { return fmt.Sprintf("read bus message %d: %v", e.Seq, e.Err) }

// Unwrap gives the cause.
func (e *FrameError) Unwrap() error { return e.Err }

// New makes a follower; Run or Flush start its work.
func New(a *archive.Archive, bus Reader, opt Options) *Follower {
	if opt.RollEvery == 0 {
		opt.RollEvery = DefaultRollEvery
	}
	if opt.RollBytes == 0 {
		opt.RollBytes = DefaultRollBytes
	}
	if opt.Before == nil {
		opt.Before = func(context.Context, uint64) error { return nil }
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	return &Follower{archive: a, bus: bus, opt: opt}
}

// Run follows the bus until ctx ends, and returns ctx.Err(); it does not flush
// then. A full disk and other errors that may pass are logged and tried again;
// a gap or a frame that cannot be read ends it.
func (f *Follower) Run(ctx context.Context) error {
	tick := time.NewTicker(min(pollEvery, f.opt.RollEvery))
	defer tick.Stop()
	var told time.Time
	for {
		err := f.turn(ctx, 0)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if fatal(err) {
			return err
		}
		told = f.tell(err, told)
		if err != nil {
			if err := pause.For(ctx, f.opt.RollEvery); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// remindEvery is how often the log repeats an error that stays.
const remindEvery = 5 * time.Minute

// tell logs how a turn went, if that is news. It takes and returns when the last
// error was logged; zero while all is well.
func (f *Follower) tell(err error, told time.Time) time.Time {
	now := f.opt.Now()
	switch {
	case err == nil && !told.IsZero() && f.Stats().LastError == "":
		f.opt.Log.Info("the archive takes events again")
		return time.Time{}
	case err != nil && (told.IsZero() || now.Sub(told) >= remindEvery):
		f.opt.Log.Error("events wait on the bus because the archive cannot take them; trying again",
			logkey.Error, err, logkey.Hint, "check free space and rights of the archive folder")
		return now
	}
	return told
}

// Flush commits all that was on the bus when it was called.
func (f *Follower) Flush(ctx context.Context) error {
	_, last, err := f.bus.Bounds(ctx)
	if err != nil {
		return fmt.Errorf("flush to the archive: %w", err)
	}
	if err := f.turn(ctx, last); err != nil {
		return fmt.Errorf("flush to the archive: %w", err)
	}
	return nil
}

// Stats tells how the follower is doing.
func (f *Follower) Stats() Stats {
	f.statsMu.Lock()
	defer f.statsMu.Unlock()
	s := f.stats
	s.Position = f.archive.Position()
	return s
}

// turn reads what is new and commits what is due, and in any case what is
// needed to get the archive to the sequence upTo.
func (f *Follower) turn(ctx context.Context, upTo uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.archive.Position()
	err := f.advance(ctx, upTo)
	if err != nil {
		// What was read is still on the bus and is read again.
		f.batch = nil
	}
	f.statsMu.Lock()
	switch {
	case err != nil && ctx.Err() == nil:
		f.stats.LastError = err.Error()
	case err == nil && (f.batch == nil || f.archive.Position() > before):
		// Before that, something was read, and no commit has yet been tried again.
		f.stats.LastError = ""
	}
	f.statsMu.Unlock()
	return err
}

func (f *Follower) advance(ctx context.Context, upTo uint64) error {
	for {
		full, readErr := f.read(ctx)
		due := full || readErr != nil || f.archive.Position() < upTo || f.opt.Now().Sub(f.since) >= f.opt.RollEvery
		if due && f.batch != nil {
			if err := f.commit(ctx); err != nil {
				return errors.Join(readErr, err)
			}
		}
		if readErr != nil || !full || upTo > 0 && f.archive.Position() >= upTo {
			// Flush ends here: while more comes in than it commits, it would
			// go on for ever.
			return readErr
		}
	}
}

// errFull ends a read when enough frames wait.
var errFull = errors.New("enough frames for a commit")

// read adds the new frames to the batch, beginning one if need be. With an
// error, the batch holds the whole frames before it, or is nil.
func (f *Follower) read(ctx context.Context) (full bool, err error) {
	if f.batch == nil {
		if err := f.begin(ctx); err != nil {
			return false, err
		}
	}
	_, err = f.bus.Read(ctx, f.last+1, func(seq uint64, frame []byte) error {
		if seq != f.last+1 {
			return &FrameError{Seq: f.last + 1, Err: fmt.Errorf("the bus gave message %d instead", seq)}
		}
		if err := f.add(seq, frame); err != nil {
			return &FrameError{Seq: seq, Err: err}
		}
		f.last = seq
		f.bytes += int64(len(frame))
		if f.bytes >= f.opt.RollBytes {
			return errFull
		}
		return nil
	})
	if errors.Is(err, errFull) {
		return true, nil
	}
	if f.batch != nil && f.last < f.batch.First() {
		// Nothing came; the age of a batch counts from its first frame.
		f.batch = nil
	}
	return false, err
}

// begin makes a batch, trims what a crash left on the bus, and looks for a gap.
func (f *Follower) begin(ctx context.Context) error {
	batch, err := f.archive.Begin(ctx)
	if err != nil {
		return err
	}
	position := f.archive.Position()
	first, last, err := f.bus.Bounds(ctx)
	if err != nil {
		return fmt.Errorf("read bus bounds: %w", err)
	}
	if first > position+1 || last < position {
		return &GapError{Position: position, First: first, Last: last}
	}
	if first <= position && last >= first {
		if err := f.bus.Trim(ctx, position); err != nil {
			return fmt.Errorf("trim bus: %w", err)
		}
	}
	f.batch, f.last, f.bytes, f.since = batch, position, 0, f.opt.Now()
	return nil
}

// add puts a frame's records into the batch. The codec checks a frame before
// it gives the first record; when a record is refused nevertheless, part of
// the frame is in the batch, which is void then.
func (f *Follower) add(seq uint64, frame []byte) error {
	var refused error
	err := frames.Decode(frame, func(r *event.Record) error {
		refused = f.batch.Add(seq, r)
		return refused
	})
	if refused != nil {
		f.batch = nil
	}
	return err
}

func (f *Follower) commit(ctx context.Context) error {
	start := f.opt.Now()
	batch, last := f.batch, f.last
	f.batch = nil
	if err := f.opt.Before(ctx, last); err != nil {
		return err
	}
	if err := batch.Commit(ctx, last); err != nil {
		return err
	}
	if err := f.bus.Trim(ctx, last); err != nil {
		return fmt.Errorf("trim bus: %w", err)
	}
	end := f.opt.Now()
	f.statsMu.Lock()
	f.stats.Commits++
	f.stats.Records += int64(batch.Records())
	f.stats.LastCommit = end
	f.stats.LastSeconds = end.Sub(start).Seconds()
	f.statsMu.Unlock()
	f.opt.Log.Debug("archive commit", logkey.First, batch.First(), logkey.Last, last,
		logkey.Rows, batch.Records(), logkey.Seconds, end.Sub(start).Seconds())
	return nil
}

// fatal tells errors that do not pass by themselves.
func fatal(err error) bool {
	var gap *GapError
	var frame *FrameError
	return errors.As(err, &gap) || errors.As(err, &frame)
}
