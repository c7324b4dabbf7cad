// Package archive keeps the whole log as plain Hive-style Parquet: one file per
// date and commit for events and for served lists, one per commit for item
// changes and one for user changes, readable by any Parquet tool as they lie there.
//
// It owns the layout, the atomic commit of a range of bus messages, the replacing
// of files by others, and reading in order without duplicates. The columns belong
// to bridge/parquet. What moves the bus into the files, reads them side by side and
// writes them anew stands in follow, parts and compact, which import it. It must
// not import anything of this module but bridge/archive/ids, bridge/event,
// bridge/parquet, internal/durable, internal/logkey and internal/parallel.
//
// Layout under the root:
//
//	events/dt=YYYY-MM-DD/b<first>-<last>.parquet   events of one UTC date
//	items/b<first>-<last>.parquet                  item changes
//	users/b<first>-<last>.parquet                  user changes
//	served/dt=YYYY-MM-DD/b<first>-<last>.parquet   served lists of one UTC date
//	_staging/                                      files not yet committed
//	_commits/<first>-<last>.json                   manifests, see manifest.go
//	_compact/                                      folders written anew, see replace.go
//
// There is one writer, guarded by the lock of the data folder; readers need
// none.
package archive

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"vitrine/bridge/parquet"
	"vitrine/internal/logkey"
)

// Options say where the archive is.
type Options struct {
	Dir string
	// Log defaults to discarding.
	Log *slog.Logger
	// Now defaults to time.Now; commits carry it.
	Now func() time.Time
	// Step, when set, is called before each step of a commit or a rewriting, which
	// fails with its error: how tests stop one half way.
	Step func(step string) error
}

// Archive is an open archive. One goroutine may commit while others read.
type Archive struct {
	dir      string
	log      *slog.Logger
	now      func() time.Time
	readOnly bool
	position atomic.Uint64
	// topics are as of position; they belong to the committing goroutine.
	topics map[topicPart]int64
	// broken is set when a commit failed half way; the next Begin recovers. It
	// belongs to the committing goroutine.
	broken bool

	// writers are *parquet.EventWriter, kept from one commit to the next as
	// long as the collector does not want their memory.
	writers sync.Pool

	mu sync.Mutex
	// footers caches what was read or written, by path below the root.
	footers map[string]parquet.Info

	// placing is held while files are put into folders.
	placing sync.Mutex
	// held is not nil while OpenReadOnly holds the files.
	held func()

	// fault is Options.Step.
	fault func(step string) error
	// exchange lets two folders change places.
	exchange func(a, b string) error
}

// Open opens the archive for its one writer, makes its folders and finishes or
// undoes a commit that a crash cut short.
func Open(ctx context.Context, opt Options) (*Archive, error) {
	a := newArchive(opt)
	// Before folders are made: one may be missing that is to be put back.
	if err := a.settleAll(ctx); err != nil {
		return nil, fmt.Errorf("open archive %s: %w", a.dir, err)
	}
	for _, dir := range []string{eventsDir, itemsDir, usersDir, servedDir, stagingDir, commitsDir} {
		if err := os.MkdirAll(filepath.Join(a.dir, dir), 0o755); err != nil {
			return nil, fmt.Errorf("make archive folder: %w", err)
		}
	}
	if err := syncDirs([]string{a.dir, filepath.Dir(a.dir)}); err != nil {
		return nil, err
	}
	if err := a.recover(ctx); err != nil {
		return nil, fmt.Errorf("open archive %s: %w", a.dir, err)
	}
	return a, nil
}

// OpenReadOnly opens the archive beside a running writer: it changes nothing,
// and its scans show exactly the records up to Position, as of this call. Until
// Close none of its files is replaced, so it should not be open for long.
func OpenReadOnly(ctx context.Context, opt Options) (*Archive, error) {
	a := newArchive(opt)
	a.readOnly = true
	var err error
	if a.held, err = a.hold(ctx); err != nil {
		return nil, fmt.Errorf("open archive %s: %w", a.dir, err)
	}
	state, err := a.readCommits(ctx)
	if err != nil {
		a.Close()
		return nil, fmt.Errorf("open archive %s: %w", a.dir, err)
	}
	a.position.Store(state.finished)
	a.setTopics(state.done)
	return a, nil
}

