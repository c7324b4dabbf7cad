package view

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
)

// kinAttributes are those by which a new item is likened to known ones.
func kinAttributes() [2]string { return [2]string{"category", "brand"} }

// News ranks items by when they came into the catalogue.
type News interface {
	// Latest adds to dst the n newest items, those of since (Unix ms) and
	// later, newest first.
	Latest(n int, since int64, dst *frame.Frame)
}

// tail are the new items of a view with factors guessed from their kin.
type tail struct {
	mu     sync.Mutex // one look at a time
	last   atomic.Pointer[Newcomers]
	groups [2]map[uint32][]float32 // per attribute: mean factors by value
	built  [2]bool
}

// Newcomers are the tail as of a time. They never change.
type Newcomers struct {
	// Items are their codes.
	Items []uint32

	at int64
	// kinds are what tells the guesses of items apart, and of is the kind of each
	// item: many are of a kind, so a visitor's scores cost little.
	kinds []kind
	of    []uint32
	means model.Model
	rows  []uint32 // all of means
}

// kind is a guess that items share: share times the sum of two rows of means;
// one of these is row 0, of zeros, where they have one group only.
type kind struct {
	rows  [2]uint32
	share float32
	// items are their places in Items, rising.
	items []uint32
}

// Scores writes into dst what each kind scores for a vector. dots is working
// memory; both are returned, grown.
func (n *Newcomers) Scores(dst, vector, dots []float32) (scores, memory []float32) {
	dst = slices.Grow(dst[:0], len(n.kinds))[:len(n.kinds)]
	dots = slices.Grow(dots[:0], len(n.rows))[:len(n.rows)]
	n.means.Scores(dots, vector, n.rows)
	for j := range n.kinds {
		k := &n.kinds[j]
		dst[j] = k.share * (dots[k.rows[0]] + dots[k.rows[1]])
	}
	return dst, dots
}

// Score is that of item j of Items, by the scores of the kinds.
func (n *Newcomers) Score(scores []float32, j int) float32 { return scores[n.of[j]] }

// Best is the item with the highest score above 0 that suits, the newest of
// equals; false where there is none. Scores of kinds without one become 0.
func (n *Newcomers) Best(scores []float32, suits func(item uint32) bool) (item uint32, ok bool) {
	for {
		// One pass for the highest score and the first kind that has it: a call
		// of slices.Max looks at each score three times, for NaN.
		top, first := float32(0), len(scores)
		for k, score := range scores {
			if score > top {
				top, first = score, k
			}
		}
		best := uint32(len(n.Items))
		for k := first; k < len(scores); k++ {
			if scores[k] != top {
				continue
			}
			at := slices.IndexFunc(n.kinds[k].items, func(j uint32) bool { return j >= best || suits(n.Items[j]) })
			if at < 0 {
				scores[k] = 0
			} else {
				best = min(best, n.kinds[k].items[at])
			}
		}
		if int(best) < len(n.Items) {
			return n.Items[best], true
		}
		if first == len(scores) {
			return 0, false
		}
	}
}

// Newcomers are the items that came into the catalogue in the last 30 days and
// that the model does not know. The factors of such an item are the mean of
// those of the items of its category and of its brand (the mean of the two where
// it has both): its place in a visitor's taste until there are events of it. One
// that has neither is not among them. They are as of at most half a second ago.
func (v *View) Newcomers(news News, columns frame.Columns, now int64) *Newcomers {
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
	news.Latest(tailLook, now-tailAge, &latest)
	next := &Newcomers{at: now, means: model.Model{Rank: v.Model.Rank, NumItems: 1, Items: make([]float32, v.Model.Rank)}, rows: []uint32{0}}
	groups := map[[2]uint32]uint32{} // rows of means, by attribute and value
	for _, item := range latest.Items {
		if len(next.Items) == tailItems {
			break
		}
		if _, known := v.Row(item); !known {
			v.guess(columns, item, groups, next)
		}
	}
	v.tail.last.Store(next)
	return next
}

// Follow readies a view to take the place of old: where that was asked for new
// items, they are looked for beforehand, lest the first requests wait.
func (v *View) Follow(old *View, news News, columns frame.Columns) {
	if last := old.tail.last.Load(); last != nil {
		v.Newcomers(news, columns, last.at)
	}
}

// Guess is what the factors of an item may be that the model does not know: the
// mean of those of its category and of its brand, as for Newcomers, in the memory
// of dst. It is empty where the item has neither.
func (v *View) Guess(columns frame.Columns, item uint32, dst []float32) []float32 {
	v.tail.mu.Lock()
	defer v.tail.mu.Unlock()
	dst = dst[:0]
	n := 0
	v.eachKin(columns, item, func(_ int, _ uint32, mean []float32) {
		n++
		if n == 1 {
			dst = append(dst, mean...)
			return
		}
		for k, f := range mean {
			dst[k] = (dst[k] + f) / 2
		}
	})
	return dst
}

// guess adds an item whose attributes say what its factors may be.
func (v *View) guess(columns frame.Columns, item uint32, groups map[[2]uint32]uint32, next *Newcomers) {
	var kin [2]uint32
	n := 0
	v.eachKin(columns, item, func(attribute int, value uint32, mean []float32) {
		group := [2]uint32{uint32(attribute), value}
		if _, there := groups[group]; !there {
			groups[group] = uint32(len(next.rows))
			next.rows = append(next.rows, uint32(len(next.rows)))
			next.means.Items = append(next.means.Items, mean...)
			next.means.NumItems++
		}
		kin[attribute] = groups[group]
		n++
	})
	if n == 0 {
		return
	}
	at := slices.IndexFunc(next.kinds, func(k kind) bool { return k.rows == kin })
	if at < 0 {
		at = len(next.kinds)
		next.kinds = append(next.kinds, kind{rows: kin, share: 1 / float32(n)})
	}
	next.kinds[at].items = append(next.kinds[at].items, uint32(len(next.Items)))
	next.of = append(next.of, uint32(at))
	next.Items = append(next.Items, item)
}

// eachKin calls yield with the mean factors of each group that an item is of.
func (v *View) eachKin(columns frame.Columns, item uint32, yield func(attribute int, value uint32, mean []float32)) {
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
		if mean := v.kin(a, column)[value[0]]; mean != nil {
			yield(a, value[0], mean)
		}
	}
}

// kin are the mean factors of the items of each value of an attribute, as of
// the first time that they are asked for.
func (v *View) kin(attribute int, column frame.Column) map[uint32][]float32 {
	if v.tail.built[attribute] {
		return v.tail.groups[attribute]
	}
	values := make([]uint32, len(v.Codes))
	column.Gather(values, v.Codes)
	groups, counts := map[uint32][]float32{}, map[uint32]int{}
	for row, value := range values {
		if value == 0 || counts[value] == groupRows {
			continue
		}
		counts[value]++
		if groups[value] == nil {
			groups[value] = make([]float32, v.Model.Rank)
		}
		for k, f := range v.Model.Items[row*v.Model.Rank : (row+1)*v.Model.Rank] {
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
