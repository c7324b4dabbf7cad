package rules

import (
	"math"
	"slices"

	"vitrine/appliance/frame"
)

// Likeness compares items.
type Likeness interface {
	// Cosines writes into dst how like each of the others is to an item, from
	// -1 to 1; 0 where nothing is known.
	Cosines(item uint32, others []uint32, dst []float32)
}

// Page is a page to be made.
type Page struct {
	// Limit is the most items, Offset how many places pages before had.
	Limit, Offset int
	// Pins are the places of this list, as Plan.Pins gives them; their items
	// are not among the candidates.
	Pins []Place
	// Likeness may be nil: all items are unlike then.
	Likeness Likeness
	// Notes may be nil.
	Notes *Notes
}

// Scratch is the memory of Arrange; its zero value is ready.
type Scratch struct {
	buried   []bool
	used     []bool
	promoted []*frame.Selection
	quotas   []quota
	likes    []float32
	cosines  []float32
	// pin and value are of one item.
	pin, value [1]uint32
	// low and high are the range of the candidates' scores, lambda is the share of
	// likeness in the choice; 0 where no rule asks for it.
	low, high, lambda float64
	// first is the first candidate that is not used.
	first int
	out   frame.Frame
}

// widest is how far down the candidates diversity looks for each place, in
// pages.
const widest = 4

// Arrange makes the page out of a frame whose candidates stand best first: it
// leaves the page in the frame, in order. Candidates that a cap or a quota
// holds back are left out; buried ones come after all others.
func (p *Plan) Arrange(f *frame.Frame, page Page, s *Scratch) {
	p.hold(f, page.Notes)
	p.bury(f, s)
	s.used = append(s.used[:0], make([]bool, f.Len())...)
	pins := page.Pins
	for len(pins) > 0 && pins[0].Slot <= page.Offset {
		pins = pins[1:]
	}
	p.prepare(f, page, s)
	s.countPins(pins, page.Offset+page.Limit)
	out := &s.out
	out.Items, out.Scores, out.Mask = out.Items[:0], out.Scores[:0], out.Mask[:0]
	for out.Len() < page.Limit {
		if len(pins) > 0 && pins[0].Slot == page.Offset+out.Len()+1 {
			out.Add(pins[0].Item, p.pinned(f, pins[0], page.Notes))
			pins = pins[1:]
			continue
		}
		j := p.next(f, page, s)
		if j < 0 {
			break
		}
		p.take(f, j, page, s)
	}
	// Where the candidates end before a pin's place it stands at the end.
	for len(pins) > 0 && out.Len() < page.Limit && pins[0].Slot <= page.Offset+page.Limit {
		out.Add(pins[0].Item, p.pinned(f, pins[0], page.Notes))
		pins = pins[1:]
	}
	f.Items, out.Items = out.Items, f.Items
	f.Scores, out.Scores = out.Scores, f.Scores
	f.Mask, out.Mask = out.Mask, f.Mask
}

// Rest puts what is pinned to later places at the end of a page for which there
// is nothing else: the place will not come.
func (p *Plan) Rest(f *frame.Frame, page Page) {
	if p == nil {
		return
	}
	for _, pin := range page.Pins {
		if f.Len() < page.Limit && pin.Slot > page.Offset+page.Limit {
			f.Add(pin.Item, p.pinned(f, pin, page.Notes))
		}
	}
}

// pinned is the score that a pinned item shows: 0, for it was not compared.
func (p *Plan) pinned(f *frame.Frame, pin Place, notes *Notes) float32 {
	if notes != nil {
		for _, s := range p.of(Pin) {
			if item, _ := p.shop.ItemCode(s.ItemID); item == pin.Item && s.in(f.Now) {
				notes.add(pin.Item, s, 0, false)
				break
			}
		}
	}
	return 0
}

// hold takes out what the visitor has been shown as often as caps allow.
func (p *Plan) hold(f *frame.Frame, notes *Notes) {
	for _, s := range p.of(Cap) {
		if !s.in(f.Now) || f.User == frame.NoUser {
			continue
		}
		var selection *frame.Selection
		if s.filter != nil {
			selection = s.filter.Selection()
		}
		kept := 0
		for j, item := range f.Items {
			if (selection == nil || selection.Has(item)) && p.shown.Count(f.User, item, f.Now, s.span) >= s.Times {
				notes.add(item, s, 0, true)
				continue
			}
			f.Items[kept], f.Scores[kept], f.Mask[kept] = item, f.Scores[j], f.Mask[j]
			kept++
		}
		f.Items, f.Scores, f.Mask = f.Items[:kept], f.Scores[:kept], f.Mask[:kept]
	}
}

// bury puts the buried candidates behind the others, both as they stood.
func (p *Plan) bury(f *frame.Frame, s *Scratch) {
	any := false
	s.buried = append(s.buried[:0], make([]bool, f.Len())...)
	p.Each(Bury, f.Now, func(filter frame.Filter) {
		selection := filter.Selection()
		for j, item := range f.Items {
			if selection.Has(item) {
				s.buried[j], any = true, true
			}
		}
	})
	if !any {
		return
	}
	out := &s.out
	out.Items, out.Scores, out.Mask = out.Items[:0], out.Scores[:0], out.Mask[:0]
	for _, buried := range []bool{false, true} {
		for j := range f.Items {
			if s.buried[j] == buried {
				out.Add(f.Items[j], f.Scores[j])
			}
		}
	}
	slices.SortFunc(s.buried, func(a, b bool) int {
		switch {
		case a == b:
			return 0
		case b:
			return -1
		}
		return 1
	})
	f.Items, out.Items = out.Items, f.Items
	f.Scores, out.Scores = out.Scores, f.Scores
	f.Mask, out.Mask = out.Mask, f.Mask
}

