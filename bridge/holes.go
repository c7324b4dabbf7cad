package bridge

import (
	"cmp"
	"maps"
	"slices"
)

// Hole is what of a partition was in frames that the log has lost, and is wanted
// again: the offsets from From to To, To not included. Where both are the same all
// of the partition from there on is, for it began in such a frame.
type Hole struct {
	Place    Place
	From, To int64
}

// holes are what of the topics was in frames that the log has lost: ranges of
// offsets that lie before a partition's position and are wanted again. They are
// found while the log is read at the start, where a frame without records stands
// for a lost one: the records of a partition come in the order of their offsets,
// so what lies between the last one before such a frame and the first one after
// it may have been in it.
type holes struct {
	// after is where partitions stood at a lost frame, until their next record.
	after map[Place]int64
	spans map[Place][]span
	// before are the spans as they were before the frame that is being filled;
	// nil when it has changed none.
	before map[Place][]span
	// passed are those of which reading came to what lies behind, with that frame.
	passed []Hole
}

// span is a range of offsets, to not included.
type span struct{ from, to int64 }

// lost notes that a frame was lost here. The mutex of places is held.
func (h *holes) lost(durable map[Place]int64) {
	if h.after == nil {
		h.after = map[Place]int64{}
	}
	for place, next := range durable {
		if _, ok := h.after[place]; !ok {
			h.after[place] = next
		}
	}
}

// reached opens a hole before the first record of a partition after a lost frame.
func (h *holes) reached(place Place, offset int64) {
	from, ok := h.after[place]
	if !ok {
		return
	}
	delete(h.after, place)
	if offset > from {
		h.add(place, span{from, offset})
	}
}

// add opens a hole, which others may overlap.
func (h *holes) add(place Place, s span) {
	if h.spans == nil {
		h.spans = map[Place][]span{}
	}
	all := append(h.spans[place], s)
	slices.SortFunc(all, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	out := all[:1]
	for _, s := range all[1:] {
		if last := &out[len(out)-1]; s.from <= last.to {
			last.to = max(last.to, s.to)
		} else {
			out = append(out, s)
		}
	}
	h.spans[place] = out
}

// fill tells whether an offset lies in a hole, and takes it out. A record that
// is read anew, unlike one of the log, ends the holes before it: the rest of
// them is not in the topic any more.
func (h *holes) fill(place Place, offset int64, anew bool) (wanted bool) {
	if h.before == nil {
		h.before = map[Place][]span{}
		for p, spans := range h.spans {
			h.before[p] = slices.Clone(spans)
		}
	}
	rest := make([]span, 0, len(h.spans[place])+1) // one may become two
	for _, s := range h.spans[place] {
		if offset >= s.from && offset < s.to && !wanted {
			wanted = true
			rest = h.leave(rest, place, span{s.from, offset}, anew)
			s.from = offset + 1
		}
		rest = h.leave(rest, place, s, anew && s.to <= offset)
	}
	if h.spans[place] = rest; len(rest) == 0 {
		delete(h.spans, place)
	}
	return wanted
}

// leave adds what is left of a span, or, where that was passed, notes it.
func (h *holes) leave(rest []span, place Place, s span, passed bool) []span {
	switch {
	case s.from >= s.to:
	case passed:
		h.passed = append(h.passed, Hole{place, s.from, s.to})
	default:
		rest = append(rest, s)
	}
	return rest
}

// settled are the spans without what the frame that is being filled has changed.
func (h *holes) settled() map[Place][]span {
	if h.before != nil {
		return h.before
	}
	return h.spans
}

// settle makes the changes of a frame count, or takes them back. passed is what will
// not come any more by them.
func (h *holes) settle(durable bool) (passed []Hole) {
	if !durable && h.before != nil {
		h.spans = maps.Clone(h.before)
	}
	if durable {
		passed = h.passed
	}
	h.before, h.passed = nil, nil
	return passed
}
