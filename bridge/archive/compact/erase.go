package compact

import (
	"context"
	"errors"
	"fmt"

	"vitrine/bridge/archive"
	"vitrine/bridge/event"
	"vitrine/bridge/parquet"
	"vitrine/internal/logkey"
)

// Erasure is a user of whom the archive's files shall hold nothing.
type Erasure struct {
	UserID string
	// At is when it was asked for, in Unix milliseconds.
	At int64
	// Events, Places and Changes are the rows that were taken out: of events, of
	// served lists, and of changes to the user.
	Events, Places, Changes int64
}

// Eraser is the rest of the appliance, where erased users are concerned. An error
// leaves the erasures for the next pass.
type Eraser interface {
	// Erase takes the users out of everything but the archive. The files of
	// events and served lists hold nothing of them when it is called; the changes
	// of users do, until it has returned.
	Erase(ctx context.Context, users []Erasure) error
	// Erased says that the archive holds nothing of them any more.
	Erased(ctx context.Context, users []Erasure) error
	// Settle says that no erasure is left to do in the archive. Each pass that
	// comes so far calls it: also after one that was cut short before Erased.
	Settle(ctx context.Context) error
}

// erasing are the erasures of one pass.
type erasing struct {
	owners *archive.Owners
	users  map[string]*Erasure
	order  []string
}

// erase writes the files anew that hold rows of users who were erased. The records
// that say so go last: a pass that is cut short is done again by the next.
func (c *Compactor) erase(ctx context.Context, folders []archive.Folder) error {
	e, err := c.erasures(ctx, folders)
	if err != nil {
		return err
	}
	if len(e.users) == 0 {
		return c.settle(ctx)
	}
	for i := range folders {
		if folders[i].Kind == parquet.Events || folders[i].Kind == parquet.Served {
			if err := c.eraseFrom(ctx, &folders[i], e); err != nil {
				return err
			}
		}
	}
	if c.opt.Eraser != nil {
		if err := c.opt.Eraser.Erase(ctx, e.list()); err != nil {
			return fmt.Errorf("erase users: %w", err)
		}
	}
	for i := range folders {
		if folders[i].Kind == parquet.Users {
			if err := c.eraseFrom(ctx, &folders[i], e); err != nil {
				return err
			}
		}
	}
	c.mu.Lock()
	c.stats.Erased += int64(len(e.users))
	c.mu.Unlock()
	// No ids: the log is a file, too.
	c.opt.Log.Info("erased users are out of the archive's files", logkey.Count, len(e.users))
	if c.opt.Eraser != nil {
		if err := c.opt.Eraser.Erased(ctx, e.list()); err != nil {
			return err
		}
	}
	return c.settle(ctx)
}

func (c *Compactor) settle(ctx context.Context) error {
	if c.opt.Eraser == nil {
		return nil
	}
	return c.opt.Eraser.Settle(ctx)
}

// erasures reads who was erased, and in whose name others' events are. Where no
// change of a user came since they were read and none was found, none is there.
func (c *Compactor) erasures(ctx context.Context, folders []archive.Folder) (*erasing, error) {
	e := &erasing{owners: &archive.Owners{}, users: map[string]*Erasure{}}
	last := uint64(0)
	for i := range folders {
		if f := &folders[i]; f.Kind == parquet.Users {
			last = f.Files[len(f.Files)-1].Last
		}
	}
	if last == 0 || last == c.looked {
		return e, nil
	}
	err := c.opt.Archive.ScanUsersAfter(ctx, 0, func(seq uint64, r *event.Record) error {
		e.owners.Add(seq, r)
		if r.Kind == event.KindUserErase {
			if e.users[r.User.ID] == nil {
				e.users[r.User.ID] = &Erasure{UserID: r.User.ID}
				e.order = append(e.order, r.User.ID)
			}
			e.users[r.User.ID].At = r.User.Time
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read erasures: %w", err)
	}
	if len(e.users) == 0 {
		c.looked = last
	}
	return e, nil
}

func (e *erasing) list() []Erasure {
	out := make([]Erasure, len(e.order))
	for i, id := range e.order {
		out[i] = *e.users[id]
	}
	return out
}

// concerns says whether rows in a user's name may have to go or to change: he was
// erased, or his events became those of one who was.
func (e *erasing) concerns(id []byte) bool {
	return e.users[string(id)] != nil || e.owners.Moved(string(id))
}

// keep decides on a row, and counts what goes.
func (e *erasing) keep(kind parquet.Kind, r *parquet.Row) bool {
	if r.User == "" {
		return true
	}
	owner := e.owners.Of(r.User, r.Seq)
	erased := e.users[r.User]
	// A list waits before it is written, and an erasure may get ahead of it: what
	// was shown to him before goes, too.
	late := kind == parquet.Served && erased != nil && r.Time <= erased.At
	switch {
	case owner == "" || late:
		e.count(kind, r)
		return false
	case erased == nil || owner == r.User:
		return true
	case kind == parquet.Users || e.owners.Of(owner, r.Seq) != owner:
		// He gave his events to another before he was erased: that they were
		// given goes with his name, and what that one lost since, too.
		e.count(kind, r)
		return false
	}
	r.User = owner
	return true
}

// count counts a row for who was erased: the user whose it last was.
func (e *erasing) count(kind parquet.Kind, r *parquet.Row) {
	of := e.users[r.User]
	if of == nil {
		of = e.users[e.owners.Last(r.User, r.Seq)]
	}
	if of == nil {
		return
	}
	switch kind {
	case parquet.Events:
		of.Events++
	case parquet.Served:
		of.Places++
	default:
		of.Changes++
	}
}

// eraseFrom writes those files of a folder anew that are concerned.
func (c *Compactor) eraseFrom(ctx context.Context, f *archive.Folder, e *erasing) error {
	var w *archive.Rewrite
	for i := range f.Files {
		concerned, err := c.concerned(ctx, f.Files[i].Path, e)
		if err == nil && concerned && w == nil {
			w, err = c.opt.Archive.Rewrite(ctx, f.Path)
		}
		if err == nil && concerned {
			err = c.without(ctx, w, f, i, e)
		}
		if err != nil {
			if w != nil {
				err = errors.Join(err, w.Abandon())
			}
			return fmt.Errorf("erase users from %s: %w", f.Path, err)
		}
	}
	if w == nil {
		return nil
	}
	if err := c.replace(ctx, w); err != nil {
		return fmt.Errorf("erase users from %s: %w", f.Path, err)
	}
	return nil
}

func (c *Compactor) concerned(ctx context.Context, path string, e *erasing) (found bool, err error) {
	file, err := c.opt.Archive.OpenData(path)
	if err != nil {
		return false, err
	}
	found, err = file.HasUser(e.concerns)
	return found, errors.Join(err, file.Close(), c.opt.Pace(ctx))
}

// without writes one file but for the rows that go.
func (c *Compactor) without(ctx context.Context, w *archive.Rewrite, f *archive.Folder, i int, e *erasing) error {
	return w.Write(f.Kind, f.Files[i:i+1], func(out *parquet.Rewriter) (rows int64, err error) {
		file, err := c.opt.Archive.OpenData(f.Files[i].Path)
		if err != nil {
			return 0, err
		}
		var paused error
		rows, err = out.Copy(ctx, file, func(r *parquet.Row) bool {
			if r.Number%paceRows == paceRows-1 && paused == nil {
				paused = c.opt.Pace(ctx)
			}
			return e.keep(f.Kind, r)
		})
		return rows, errors.Join(err, paused, file.Close())
	})
}
