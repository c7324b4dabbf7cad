// Package blend builds the candidate sources that stand beside a model, and
// chooses what each weighs on a slice of the training data.
//
// It owns the bounds of the tables, how histories become sequences, and the
// trials that weights are chosen by. It may import als and its packages and
// appliance/signal; the data come through an interface, so it must not know
// the archive, ids, the gate or the bundle.
//
//	settings, err := builder.Choose(ctx, older, opt)
//	set, err := builder.Build(ctx, blend.Part{Span: older, Newest: newest, Matrix: train}, settings)
package blend

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"vitrine/als/dataset"
	"vitrine/als/neighbors"
	"vitrine/als/neighbors/popularity"
	"vitrine/als/neighbors/tables"
	"vitrine/appliance/signal"
)

// Span is a part of the interactions of every user: from the lo-th to before
// the hi-th, counted from his first.
type Span = func(user int) (lo, hi int)

// Data are the interactions that tables are built from.
type Data interface {
	// Of writes a part of a user's interactions to dst[:0], by time.
	Of(user int, part Span, dst []signal.Interaction) []signal.Interaction
	// Matrix weighs a part of everybody's, ages counted from now.
	Matrix(ctx context.Context, now int64, part Span) (*dataset.CSR, error)
	// Newest is the time that ages of a part count from.
	Newest(part Span) int64
}

// Builder builds tables.
type Builder struct {
	Data   Data
	Signal *signal.Signal
	// Users and Items are the numbers of rows.
	Users, Items int
	// Step, when set, is told after each piece of work how many of BuildSteps
	// or ChooseSteps it was.
	Step func(steps int)
}

// The steps that a build tells, by about what each takes.
const (
	countSteps       = 1
	similarSteps     = 6
	transitionsSteps = 3
	sessionsSteps    = 1
	// BuildSteps is what a Build tells in all.
	BuildSteps = countSteps + similarSteps + transitionsSteps + sessionsSteps
)

// step tells that a piece of work is done.
func (b *Builder) step(steps int) {
	if b.Step != nil {
		b.Step(steps)
	}
}

// Part is a part of the data with what is known of it.
type Part struct {
	Span   Span
	Newest int64
	Matrix *dataset.CSR
}

// Bounds of the tables, so that neither building nor serving them grows beyond
// a known size, whatever the shop.
const (
	// tableTop is how many neighbours an item has: a request adds up some ten
	// rows of them, which is far more than its page and its filters need.
	tableTop = 100
	// tableEntries bounds those of all items of one table: 128 MiB. Beyond
	// 168,000 items each one has fewer.
	tableEntries = 16 << 20
	// pairBudget bounds the pairs of items that item-to-item counts, some two
	// seconds of a core, of which a training makes three tables: it is the longest
	// rows that are cut. Up to some two million interactions none are.
	pairBudget = 5e8
	// maxPlaces bounds the places of all sequences: 384 MiB while transitions
	// are counted. Beyond it every user has only his newest.
	maxPlaces = 32 << 20
	// maxSessions is how many sessions the index holds, the newest.
	maxSessions = 500_000
	// listed is how long the popular and the trending list are. They are
	// candidates of every request.
	listed = 100
)

const (
	// sessionGap is the pause that ends a session, in milliseconds.
	sessionGap = int64(30 * time.Minute / time.Millisecond)
	// popularLife and trendLife are the half-lives of the two lists.
	popularLife = popularity.DefaultHalfLife
	trendLife   = popularity.DefaultShortLife
)

// statistics are what the tables of a part of the window are counted from.
type statistics struct {
	matrix *dataset.CSR
	// sequences are sessions in the order of their ends, or whole histories
	// where sessions hold hardly more than one item.
	sequences neighbors.Sequences
	// long and short are every item's decayed weight, by popularLife and
	// trendLife.
	long, short []float64
}

