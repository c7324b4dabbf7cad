package offline

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"vitrine/als/dataset"
	"vitrine/als/neighbors"
	"vitrine/appliance/signal"
)

// testShare is the newest part of a time split, as in a training.
const testShare = 0.1

// exam is one split: what models are fitted on and what they are asked. Row q
// of the questions has a history and targets. Where own is set the rows are the
// training's users and their histories those of fit; in sessions they are
// others.
type exam struct {
	fit      *history
	ask      *history
	own      bool
	targets  *history
	newest   int64 // what ages count from in training
	timeless bool  // the interactions have no times that tell them apart
}

// exam makes the split of a turn.
func (r *run) exam(d *data, turn int) *exam {
	if r.opt.Mode == ModeSession {
		return r.sessionExam(d, turn)
	}
	e := &exam{own: true, timeless: timeless(d.train)}
	switch {
	case d.test != nil:
		e.fit, e.targets = widen(d.train, d.test.users()), d.test
	case r.opt.Split == SplitLast:
		e.fit, e.targets = divide(d.train, lastOf(d.train))
	case r.opt.Split == SplitTime:
		e.fit, e.targets = divide(d.train, newestOf(d.train))
	default:
		e.fit, e.targets = divide(d.train, func(user, at int) bool {
			return dataset.FoldOf(user, d.train.events[at].Item, r.turns, 0) == turn
		})
	}
	e.ask, e.newest = e.fit, reference(e.fit)
	return e
}

// validation splits the part that is fitted on once more, to choose what is
// chosen on data.
func (r *run) validation(e *exam) *exam {
	v := &exam{own: e.own, timeless: e.timeless}
	switch {
	case r.opt.Mode == ModeSession:
		v.fit, v.ask, v.targets = newestSessions(e.fit, 1.0/12)
	case r.opt.Split == SplitLast:
		v.fit, v.targets = divide(e.fit, lastOf(e.fit))
	case e.timeless || r.turns > 1:
		v.fit, v.targets = divide(e.fit, func(user, at int) bool {
			return dataset.FoldOf(user, e.fit.events[at].Item, 10, validationSeed) == 0
		})
	default:
		v.fit, v.targets = divide(e.fit, newestOf(e.fit))
	}
	if v.own {
		v.ask = v.fit
	}
	v.newest = reference(v.fit)
	return v
}

// validationSeed makes the validation's folds others than the test's.
const validationSeed = 1

// sessionExam splits sessions: whole ones, or off their ends.
func (r *run) sessionExam(d *data, turn int) *exam {
	e := &exam{timeless: timeless(d.train)}
	switch {
	case d.test != nil:
		e.fit = d.train
		e.ask, e.targets = divide(d.test, lastOf(d.test))
	case r.opt.Split == SplitLast:
		e.fit, e.targets = divide(d.train, lastOf(d.train))
		e.ask = e.fit
	case r.opt.Split == SplitTime:
		e.fit, e.ask, e.targets = newestSessions(d.train, testShare)
	default:
		in := func(user, _ int) bool { return dataset.FoldOf(user, 0, r.turns, 0) == turn }
		var held *history
		e.fit, held = divide(d.train, in)
		e.ask, e.targets = divide(held, lastOf(held))
	}
	e.newest = reference(e.fit)
	return e
}

// newestSessions holds out the share of the sessions that ended last, and parts
// them at their last item.
func newestSessions(h *history, share float64) (fit, ask, targets *history) {
	order := byEnd(h)
	late := make([]bool, h.users())
	for _, user := range order[len(order)-int(share*float64(len(order))):] {
		late[user] = true
	}
	fit, held := divide(h, func(user, _ int) bool { return late[user] })
	ask, targets = divide(held, lastOf(held))
	return fit, ask, targets
}

// byEnd lists the users with interactions by the time of their last one, equal
// times in the order in which they came.
func byEnd(h *history) []int {
	var users []int
	for u := range h.users() {
		if h.starts[u] < h.starts[u+1] {
			users = append(users, u)
		}
	}
	slices.SortStableFunc(users, func(a, b int) int {
		x, y := h.starts[a+1]-1, h.starts[b+1]-1
		return cmp.Or(cmp.Compare(h.events[x].Time, h.events[y].Time), cmp.Compare(h.place[x], h.place[y]))
	})
	return users
}

