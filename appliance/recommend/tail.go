package recommend

import (
	"slices"
	"sync"
	"sync/atomic"

	"vitrine/als/model"
	"vitrine/appliance/frame"
)

// Bounds of the tail: items that no model knows yet.
const (
	// tailItems is how many of the newest items are in it, tailLook how many
	// are looked at for it.
	tailItems = 512
	tailLook  = 4096
	// tailAge is how long an item is new, and tailFresh how old a look may be,
	// in milliseconds.
	tailAge   = 30 * 24 * 3600 * 1000
	tailFresh = 500
	// groupRows is how many items a group's mean is made of at most.
	groupRows = 256
	// newPercent of the places are for new items, unless a rule says otherwise.
	newPercent = 10
)

// kinAttributes are those by which a new item is likened to known ones.
func kinAttributes() [2]string { return [2]string{"category", "brand"} }

// tail are the new items of a view with factors guessed from their kin.
type tail struct {
	mu     sync.Mutex // one look at a time
	last   atomic.Pointer[newcomers]
	groups [2]map[uint32][]float32 // per attribute: mean factors by value
	built  [2]bool
}

// newcomers are the tail as of a time.
type newcomers struct {
	at    int64
	items []uint32
	// kin are the two rows of means whose mean an item's factors are guessed to
	// be; one of them is row 0, of zeros, where the item has one group only, and
	// share what their sum is multiplied by. Items have few groups together, so a
	// visitor's scores cost an inner product for each of these and not for each
	// item.
	kin   [][2]uint32
	share []float32
	means model.Model
	rows  []uint32 // all of means
}

// scores writes what new items score for a vector; dots is working memory.
func (n *newcomers) scores(dst, vector, dots []float32) {
	n.means.Scores(dots, vector, n.rows)
	for j, kin := range n.kin {
		dst[j] = n.share[j] * (dots[kin[0]] + dots[kin[1]])
	}
}

// newcomers are the items that came into the catalogue in the last 30 days and
// that the model does not know. The factors of such an item are the mean of
// those of the items of its category and of its brand (the mean of the two where
// it has both): its place in a visitor's taste until there are events of it. One
// that has neither is not among them.
func (v *View) newcomers(e *Engine, now int64) *newcomers {
	old := v.tail.last.Load()
	if old != nil && now-old.at < tailFresh && old.at-now < tailFresh {
		return old
	}
	switch {
	case v.tail.mu.TryLock():
	case old != nil:
		return old // somebody is at it
	default:
		// The first look is waited for: a list without new items would be another.
		v.tail.mu.Lock()
	}
	defer v.tail.mu.Unlock()
	if last := v.tail.last.Load(); last != old {
		return last
	}
	var latest frame.Frame
	e.deps.News.Latest(tailLook, now-tailAge, &latest)
	next := &newcomers{at: now, means: model.Model{Rank: v.rank, NumItems: 1, Items: make([]float32, v.rank)}, rows: []uint32{0}}
	groups := map[[2]uint32]uint32{} // rows of means, by attribute and value
	for _, item := range latest.Items {
		if len(next.items) == tailItems {
			break
		}
		if _, known := v.row(item); !known {
			v.guess(e.deps.Columns, item, groups, next)
		}
	}
	v.tail.last.Store(next)
	return next
}

// guess adds an item whose attributes say what its factors may be.
func (v *View) guess(columns frame.Columns, item uint32, groups map[[2]uint32]uint32, next *newcomers) {
	var kin [2]uint32
	n := 0
	for a, name := range kinAttributes() {
		column := columns.Column(frame.ItemScope, name)
		if column == nil || column.Kind() != frame.Text {
			continue
		}
		var value [1]uint32
		column.Gather(value[:], []uint32{item})
		if value[0] == 0 {
			continue
		}
		mean := v.kin(a, column)[value[0]]
		if mean == nil {
			continue
		}
		group := [2]uint32{uint32(a), value[0]}
		if _, there := groups[group]; !there {
			groups[group] = uint32(len(next.rows))
			next.rows = append(next.rows, uint32(len(next.rows)))
			next.means.Items = append(next.means.Items, mean...)
			next.means.NumItems++
		}
		kin[a] = groups[group]
		n++
	}
	if n > 0 {
		next.items, next.kin = append(next.items, item), append(next.kin, kin)
		next.share = append(next.share, 1/float32(n))
	}
}

