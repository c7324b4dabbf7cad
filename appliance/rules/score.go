package rules

import (
	"math"

	"vitrine/appliance/frame"
)

// Note is what a rule did to an item.
type Note struct {
	Item uint32
	// Rule is the rule's name, or its action and place.
	Rule   string
	Action string
	// Change is what it added to the score.
	Change float32
	// Dropped says that the item is not in the list because of it.
	Dropped bool
}

// Notes are kept where a request asks why. A nil one keeps nothing.
type Notes struct{ List []Note }

func (n *Notes) add(item uint32, s *step, change float32, dropped bool) {
	if n != nil {
		n.List = append(n.List, Note{item, s.label(), s.Action, change, dropped})
	}
}

// Score changes the scores of a frame by the rules that multiply them, and
// tells whether there was such a rule. A negative score goes up, too, by a
// factor above 1: what is added is |score| * (factor - 1).
func (p *Plan) Score(f *frame.Frame, notes *Notes) (changed bool) {
	if p == nil {
		return false
	}
	for _, s := range p.of(Boost) {
		if s.in(f.Now) {
			selection := s.filter.Selection()
			changed = true
			for j, item := range f.Items {
				if selection.Has(item) {
					scale(f, j, s.Factor-1, s, notes)
				}
			}
		}
	}
	for _, s := range p.of(Freshness) {
		if s.in(f.Now) && s.Strength > 0 {
			changed = true
			for j, item := range f.Items {
				if listed := p.shop.Listed(item); listed > 0 {
					age := float64(max(0, f.Now-listed)) / float64(s.halfLife())
					scale(f, j, s.Strength*math.Exp2(-age), s, notes)
				}
			}
		}
	}
	for _, s := range p.of(Rotate) {
		if s.in(f.Now) {
			changed = true
			for j, item := range f.Items {
				scale(f, j, s.Strength*noise(f.User, item, f.Now/s.span), s, notes)
			}
		}
	}
	return changed
}

// defaultHalfLife is that of a freshness rule without one: 14 days.
const defaultHalfLife = 14 * 24 * 3600 * 1000

func (s *step) halfLife() int64 {
	if s.span == 0 {
		return defaultHalfLife
	}
	return s.span
}

// scale adds share times the size of candidate j's score to it.
func scale(f *frame.Frame, j int, share float64, s *step, notes *Notes) {
	change := float32(math.Abs(float64(f.Scores[j])) * share)
	f.Scores[j] += change
	notes.add(f.Items[j], s, change, false)
}

// noise is a number from -1 to 1, the same for a user and an item throughout
// one period.
func noise(user, item uint32, period int64) float64 {
	x := uint64(user)<<32 | uint64(item)
	return float64(int64(mix(x^mix(uint64(period))))) / (1 << 63)
}

// mix is splitmix64's finalizer.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
