package view

import (
	"vitrine/als/topk"
	"vitrine/appliance/frame"
)

// Boost is a set of items whose scores are multiplied by Factor, 1 or more.
type Boost struct {
	Selection *frame.Selection
	Factor    float64
}

// liftEvery is how often, in milliseconds, a lift is made anew at most: where
// items change all the time that would cost more than it saves.
const liftEvery = 1000

// lift is one that was made, with what it was made of.
type lift struct {
	boosts []Boost
	passed []*passed // of each
	lift   *topk.Lift
	at     int64 // when it was made, in Unix ms
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
// anew when other items fulfil their conditions, which takes some 3 ns an item:
// once a second at most, so at now (Unix ms) there may be none, and none is
// waited for.
func (v *View) Lift(boosts []Boost, now int64) *topk.Lift {
	l, current := v.lift(boosts)
	if current {
		return l.lift
	}
	if l != nil && l.at <= now && now-l.at < liftEvery || !v.lifts.making.TryLock() {
		return nil
	}
	defer v.lifts.making.Unlock()
	if l, current = v.lift(boosts); current {
		return l.lift
	}
	next := &lift{boosts: append([]Boost(nil), boosts...), at: now}
	var sets []topk.Lifted
	for _, b := range boosts {
		p := v.pass(b.Selection)
		next.passed = append(next.passed, p)
		sets = append(sets, topk.Lifted{Positions: p.positions, Factor: b.Factor})
	}
	next.lift = v.Index.NewLift(sets)
	v.lifts.put(next, func(l *lift) bool { return l.of(boosts) })
	return next.lift
}

// lift is the one that was made last of boosts, nil where none was, and whether
// it still is what they make.
func (v *View) lift(boosts []Boost) (l *lift, current bool) {
	l = v.lifts.find(func(l *lift) bool { return l.of(boosts) })
	return l, l != nil && l.current(v, boosts)
}