// kin are the mean factors of the items of each value of an attribute, as of
// the first time that they are asked for.
func (v *View) kin(attribute int, column frame.Column) map[uint32][]float32 {
	if v.tail.built[attribute] {
		return v.tail.groups[attribute]
	}
	values := make([]uint32, len(v.codes))
	column.Gather(values, v.codes)
	groups, counts := map[uint32][]float32{}, map[uint32]int{}
	for row, value := range values {
		if value == 0 || counts[value] == groupRows {
			continue
		}
		counts[value]++
		if groups[value] == nil {
			groups[value] = make([]float32, v.rank)
		}
		for k, f := range v.model.Items[row*v.rank : (row+1)*v.rank] {
			groups[value][k] += f
		}
	}
	for value, sum := range groups {
		for k := range sum {
			sum[k] /= float32(counts[value])
		}
	}
	v.tail.groups[attribute], v.tail.built[attribute] = groups, true
	return groups
}

// freshen gives new items their share of the places of a live list: of every
// so many candidates one is the new item that suits the visitor best, with the
// score of the candidate whose place it takes. Plugins and rules see it there
// like any other.
func (e *Engine) freshen(sc *scratch, q question) {
	if e.deps.News == nil || e.deps.Columns == nil || q.similar || q.given != nil || q.rank != nil || len(sc.vector) == 0 {
		return
	}
	percent, ruled := sc.plan.NewPercent(sc.frame.Now)
	if !ruled {
		percent = newPercent
	}
	places := int(percent / 100 * float64(min(sc.limit, sc.frame.Len())))
	fresh := q.view.newcomers(e, sc.frame.Now)
	weighed := q.view.fresh != nil && !ruled
	if places == 0 && !weighed || fresh == nil || len(fresh.items) == 0 {
		return
	}
	sc.suited = slices.Grow(sc.suited[:0], len(fresh.items))[:len(fresh.items)]
	sc.dots = slices.Grow(sc.dots[:0], len(fresh.rows))[:len(fresh.rows)]
	fresh.scores(sc.suited, sc.vector, sc.dots)
	if weighed {
		e.mingle(sc, q.view, fresh.items)
		return
	}
	every := sc.limit / places
	for n := range places {
		best := -1
		for j, item := range fresh.items {
			if sc.suited[j] <= 0 || best >= 0 && sc.suited[j] <= sc.suited[best] {
				continue
			}
			if e.suits(sc, item) {
				best = j
			}
		}
		at := (n+1)*every - 1
		if best < 0 || at >= sc.frame.Len() {
			return
		}
		sc.frame.Items = slices.Insert(sc.frame.Items, at, fresh.items[best])
		sc.frame.Scores = slices.Insert(sc.frame.Scores, at, sc.frame.Scores[at])
		sc.frame.Mask = slices.Insert(sc.frame.Mask, at, true)
		sc.suited[best] = 0
	}
}

// mingle makes new items candidates by a weight: as for any source of a blend,
// their scores are divided by the highest; beside the factors alone they become
// parts of the list's highest.
func (e *Engine) mingle(sc *scratch, v *View, items []uint32) {
	scale := *v.fresh / slices.Max(sc.suited) // without any above 0 none is added
	if v.blendFor(sc) == nil {
		scale *= sc.frame.Scores[0]
	}
	for j, item := range items {
		if sc.suited[j] > 0 && e.suits(sc, item) {
			sc.frame.Add(item, scale*sc.suited[j])
		}
	}
	sc.sort()
}

// suits tells whether a new item may become a candidate.
func (e *Engine) suits(sc *scratch, item uint32) bool {
	return sc.fulfils(item) && !slices.Contains(sc.excluded, item) && !slices.Contains(sc.frame.Items, item) &&
		!e.deps.Shelf.Expired(item, sc.frame.Now)
}
