package view

import (
	"math"
	"sync/atomic"

	"vitrine/appliance/frame"
)

// groupedEvery is how often, in milliseconds, groups are made anew at most.
const groupedEvery = 1000

// Groups are the rows of equal values of an attribute. They are of the time when
// they were made, and values that have nothing in common may share a group: good
// for foreseeing how many candidates a quota will leave, not for holding it.
type Groups struct {
	attribute string
	at        int64 // when they were made, in Unix ms
	doubted   atomic.Bool
	// Of has the group of each position in scan order, 0 for a row without a
	// value.
	Of []uint16
}

// Doubt has the groups made anew: what was foreseen by them did not happen.
func (g *Groups) Doubt() { g.doubted.Store(true) }

// Groups are those of an attribute at now (Unix ms). Making them takes some 10 ns
// an item.
func (v *View) Groups(attribute string, column frame.Column, now int64) *Groups {
	good := func(g *Groups) bool {
		return g != nil && (!g.doubted.Load() || g.at <= now && now-g.at < groupedEvery)
	}
	of := func(g *Groups) bool { return g.attribute == attribute }
	groups := v.groupings.find(of)
	if good(groups) {
		return groups
	}
	if groups == nil {
		v.groupings.making.Lock()
	} else if !v.groupings.making.TryLock() {
		return groups // somebody is at it
	}
	defer v.groupings.making.Unlock()
	if groups = v.groupings.find(of); good(groups) {
		return groups
	}
	groups = &Groups{attribute: attribute, at: now, Of: v.group(column)}
	v.groupings.put(groups, of)
	return groups
}

// group numbers the values of a column by a hash, from 1 on.
func (v *View) group(column frame.Column) []uint16 {
	absent, rows := column.Kind().Absent(), v.Index.Rows()
	of := make([]uint16, len(rows))
	var codes, values [512]uint32
	for first := 0; first < len(rows); first += len(codes) {
		n := min(len(codes), len(rows)-first)
		for i, row := range rows[first : first+n] {
			codes[i] = v.Codes[row]
		}
		column.Gather(values[:n], codes[:n])
		for i, value := range values[:n] {
			if value != absent {
				of[first+i] = uint16(1 + uint64(value*0x9e3779b1)*math.MaxUint16>>32)
			}
		}
	}
	return of
}
