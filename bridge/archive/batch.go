package archive

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"vitrine/bridge/event"
	"vitrine/bridge/parquet"
	"vitrine/internal/durable"
	"vitrine/internal/logkey"
	"vitrine/internal/parallel"
)

// Batch collects the records of one commit. It is for one goroutine.
type Batch struct {
	archive *Archive
	first   uint64
	newest  uint64
	records int
	strings *parquet.Strings
	days    map[int64]*parquet.EventTable
	items   *parquet.ItemTable
	users   *parquet.UserTable
	served  map[int64]*parquet.ServedTable
	filled  map[int64]func(w *parquet.ColumnsWriter) error
	topics  topicRun
}

// Begin starts the batch that follows Position. When the commit before failed
// half way, its rest is done or undone first, so Position may grow here.
func (a *Archive) Begin(ctx context.Context) (*Batch, error) {
	if a.readOnly {
		return nil, errors.New("begin archive commit: the archive is open for reading only")
	}
	if a.broken {
		if err := a.recover(ctx); err != nil {
			return nil, fmt.Errorf("recover archive: %w", err)
		}
	}
	return &Batch{
		archive: a, first: a.Position() + 1, strings: parquet.NewStrings(),
		days: make(map[int64]*parquet.EventTable), items: parquet.NewItemTable(), users: parquet.NewUserTable(),
		served: make(map[int64]*parquet.ServedTable),
		filled: make(map[int64]func(*parquet.ColumnsWriter) error), topics: topicRun{next: maps.Clone(a.topics)},
	}, nil
}

// First is the bus sequence that the batch begins with.
func (b *Batch) First() uint64 { return b.first }

// Records is how many were added.
func (b *Batch) Records() int { return b.records }

// Add takes a record of bus message seq; messages come in order. It keeps
// nothing of r.
func (b *Batch) Add(seq uint64, r *event.Record) error {
	if seq < max(b.first, b.newest) {
		return fmt.Errorf("add record: bus sequence %d after %d", seq, max(b.first, b.newest))
	}
	switch r.Kind {
	case event.KindEvent:
		day := dayOf(r.Event.Time)
		table := b.days[day]
		if table == nil {
			table = parquet.NewEventTable(b.strings)
			b.days[day] = table
		}
		table.Append(seq, r)
	case event.KindItemPut, event.KindItemPatch, event.KindItemDelete:
		if err := b.items.Append(seq, r); err != nil {
			return err
		}
	case event.KindUserPut, event.KindUserPatch, event.KindUserErase, event.KindUserMerge:
		if err := b.users.Append(seq, r); err != nil {
			return err
		}
	case event.KindServed:
		day := dayOf(r.Served.Time)
		if b.served[day] == nil {
			b.served[day] = parquet.NewServedTable(b.strings)
		}
		b.served[day].Append(seq, r)
	default:
		return fmt.Errorf("add record: kind %d in bus message %d is not known to this version", r.Kind, seq)
	}
	b.topics.pass(&r.Source)
	b.newest = seq
	b.records++
	return nil
}

// AddDate takes all events of the date of a time in Unix milliseconds from
// fill, which is called by Commit, at the same time as those of other dates:
// the quick way for generated data. The events must be of that date, and those
// of no date may come both ways.
func (b *Batch) AddDate(ms int64, fill func(w *parquet.ColumnsWriter) error) error {
	day := dayOf(ms)
	if b.filled[day] != nil || b.days[day] != nil {
		return fmt.Errorf("add date: %s is in the batch already", dayName(day))
	}
	b.filled[day] = fill
	return nil
}

// Commit makes the batch part of the archive, as the records of all bus
// messages up to last. When it returns nil, all is on disk. After an error
// the batch is void and it is open whether the commit holds: the next Begin
// decides it.
func (b *Batch) Commit(ctx context.Context, last uint64) error {
	a := b.archive
	if a.broken || b.first != a.Position()+1 {
		return errors.New("commit archive: the batch is out of date")
	}
	if last < b.first || last < b.newest {
		return fmt.Errorf("commit archive: batch of %d to %d cannot end at %d", b.first, b.newest, last)
	}
	a.broken = true
	if err := b.commit(ctx, parquet.Commit{First: b.first, Last: last, Time: a.now().UnixMilli()}); err != nil {
		return fmt.Errorf("commit archive %d to %d: %w", b.first, last, err)
	}
	a.broken = false
	a.topics = b.topics.all()
	a.position.Store(last)
	return nil
}

func (b *Batch) commit(ctx context.Context, c parquet.Commit) error {
	a := b.archive
	jobs := b.jobs(c)
	if err := a.stage(ctx, jobs, c); err != nil {
		return err
	}
	if err := a.step("sync staging"); err != nil {
		return err
	}
	if err := durable.SyncDir(filepath.Join(a.dir, stagingDir)); err != nil {
		return err
	}
	m := &manifest{Schema: manifestSchema, First: c.First, Last: c.Last, Files: []manifestFile{}, Topics: topicPositions(b.topics.all())}
	for _, j := range jobs {
		m.Files = append(m.Files, manifestFile{Staged: j.staged, Path: j.path, Rows: j.info.Rows})
	}
	if err := a.step("write manifest"); err != nil {
		return err
	}
	if err := a.writeManifest(m); err != nil {
		return err
	}
	if err := a.finish(ctx, m); err != nil {
		return err
	}
	for _, j := range jobs {
		if j.fill == nil { // the footer of such a file is read when it is asked for
			a.remember(j.path, j.info)
		}
	}
	if err := a.step("prune"); err != nil {
		return err
	}
	if err := a.pruneManifests(); err != nil {
		// The commit holds all the same.
		a.log.Warn("old archive manifests could not be removed", logkey.Error, err)
	}
	return nil
}