func newArchive(opt Options) *Archive {
	log := opt.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	now := opt.Now
	if now == nil {
		now = time.Now
	}
	return &Archive{
		dir: filepath.Clean(opt.Dir), log: log, now: now,
		writers: sync.Pool{New: func() any { return parquet.NewEventWriter() }},
		footers: make(map[string]parquet.Info), exchange: exchange, fault: opt.Step,
	}
}

// Position is the last bus sequence that is committed; 0 means none.
func (a *Archive) Position() uint64 { return a.position.Load() }

// Topics are how far each partition of a topic was in the archive when it was
// opened or last committed. It belongs to the goroutine that commits.
func (a *Archive) Topics() []TopicPosition { return topicPositions(a.topics) }

// Summary is what the footers of all files tell.
type Summary struct {
	Position uint64
	// Files and Bytes count events, items, users and served lists together.
	Files int
	Bytes int64
	// Events counts stored rows: duplicates that a scan drops are in it.
	Events, ItemChanges, UserChanges int64
	// Served counts the places of served lists.
	Served int64
	// Oldest and Newest are event times in Unix milliseconds, zeros without
	// events.
	Oldest, Newest int64
}

// Summary reads the footers that it has not read or written before, so it is
// quick from the second call on.
func (a *Archive) Summary(ctx context.Context) (Summary, error) {
	release, err := a.hold(ctx)
	if err != nil {
		return Summary{}, err
	}
	defer release()
	sum := Summary{Position: a.Position()}
	days, err := a.eventFiles(sum.Position)
	if err != nil {
		return Summary{}, err
	}
	for _, day := range days {
		for _, path := range day.files {
			info, err := a.footer(ctx, path)
			if err != nil {
				return Summary{}, err
			}
			if info.Rows == 0 {
				continue
			}
			if sum.Events == 0 {
				sum.Oldest, sum.Newest = info.Oldest, info.Newest
			}
			sum.Oldest, sum.Newest = min(sum.Oldest, info.Oldest), max(sum.Newest, info.Newest)
			sum.Events += info.Rows
			sum.Bytes += info.Bytes
			sum.Files++
		}
	}
	served, err := a.datedFiles(servedDir, sum.Position)
	if err != nil {
		return Summary{}, err
	}
	for _, day := range served {
		for _, path := range day.files {
			info, err := a.footer(ctx, path)
			if err != nil {
				return Summary{}, err
			}
			sum.Served += info.Rows
			sum.Bytes += info.Bytes
			sum.Files++
		}
	}
	for dir, rows := range map[string]*int64{itemsDir: &sum.ItemChanges, usersDir: &sum.UserChanges} {
		files, err := a.dataFiles(dir, sum.Position)
		if err != nil {
			return Summary{}, err
		}
		for _, path := range files {
			info, err := a.footer(ctx, path)
			if err != nil {
				return Summary{}, err
			}
			*rows += info.Rows
			sum.Bytes += info.Bytes
			sum.Files++
		}
	}
	return sum, nil
}

func (a *Archive) footer(ctx context.Context, path string) (parquet.Info, error) {
	if err := ctx.Err(); err != nil {
		return parquet.Info{}, err
	}
	a.mu.Lock()
	info, ok := a.footers[path]
	a.mu.Unlock()
	if ok {
		return info, nil
	}
	info, err := parquet.ReadInfo(filepath.Join(a.dir, path))
	if isGone(err) {
		a.log.Warn("an archive file vanished while reading", logkey.Path, path)
		return parquet.Info{}, nil
	}
	if err != nil {
		return parquet.Info{}, err
	}
	a.remember(path, info)
	return info, nil
}

func (a *Archive) remember(path string, info parquet.Info) {
	a.mu.Lock()
	a.footers[path] = info
	a.mu.Unlock()
}

// step is called before each step of a commit, so that a test can fail it.
func (a *Archive) step(name string) error {
	if a.fault == nil {
		return nil
	}
	return a.fault(name)
}
