package archive

import (
	"context"
	"path/filepath"

	"vitrine/bridge/archive/ids"
	"vitrine/bridge/event"
	"vitrine/bridge/parquet"
	"vitrine/internal/logkey"
)

// EventBatch is some rows of a scan; see parquet.EventBatch.
type EventBatch = parquet.EventBatch

// ScanEvents calls fn with the wanted columns of all events up to Position:
// dates ascending, within a date in bus order. Of events with the same id and
// date the first is given, the others are not. An error of fn ends the scan
// and comes back as it is.
//
// A file that is removed while the scan runs is left out and logged.
func (a *Archive) ScanEvents(ctx context.Context, columns parquet.Columns, fn func(*EventBatch) error) error {
	return a.ScanEventsAfter(ctx, 0, columns, fn)
}

// ScanEventsAfter is ScanEvents of what came after a bus message. Events whose
// first with the same id came before are among them.
func (a *Archive) ScanEventsAfter(ctx context.Context, after uint64, columns parquet.Columns, fn func(*EventBatch) error) error {
	release, err := a.hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	days, err := a.eventFiles(a.Position())
	if err != nil {
		return err
	}
	wanted := columns | parquet.EventID
	if after > 0 {
		wanted |= parquet.BusSeq
	}
	scanner := parquet.NewEventScanner(wanted)
	seen := ids.NewSet()
	var rows []int
	for _, day := range days {
		seen.Reset()
		for _, path := range day.files {
			first, last, _ := parseFileName(filepath.Base(path))
			if last <= after {
				continue
			}
			err := a.withFile(path, func(f *parquet.File) error {
				return scanner.Scan(ctx, f, func(b *EventBatch) error {
					if first <= after {
						if rows = later(b.BusSeq, after, rows[:0]); len(rows) < b.Len {
							b.Keep(rows)
						}
					}
					if rows = seen.Firsts(b.EventID, rows[:0]); len(rows) < b.Len {
						b.Keep(rows)
					}
					if columns&parquet.EventID == 0 {
						b.EventID = nil
					}
					if b.Len == 0 {
						return nil
					}
					return fn(b)
				})
			})
			if err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// later appends to rows the numbers of those that came after a bus message.
func later(seqs []uint64, after uint64, rows []int) []int {
	for i, seq := range seqs {
		if seq > after {
			rows = append(rows, i)
		}
	}
	return rows
}

// ScanItems calls fn with all item changes up to Position in bus order. The
// record is overwritten by the next; its strings and attributes are safe to
// keep.
func (a *Archive) ScanItems(ctx context.Context, fn func(r *event.Record) error) error {
	return a.ScanItemsAfter(ctx, 0, func(_ uint64, r *event.Record) error { return fn(r) })
}

// ScanItemsAfter is ScanItems of what came after a bus message, each with the
// one that it came in.
func (a *Archive) ScanItemsAfter(ctx context.Context, after uint64, fn func(seq uint64, r *event.Record) error) error {
	return a.scanFiles(ctx, itemsDir, after, func(f *parquet.File) error { return f.ScanItems(ctx, behind(after, fn)) })
}

// behind leaves out what came up to a bus message.
func behind(after uint64, fn func(seq uint64, r *event.Record) error) func(uint64, *event.Record) error {
	return func(seq uint64, r *event.Record) error {
		if seq <= after {
			return nil
		}
		return fn(seq, r)
	}
}

// ScanUsers is ScanItems for user changes.
func (a *Archive) ScanUsers(ctx context.Context, fn func(r *event.Record) error) error {
	return a.ScanUsersAfter(ctx, 0, func(_ uint64, r *event.Record) error { return fn(r) })
}

// ScanUsersAfter is ScanItemsAfter for user changes.
func (a *Archive) ScanUsersAfter(ctx context.Context, after uint64, fn func(seq uint64, r *event.Record) error) error {
	return a.scanFiles(ctx, usersDir, after, func(f *parquet.File) error { return f.ScanUsers(ctx, behind(after, fn)) })
}

func (a *Archive) scanFiles(ctx context.Context, dir string, after uint64, scan func(*parquet.File) error) error {
	release, err := a.hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	files, err := a.dataFiles(dir, a.Position())
	if err != nil {
		return err
	}
	for _, path := range files {
		if _, last, _ := parseFileName(filepath.Base(path)); last <= after {
			continue
		}
		if err := a.withFile(path, scan); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (a *Archive) withFile(path string, fn func(*parquet.File) error) error {
	f, err := parquet.Open(filepath.Join(a.dir, path))
	if isGone(err) {
		a.log.Warn("an archive file vanished while reading", logkey.Path, path)
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return fn(f)
}