// count counts a part of the data.
func (b *Builder) count(part Part) *statistics {
	s := &statistics{matrix: part.Matrix, long: make([]float64, b.Items), short: make([]float64, b.Items)}
	sessions := b.sequences(part.Span)
	if 2*sessions.shared < len(sessions.items) {
		sessions.merge()
	}
	s.sequences = sessions.inOrder()
	b.decayed(part, s)
	return s
}

// countParts is into how many parts users are divided to be counted at the same
// time: a fixed number, so that sums do not depend on the cores.
const countParts = 8

// parts calls fn for users lo to hi-1 of every part, all parts at the same time.
func (b *Builder) parts(fn func(part, lo, hi int)) {
	var wg sync.WaitGroup
	for p := range countParts {
		wg.Go(func() { fn(p, p*b.Users/countParts, (p+1)*b.Users/countParts) })
	}
	wg.Wait()
}

// decayed adds up the two popularities.
func (b *Builder) decayed(part Part, s *statistics) {
	var long, short [countParts][]float64
	b.parts(func(p, lo, hi int) {
		long[p], short[p] = make([]float64, b.Items), make([]float64, b.Items)
		var events []signal.Interaction
		for user := lo; user < hi; user++ {
			events = b.Data.Of(user, part.Span, events)
			for i := range events {
				in := &events[i]
				age, strength := float64(max(part.Newest-in.Time, 0)), b.Signal.Strength(in)
				long[p][in.Item] += strength * math.Exp2(-age/float64(popularLife))
				short[p][in.Item] += strength * math.Exp2(-age/float64(trendLife))
			}
		}
	})
	for p := range countParts {
		for item := range b.Items {
			s.long[item] += long[p][item]
			s.short[item] += short[p][item]
		}
	}
}

// sessionList is sequences as they were found, user by user.
type sessionList struct {
	items []uint32
	found []session
	// shared counts the items in sessions of two and more.
	shared int
}

// session is items lo to hi-1 of a list, and when it ended.
type session struct {
	end    int64
	lo, hi int32 // all lists together are within maxPlaces
	// more tells that it is of the same user as the one before it.
	more bool
}

// sequences takes every user's history apart into sessions.
func (b *Builder) sequences(part Span) *sessionList {
	most := b.placesPerUser(part)
	var lists [countParts]sessionList
	b.parts(func(p, lo, hi int) {
		l := &lists[p]
		var events, order []signal.Interaction
		for user := lo; user < hi; user++ {
			events = b.Data.Of(user, part, events)
			order = b.Signal.Sequence(b.Signal.Trim(events), most, order[:0])
			first, begin := len(l.items), len(l.items)
			for n, in := range order {
				if n > 0 && ends(&order[n-1], &in) {
					l.end(begin, order[n-1].Time, begin > first)
					begin = len(l.items)
				}
				l.items = append(l.items, in.Item)
			}
			if len(order) > 0 {
				l.end(begin, order[len(order)-1].Time, begin > first)
			}
		}
	})
	all, places, found := &sessionList{}, 0, 0
	for p := range lists {
		places, found = places+len(lists[p].items), found+len(lists[p].found)
	}
	all.items, all.found = make([]uint32, 0, places), make([]session, 0, found)
	for p := range lists {
		all.join(&lists[p])
		lists[p] = sessionList{}
	}
	return all
}

// join appends another list.
func (l *sessionList) join(other *sessionList) {
	at := int32(len(l.items))
	l.items = append(l.items, other.items...)
	for _, s := range other.found {
		l.found = append(l.found, session{s.end, at + s.lo, at + s.hi, s.more})
	}
	l.shared += other.shared
}

// merge makes one session of all that a user had.
func (l *sessionList) merge() {
	n := 0
	for _, s := range l.found {
		if s.more {
			l.found[n-1].end, l.found[n-1].hi = s.end, s.hi
			continue
		}
		l.found[n] = s
		n++
	}
	l.found = l.found[:n]
}

