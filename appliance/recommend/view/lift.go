package view

import (
	"sync"
	"sync/atomic"

	"vitrine/als/topk"
	"vitrine/appliance/frame"
)

// Boost is a set of items whose scores are multiplied by Factor, 1 or more.
type Boost struct {
	Selection *frame.Selection
	Factor    float64
}

// maxLifts bounds the lists of boosts whose lifts a view remembers: one for each
// scene with rules of its own.
const maxLifts = 8

// lifts are those that were asked for last, newest first.
type lifts struct {
	mu   sync.Mutex // one is made at a time
	last atomic.Pointer[[]*lift]
}

// lift is one that was made, with what it was made of.
type lift struct {
	boosts []Boost
	passed []*passed // of each
	lift   *topk.Lift
}

// of tells whether it was made of these boosts, be it of older selections.
func (l *lift) of(boosts []Boost) bool {
	if len(l.boosts) != len(boosts) {
		return false
	}
	for i, b := range boosts {
		if l.boosts[i].Factor != b.Factor || l.boosts[i].Selection.Filter != b.Selection.Filter {
			return false
		}
	}
	return true
}

// current tells whether the rows that pass are still the same.
func (l *lift) current(v *View, boosts []Boost) bool {
	for i, b := range boosts {
		if p := l.passed[i]; p.selection != b.Selection && !p.same(v.pass(b.Selection)) {
			return false
		}
	}
	return true
}

// Lift makes a search rank by scores that boosts have multiplied. It is made
// anew when other items fulfil their conditions, which takes some 3 ns an item.
func (v *View) Lift(boosts []Boost) *topk.Lift {
	if l := v.lift(boosts); l != nil {
		return l
	}
	v.lifts.mu.Lock()
	defer v.lifts.mu.Unlock()
	if l := v.lift(boosts); l != nil {
		return l
	}
	next := &lift{boosts: append([]Boost(nil), boosts...)}
	var sets []topk.Lifted
	for _, b := range boosts {
		p := v.pass(b.Selection)
		next.passed = append(next.passed, p)
		sets = append(sets, topk.Lifted{Positions: p.yes, Factor: b.Factor})
	}
	next.lift = v.Index.NewLift(sets)
	keep := []*lift{next}
	if last := v.lifts.last.Load(); last != nil {
		for _, l := range *last {
			if !l.of(boosts) && len(keep) < maxLifts {
				keep = append(keep, l)
			}
		}
	}
	v.lifts.last.Store(&keep)
	return next.lift
}

// lift is the one that is there for boosts, if there is one.
func (v *View) lift(boosts []Boost) *topk.Lift {
	last := v.lifts.last.Load()
	if last == nil {
		return nil
	}
	for _, l := range *last {
		if l.of(boosts) && l.current(v, boosts) {
			return l.lift
		}
	}
	return nil
}