// divide parts a history: no of what yes reports false for, and the others.
func divide(h *history, yes func(user, at int) bool) (no, others *history) {
	held := make([]bool, len(h.events))
	for u := range h.users() {
		for at := h.starts[u]; at < h.starts[u+1]; at++ {
			held[at] = yes(u, at)
		}
	}
	return h.part(func(_, at int) bool { return !held[at] }), h.part(func(_, at int) bool { return held[at] })
}

// lastOf marks the last interaction of every user who has two and more.
func lastOf(h *history) func(user, at int) bool {
	return func(user, at int) bool { return at == h.starts[user+1]-1 && at > h.starts[user] }
}

// newestOf marks the newest tenth of all, equal times in the order in which
// they came.
func newestOf(h *history) func(user, at int) bool {
	cut := dataset.TimeCut(timesOf(h), testShare)
	inOrder := make([]int, len(h.events))
	for n := range inOrder {
		inOrder[n] = n
	}
	slices.SortFunc(inOrder, func(a, b int) int { return cmp.Compare(h.place[a], h.place[b]) })
	newest := make([]bool, len(h.events))
	for _, n := range inOrder {
		newest[n] = !cut.Old(h.events[n].Time)
	}
	return func(_, at int) bool { return newest[at] }
}

func timesOf(h *history) []int64 {
	times := make([]int64, len(h.events))
	for n := range h.events {
		times[n] = h.events[n].Time
	}
	return times
}

// timeless reports whether all interactions have one time.
func timeless(h *history) bool {
	return !slices.ContainsFunc(h.events, func(in signal.Interaction) bool { return in.Time != h.events[0].Time })
}

// beyondReference is the share of the newest events that do not move what ages
// count from; see package trainer.
const beyondReference = 0.01

// reference is the time of the newest event but for the last hundredth.
func reference(h *history) int64 {
	times, share := timesOf(h), beyondReference
	if n := len(times); n >= 20 && n < 100 {
		share = 1 / float64(n)
	}
	return dataset.TimeCut(times, share).Time
}

// widen gives a history rows for more users.
func widen(h *history, users int) *history {
	for h.users() < users {
		h.starts = append(h.starts, len(h.events))
	}
	return h
}

// matrix weighs histories. whole leaves the cap of a history off.
func (r *run) matrix(h *history, items int, now int64, whole bool) (*dataset.CSR, error) {
	b := dataset.NewBuilder(items)
	var row []signal.Weighted
	for u := range h.users() {
		events := h.of(u)
		if !whole {
			events = r.sig.Trim(events)
		}
		row = r.sig.Weigh(events, now, row)
		for _, c := range row {
			if err := b.Add(c.Item, c.Weight); err != nil {
				return nil, fmt.Errorf("weigh user %d: %w", u, err)
			}
		}
		b.EndRow()
	}
	return b.Build(), nil
}

// popularity is every item's decayed weight.
func (r *run) popularity(h *history, items int, now int64) []float32 {
	sums := make([]float64, items)
	for n := range h.events {
		in := &h.events[n]
		sums[in.Item] += r.sig.Strength(in) * r.sig.Decay(now-in.Time)
	}
	out := make([]float32, items)
	for i, s := range sums {
		out[i] = float32(min(s, math.MaxFloat32))
	}
	return out
}

// sequences are histories as ordered lists of items, in the order of their
// ends.
func (r *run) sequences(h *history) *neighbors.Sequences {
	q := &neighbors.Sequences{Start: []int64{0}}
	var row []uint32
	for _, u := range byEnd(h) {
		row = r.itemsOf(h, u, row)
		q.Add(row)
	}
	return q
}

// itemsOf lists the items of a user, oldest first, without what was removed.
func (r *run) itemsOf(h *history, user int, dst []uint32) []uint32 {
	dst = dst[:0]
	events := h.of(user)
	for n := range events {
		if r.sig.Strength(&events[n]) > 0 {
			dst = append(dst, events[n].Item)
		}
	}
	return dst
}