// ends tells whether a session ends between two places: where both say what
// session they are of, that decides, else the pause. Sessions that a user has
// side by side become pieces.
func ends(before, next *signal.Interaction) bool {
	if before.Session != 0 && next.Session != 0 {
		return before.Session != next.Session
	}
	return next.Time-before.Time > sessionGap
}

// placesPerUser is how many of everybody's newest places count, so that they
// are not more than maxPlaces.
func (b *Builder) placesPerUser(part Span) int {
	for most := signal.DefaultMaxEvents; ; most /= 2 {
		total := 0
		for user := range b.Users {
			lo, hi := part(user)
			total += min(hi-lo, most)
		}
		if total <= maxPlaces || most == 1 {
			return most
		}
	}
}

// end ends the session that began at place begin.
func (l *sessionList) end(begin int, at int64, more bool) {
	l.found = append(l.found, session{at, int32(begin), int32(len(l.items)), more})
	if n := len(l.items) - begin; n > 1 {
		l.shared += n
	}
}

// inOrder lays the sessions out in the order of their ends.
func (l *sessionList) inOrder() neighbors.Sequences {
	slices.SortStableFunc(l.found, func(a, b session) int { return cmp.Compare(a.end, b.end) })
	q := neighbors.Sequences{Start: make([]int64, 1, len(l.found)+1), Items: make([]uint32, 0, len(l.items))}
	for _, s := range l.found {
		q.Add(l.items[s.lo:s.hi])
	}
	return q
}

// Build makes the tables of the sources that weigh something.
func (b *Builder) Build(ctx context.Context, part Part, settings tables.Settings) (*tables.Set, error) {
	s := b.count(part)
	b.step(countSteps)
	set, err := s.build(ctx, settings, b.step)
	if err != nil {
		return nil, fmt.Errorf("build the tables: %w", err)
	}
	return set, nil
}

func (s *statistics) build(ctx context.Context, settings tables.Settings, step func(steps int)) (*tables.Set, error) {
	items := s.matrix.Cols
	set := &tables.Set{Items: items, Settings: settings}
	top := min(tableTop, max(tableEntries/max(items, 1), 10))
	weighs := func(part string) bool {
		return settings.User[part] > 0 || settings.Session[part] > 0 || settings.Like[part] > 0
	}
	var err error
	if weighs(tables.PartSimilar) {
		opt := neighbors.SimilarOptions{Top: top, RowLimit: rowLimit(s.matrix)}
		if set.Similar, err = neighbors.Similar(ctx, s.matrix, opt); err != nil {
			return nil, err
		}
	}
	step(similarSteps)
	if weighs(tables.PartTransitions) {
		opt := neighbors.TransitionOptions{Items: items, Top: top}
		if set.Transitions, err = neighbors.Transitions(ctx, &s.sequences, opt); err != nil {
			return nil, err
		}
	}
	step(transitionsSteps)
	if weighs(tables.PartSessions) {
		opt := neighbors.SessionOptions{Items: items, Newest: maxSessions}
		if set.Sessions, err = neighbors.NewSessions(ctx, &s.sequences, opt); err != nil {
			return nil, err
		}
	}
	step(sessionsSteps)
	if weighs(tables.PartPopular) {
		set.Popular = popularity.Rank(s.long, listed)
	}
	if weighs(tables.PartTrending) {
		rising := slices.Clone(s.short)
		popularity.Rise(rising, s.long, float64(trendLife)/float64(popularLife), popularity.DefaultTrendEvents)
		set.Trending = popularity.Rank(rising, listed)
	}
	return set, nil
}

// rowLimit is how many items of one user item-to-item looks at, so that the
// pairs stay within the budget.
func rowLimit(matrix *dataset.CSR) int {
	for limit := neighbors.DefaultRowLimit; ; limit = limit * 2 / 3 {
		pairs := 0.0
		for row := range matrix.Rows {
			n := float64(min(matrix.Indptr[row+1]-matrix.Indptr[row], int64(limit)))
			pairs += n * n
		}
		if pairs <= pairBudget || limit <= 10 {
			return limit
		}
	}
}
