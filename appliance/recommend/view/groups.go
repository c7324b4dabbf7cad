package view

import (
	"math"
	"sync"
	"sync/atomic"

	"vitrine/appliance/frame"
)

const (
	// maxGroupings bounds the attributes whose groups a view remembers.
	maxGroupings = 8
	// groupedEvery is how often, in milliseconds, groups are made anew at most.
	groupedEvery = 1000
)

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

// groupings are those that were asked for last.
type groupings struct {
	mu   sync.Mutex // one is made at a time
	last atomic.Pointer[[]*Groups]
}

// find is the one of an attribute, nil where there is none.
func (g *groupings) find(attribute string) *Groups {
	if last := g.last.Load(); last != nil {
		for _, groups := range *last {
			if groups.attribute == attribute {
				return groups
			}
		}
	}
	return nil
}

// Groups are those of an attribute at now (Unix ms). Making them takes some 10 ns
// an item.
func (v *View) Groups(attribute string, column frame.Column, now int64) *Groups {
	good := func(g *Groups) bool {
		return g != nil && (!g.doubted.Load() || g.at <= now && now-g.at < groupedEvery)
	}
	groups := v.groupings.find(attribute)
	if good(groups) {
		return groups
	}
	if groups == nil {
		v.groupings.mu.Lock()
	} else if !v.groupings.mu.TryLock() {
		return groups // somebody is at it
	}
	defer v.groupings.mu.Unlock()
	if groups = v.groupings.find(attribute); good(groups) {
		return groups
	}
	groups = &Groups{attribute: attribute, at: now, Of: v.group(column)}
	keep := []*Groups{groups}
	if last := v.groupings.last.Load(); last != nil {
		for _, g := range *last {
			if g.attribute != attribute && len(keep) < maxGroupings {
				keep = append(keep, g)
			}
		}
	}
	v.groupings.last.Store(&keep)
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