// job is one file to write: events, items, users, served lists or what fill
// writes, the others are nil.
type job struct {
	staged, path string
	events       *parquet.EventTable
	items        *parquet.ItemTable
	users        *parquet.UserTable
	served       *parquet.ServedTable
	fill         func(w *parquet.ColumnsWriter) error
	info         parquet.Info
	file         *os.File
}

func (b *Batch) jobs(c parquet.Commit) []*job {
	name := fileName(c.First, c.Last)
	var jobs []*job
	for day, table := range b.days {
		j := &job{events: table, path: filepath.Join(eventsDir, dayName(day), name)}
		j.staged = filepath.Join(stagingDir, dayName(day)+"."+name)
		j.info = parquet.Info{Commit: c, Rows: int64(table.Len())}
		j.info.Oldest, j.info.Newest = table.Span()
		jobs = append(jobs, j)
	}
	for day, fill := range b.filled {
		path, staged := filepath.Join(eventsDir, dayName(day), name), filepath.Join(stagingDir, dayName(day)+"."+name)
		jobs = append(jobs, &job{fill: fill, path: path, staged: staged})
	}
	for day, table := range b.served {
		j := &job{served: table, path: filepath.Join(servedDir, dayName(day), name)}
		j.staged = filepath.Join(stagingDir, servedDir+"."+dayName(day)+"."+name)
		j.info = parquet.Info{Commit: c, Rows: int64(table.Len())}
		j.info.Oldest, j.info.Newest = table.Span()
		jobs = append(jobs, j)
	}
	// The largest first, so that no worker begins it last and alone.
	slices.SortFunc(jobs, func(x, y *job) int { return int(y.info.Rows - x.info.Rows) })
	changes := func(dir string, rows int) *job {
		return &job{
			path: filepath.Join(dir, name), staged: filepath.Join(stagingDir, dir+"."+name),
			info: parquet.Info{Commit: c, Rows: int64(rows)},
		}
	}
	if n := b.items.Len(); n > 0 {
		j := changes(itemsDir, n)
		j.items = b.items
		jobs = append(jobs, j)
	}
	if n := b.users.Len(); n > 0 {
		j := changes(usersDir, n)
		j.users = b.users
		jobs = append(jobs, j)
	}
	return jobs
}

// syncWorkers is how many fsyncs wait at a time. They do not work, they wait:
// on ext4, 370 files of 69 KB take 1.2 s one by one and 0.05 s with 16 of them.
const syncWorkers = 16

// stage writes all files and makes their bytes durable. Writing keeps the
// cores busy while other goroutines wait for the disk.
func (a *Archive) stage(ctx context.Context, jobs []*job, c parquet.Commit) error {
	written := make(chan *job, syncWorkers)
	synced := make(chan error, 1)
	go func() { synced <- syncFiles(written) }()
	err := parallel.Each(runtime.GOMAXPROCS(0), len(jobs), func(i int) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := a.step("stage " + jobs[i].path); err != nil {
			return err
		}
		if err := a.write(jobs[i], c); err != nil {
			return fmt.Errorf("stage %s: %w", jobs[i].path, err)
		}
		written <- jobs[i]
		return nil
	})
	close(written)
	return errors.Join(err, <-synced)
}

// write leaves the file open for syncFiles.
func (a *Archive) write(j *job, c parquet.Commit) error {
	f, err := os.Create(filepath.Join(a.dir, j.staged))
	if err != nil {
		return err
	}
	switch {
	case j.events != nil:
		w := a.writers.Get().(*parquet.EventWriter)
		if err = w.Write(f, j.events, c); err == nil {
			a.writers.Put(w)
		}
	case j.fill != nil:
		err = fillFile(f, j.fill, c)
	case j.served != nil:
		err = parquet.WriteServed(f, j.served, c)
	case j.items != nil:
		err = parquet.WriteItems(f, j.items, c)
	default:
		err = parquet.WriteUsers(f, j.users, c)
	}
	if err == nil {
		var stat os.FileInfo
		if stat, err = f.Stat(); err == nil {
			j.info.Bytes, j.file = stat.Size(), f
			return nil
		}
	}
	return errors.Join(err, f.Close())
}

func fillFile(f *os.File, fill func(w *parquet.ColumnsWriter) error, c parquet.Commit) error {
	out := bufio.NewWriterSize(f, 1<<20)
	w := parquet.NewColumnsWriter(out)
	if err := fill(w); err != nil {
		return err
	}
	return errors.Join(w.Close(c), out.Flush())
}

// syncFiles syncs and closes what is written until the channel is closed; it
// always drains it.
func syncFiles(written <-chan *job) error {
	return parallel.Each(syncWorkers, syncWorkers, func(int) error {
		var errs []error
		for j := range written {
			errs = append(errs, errors.Join(j.file.Sync(), j.file.Close()))
		}
		return errors.Join(errs...)
	})
}
