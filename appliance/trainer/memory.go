package trainer

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"

	"vitrine/als"
	"vitrine/als/dataset"
	"vitrine/bridge/archive"
	"vitrine/bridge/parquet"
)

// collectAt is how much garbage, in per cent of what is used, may lie about in a
// training process. Nearly all of what is used is arrays without pointers,
// which the collector need not look into, so that it costs next to nothing to
// call it often; at Go's 100 the process would take twice its data.
const collectAt = 15

// RunAlone is Run in a process that does nothing else: it sets the process's
// memory limits as well.
func RunAlone(ctx context.Context, job Job, progress func(Progress)) (*Result, error) {
	debug.SetGCPercent(collectAt)
	if limit := memoryLimit(job.MemoryLimit); limit > 0 {
		debug.SetMemoryLimit(limit)
	}
	return Run(ctx, job, progress)
}

// memoryLimit is how many bytes a run may take: what it was given, but no more
// than the machine, or the container, has. 0 means that nobody knows.
func memoryLimit(given int64) int64 {
	limit := given
	lower := func(n int64) {
		if n > 0 && (limit <= 0 || n < limit) {
			limit = n
		}
	}
	var info syscall.Sysinfo_t
	if syscall.Sysinfo(&info) == nil {
		lower(int64(info.Totalram) * int64(info.Unit))
	}
	for _, path := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		if text, err := os.ReadFile(path); err == nil {
			n, _ := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64) // "max" is no limit
			lower(n)
		}
	}
	return limit
}

// Bytes of an interaction while it is read (unit and columns side by side), and
// as it is kept.
const (
	loadBytes = 13 + 11
	keptBytes = 11
	valueSize = 4
)

// checkLoad refuses an archive that cannot be loaded within the limit. Only
// when all rows together would be too many does it count those that enter.
func (l *loader) checkLoad(ctx context.Context, limit int64) error {
	if limit <= 0 || int64(l.total)*loadBytes <= limit {
		return nil
	}
	entering, err := l.countEntering(ctx)
	if err != nil {
		return err
	}
	if need := entering * loadBytes; need > limit {
		return fmt.Errorf("%w: to load %d interactions takes %d MiB, the limit is %d MiB", als.ErrMemory, entering, need>>20, limit>>20)
	}
	return nil
}

// countEntering counts the rows whose type enters a history.
func (l *loader) countEntering(ctx context.Context) (int64, error) {
	r := l.parts.Reader(parquet.EventType)
	defer r.Close()
	n := int64(0)
	for part := range l.parts.Len() {
		err := r.Scan(ctx, part, func(b *archive.EventBatch) error {
			for _, code := range b.EventType.Code {
				if enteringCode(l.sig, b.EventType.Names[code]) >= 0 {
					n++
				}
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	return n, nil
}

// bytes is what the window takes.
func (w *window) bytes() int64 {
	n := int64(w.count()) * keptBytes
	if w.events.values != nil {
		n += int64(w.count()) * valueSize
	}
	if w.events.sessions != nil {
		n += int64(w.count()) * 2
	}
	for _, ids := range [][]string{w.userIDs, w.itemIDs} {
		for _, id := range ids {
			n += int64(len(id)) + 16
		}
	}
	return n
}

// checkFit refuses a training on the older part that does not fit beside the
// window. The refit over the whole of it, with the test's share more cells,
// is what takes most.
func (w *window) checkFit(data *dataset.CSR, opt als.Options, limit int64) error {
	cells := int(float64(data.NNZ()) / (1 - testShare))
	fit := als.Bytes(als.Shape{Users: data.Rows, Items: data.Cols, Cells: cells}, opt)
	if need := fit + w.bytes(); limit > 0 && need > limit {
		return fmt.Errorf("train: %w: %d users, %d items and %d cells at rank %d need %d MiB, and the data beside them %d MiB; the limit is %d MiB",
			als.ErrMemory, data.Rows, data.Cols, cells, opt.Rank, fit>>20, w.bytes()>>20, limit>>20)
	}
	return nil
}
