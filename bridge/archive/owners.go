package archive

import (
	"context"
	"sort"

	"vitrine/bridge/event"
)

// Owners says whose an event is now: users are erased, and merged into others,
// after their events were written, and the files stay as they are until they
// are written anew.
type Owners struct {
	// moves are those of each user in log order.
	moves map[string][]move
}

// move gives what a user did up to a bus message to another, or to nobody.
type move struct {
	seq  uint64
	into string
}

// Owners reads the erasures and merges up to Position.
func (a *Archive) Owners(ctx context.Context) (*Owners, error) {
	o := &Owners{}
	return o, a.ScanUsersAfter(ctx, 0, func(seq uint64, r *event.Record) error {
		o.Add(seq, r)
		return nil
	})
}

// Add takes a further record of bus message seq; others than erasures and
// merges change nothing.
func (o *Owners) Add(seq uint64, r *event.Record) {
	m := move{seq: seq}
	switch r.Kind {
	case event.KindUserErase:
	case event.KindUserMerge:
		m.into = r.User.Into
	default:
		return
	}
	if o.moves == nil {
		o.moves = map[string][]move{}
	}
	o.moves[r.User.ID] = append(o.moves[r.User.ID], m)
}

// None says that every event is its user's own.
func (o *Owners) None() bool { return len(o.moves) == 0 }

// Moved says whether any event of a user may be another's.
func (o *Owners) Moved(user string) bool { return len(o.moves[user]) > 0 }

// Last is the last user whose an event of bus message seq was before it was
// nobody's.
func (o *Owners) Last(user string, seq uint64) string {
	for {
		list := o.moves[user]
		at := sort.Search(len(list), func(i int) bool { return list[i].seq >= seq })
		if at == len(list) || list[at].into == "" {
			return user
		}
		user, seq = list[at].into, list[at].seq+1
	}
}

// Of is the user whose an event of bus message seq is now; "" when he was
// erased. What came in one message with an erasure or merge is taken as before
// it: better to forget a click too much than to keep one.
func (o *Owners) Of(user string, seq uint64) string {
	for user != "" {
		list := o.moves[user]
		at := sort.Search(len(list), func(i int) bool { return list[i].seq >= seq })
		if at == len(list) {
			return user
		}
		// From here on only what befell the next one later counts; so it ends.
		user, seq = list[at].into, list[at].seq+1
	}
	return ""
}