// prepare looks up what the page's rules ask for of every candidate.
func (p *Plan) prepare(f *frame.Frame, page Page, s *Scratch) {
	s.promoted, s.first = s.promoted[:0], 0
	for _, st := range p.of(Promote) {
		var selection *frame.Selection
		if st.in(f.Now) {
			selection = st.filter.Selection()
		}
		s.promoted = append(s.promoted, selection)
	}
	n := 0
	for _, st := range p.of(Quota) {
		column := p.shop.Column(frame.ItemScope, st.Attribute)
		if !st.in(f.Now) || column == nil {
			continue
		}
		if n == len(s.quotas) {
			s.quotas = append(s.quotas, quota{})
		}
		s.quotas[n].begin(st, column, f.Items, page.Limit)
		n++
	}
	s.quotas = s.quotas[:n]
	if s.lambda = p.diversity(f.Now); s.lambda != 0 && f.Len() > 0 {
		s.low, s.high = scoreRange(f)
		s.likes = append(s.likes[:0], make([]float32, f.Len())...)
	}
}

// countPins counts what is pinned to places up to the last one of the page: its
// place is sure, so the quotas have to leave room for it.
func (s *Scratch) countPins(pins []Place, last int) {
	if len(s.quotas) == 0 {
		return
	}
	for _, pin := range pins {
		if pin.Slot > last {
			return
		}
		for k := range s.quotas {
			q := &s.quotas[k]
			s.pin[0] = pin.Item
			q.column.Gather(s.value[:], s.pin[:])
			q.count(s.value[0])
		}
	}
}

// next chooses the candidate for the next place: a promoted one where their
// share is behind, else the one whose score, less what diversity takes for
// likeness, is best. -1 means that none is left.
func (p *Plan) next(f *frame.Frame, page Page, s *Scratch) int {
	place := s.out.Len() + 1
	for r, selection := range s.promoted {
		if selection == nil {
			continue
		}
		have := 0
		for _, item := range s.out.Items {
			if selection.Has(item) {
				have++
			}
		}
		rule := p.of(Promote)[r]
		if float64(have) >= math.Floor(rule.Percent/100*float64(place)) {
			continue
		}
		for j, item := range f.Items {
			if !s.used[j] && !s.buried[j] && selection.Has(item) && s.within(j) == nil {
				page.Notes.add(item, rule, 0, false)
				return j
			}
		}
	}
	lambda := s.lambda
	best, bestValue, looked := -1, math.Inf(-1), 0
	for s.first < len(s.used) && s.used[s.first] {
		s.first++
	}
	for j := s.first; j < len(f.Items); j++ {
		if s.used[j] {
			continue
		}
		if st := s.within(j); st != nil {
			s.used[j] = true
			page.Notes.add(f.Items[j], st, 0, true)
			continue
		}
		if best >= 0 && s.buried[j] != s.buried[best] {
			break
		}
		if lambda == 0 {
			return j
		}
		value := (1-lambda)*(float64(f.Scores[j])-s.low)/(s.high-s.low) - lambda*float64(s.likes[j])
		if value > bestValue {
			best, bestValue = j, value
		}
		if looked++; looked >= widest*page.Limit {
			break
		}
	}
	return best
}

// diversity is the share of likeness in the choice; 0 where no rule asks.
func (p *Plan) diversity(now int64) float64 {
	for _, st := range p.of(Diversity) {
		if st.in(now) {
			return st.Strength
		}
	}
	return 0
}

// scoreRange are the lowest and the highest score, never equal.
func scoreRange(f *frame.Frame) (low, high float64) {
	low, high = float64(slices.Min(f.Scores)), float64(slices.Max(f.Scores))
	if !(high-low > 0) || math.IsInf(high-low, 0) {
		return low, low + 1
	}
	return low, high
}

// within is the quota that is used up for a candidate, nil where there is room.
func (s *Scratch) within(j int) *step {
	for k := range s.quotas {
		if s.quotas[k].used(j) {
			return s.quotas[k].step
		}
	}
	return nil
}

// take puts candidate j on the page and tells quotas and diversity.
func (p *Plan) take(f *frame.Frame, j int, page Page, s *Scratch) {
	s.used[j] = true
	s.out.Add(f.Items[j], f.Scores[j])
	for k := range s.quotas {
		s.quotas[k].count(s.quotas[k].values[j])
	}
	if page.Likeness == nil || s.lambda == 0 {
		return
	}
	s.cosines = slices.Grow(s.cosines[:0], f.Len())[:f.Len()]
	page.Likeness.Cosines(f.Items[j], f.Items, s.cosines)
	for k, like := range s.cosines {
		s.likes[k] = max(s.likes[k], like)
	}
}
