// Package signal is the one place where events become weighted interactions:
// type weights, values, decay with age, repeats, removals and the per-user
// cap. Training (in its child process) and fold-in (in the request) both call
// it, so an unchanged user gets the same weights in both.
//
// It must not import anything of this module but bridge/event: it knows no
// catalog, no profile and no model.
package signal

import (
	"math"
	"sync"
	"time"

	"vitrine/bridge/event"
)

// Defaults of a zero Config.
const (
	DefaultHalfLife  = 90 * 24 * time.Hour
	DefaultMaxItems  = 500
	DefaultMaxEvents = 4096
	DefaultAlpha     = 1.0
)

// Interaction is one event of one user in compact form (24 bytes).
type Interaction struct {
	// Time is Unix milliseconds.
	Time int64
	// Value is the event's amount, NaN when it had none.
	Value float32
	// Item is a code: the catalog's in the daemon, a dense row in training.
	Item uint32
	// Type is the code that Signal.TypeCode gives.
	Type uint8
	// Session tells the sessions of training data apart, 0 where it is not
	// known. A profile does not keep it: there the time alone says where a
	// session ends.
	Session uint16
	// ID is a hash of the event's id, 0 when it had none. With everything else
	// equal it tells a resent event from a repeated one.
	ID uint32
}

// Weighted is an item with the weight > 0 that one user's history gives it.
type Weighted struct {
	Item   uint32
	Weight float32
}

// Signal turns events into weights. It never changes after New and is safe
// for concurrent use.
type Signal struct {
	types map[string]uint8
	// names and weights are indexed by type code.
	names     []string
	weights   []float64
	decay     float64 // half-lives per millisecond
	halfLife  time.Duration
	alpha     float64
	measure   Measure
	maxItems  int
	maxEvents int
	scratch   sync.Pool // of *scratch
}

// Known says whether events of type t are taken at all.
func (s *Signal) Known(t string) bool {
	_, ok := s.types[t]
	return ok
}

// TypeCode is the code of type t. Codes are the same in every Signal of the
// same Config, so daemon and training child agree, but they are not for disk:
// a further configured type may shift them.
func (s *Signal) TypeCode(t string) (uint8, bool) {
	c, ok := s.types[t]
	return c, ok
}

// TypeName is the type that has this code, empty when none has.
func (s *Signal) TypeName(code uint8) string {
	if int(code) >= len(s.names) {
		return ""
	}
	return s.names[code]
}

// Enters says whether events of this type belong into a user's history.
// Impressions and other types without weight do not: they would only push
// real interactions over the cap. Whoever builds a history, incrementally or
// in one go, must leave them out before Trim.
func (s *Signal) Enters(code uint8) bool {
	return int(code) < len(s.weights) && (code == removeCode || s.weights[code] > 0)
}

// HalfLife is the age at which an event counts half.
func (s *Signal) HalfLife() time.Duration { return s.halfLife }

// MaxItems is the most distinct items that Trim leaves.
func (s *Signal) MaxItems() int { return s.maxItems }

// MaxEvents is the most events that Trim leaves.
func (s *Signal) MaxEvents() int { return s.maxEvents }

// View is the interaction of an item that a session shows to have been looked
// at, without an event having said so.
func (s *Signal) View(item uint32, now int64) Interaction {
	return Interaction{Time: now, Value: noValue(), Item: item, Type: viewCode}
}

// Interaction is the compact form of an event on the item with this code; ok
// is false when the type is unknown or does not enter the history.
func (s *Signal) Interaction(e *event.Event, item uint32) (in Interaction, ok bool) {
	code, known := s.types[e.Type]
	if !known || !s.Enters(code) {
		return Interaction{}, false
	}
	return Interaction{Time: e.Time, Value: Amount(e.Value, e.HasValue), Item: item, Type: code, ID: idHash(e.EventID)}, true
}

// Same says whether two interactions of one user are one event, sent twice.
func (in *Interaction) Same(other *Interaction) bool {
	return in.ID != 0 && in.ID == other.ID && in.Time == other.Time && in.Item == other.Item && in.Type == other.Type &&
		math.Float32bits(in.Value) == math.Float32bits(other.Value)
}

// SessionHash is 16 bits of FNV-1a, 0 for no session: enough to tell a user's
// sessions apart that follow each other.
func SessionHash(id string) uint16 {
	if id == "" {
		return 0
	}
	h := fnv1a(id)
	return max(uint16(h>>16^h), 1)
}

// idHash is FNV-1a, never 0 for an id.
func idHash(id string) uint32 {
	if id == "" {
		return 0
	}
	return max(fnv1a(id), 1)
}

// fnv1a is the 32 bit hash of Fowler, Noll and Vo; hash/fnv would allocate.
func fnv1a(text string) uint32 {
	h := uint32(2166136261)
	for i := range len(text) {
		h = (h ^ uint32(text[i])) * 16777619
	}
	return h
}

// Amount is the Value of an Interaction: NaN when there is none, and bounded
// so that a huge float64 does not become an infinite weight.
func Amount(value float64, has bool) float32 {
	switch {
	case !has || math.IsNaN(value):
		return noValue()
	case value > math.MaxFloat32:
		return math.MaxFloat32
	case value < 0:
		return 0
	}
	return float32(value)
}

func noValue() float32 { return float32(math.NaN()) }

// Strength is what one event alone adds to its item's sum before decay: the
// weight of its type, times log2(1+value) where a value is given. A rating
// counts by its value; one without a value says nothing, and so does remove.
func (s *Signal) Strength(in *Interaction) float64 {
	if int(in.Type) >= len(s.weights) {
		return 0
	}
	w, v := s.weights[in.Type], float64(in.Value)
	switch {
	case in.Type == ratingCode:
		if v != v {
			return 0
		}
		return w * min(v, maxRating)
	case v == v && w != 0:
		return w * math.Log2(1+v)
	}
	return w
}

// Decay is the factor that an age in milliseconds takes from an event's
// strength; an event from the future has age 0.
func (s *Signal) Decay(age int64) float64 {
	if age <= 0 {
		return 1
	}
	return math.Exp2(-float64(age) * s.decay)
}

// Trim returns the part of a history that counts. h must be sorted by Time,
// equal times in log order, and hold only types that enter.
//
// The result is the longest suffix with at most MaxItems distinct items and
// at most MaxEvents events. A suffix, rather than all events of the newest
// items, makes the cap stable: once an event has fallen out no later one can
// bring it back, so a history that is trimmed after every event equals the
// one that is trimmed once at the end, provided that an event older than a
// dropped one is dropped too.
func (s *Signal) Trim(h []Interaction) []Interaction {
	if len(h) > s.maxEvents {
		h = h[len(h)-s.maxEvents:]
	}
	if len(h) <= s.maxItems {
		return h
	}
	sc := s.getScratch()
	defer s.scratch.Put(sc)
	sc.set.reset(s.maxItems + 1)
	for j := len(h) - 1; j >= 0; j-- {
		slot, fresh := sc.set.slot(h[j].Item)
		if fresh && int(slot) == s.maxItems {
			return h[j+1:]
		}
	}
	return h
}

// Weigh appends the weight of every item in h to dst[:0], sorted by item.
// h must be sorted and trimmed as Trim says; now is the time that ages count
// from, and an event after it has age 0.
//
// An item's sum is that of Strength * 2^(-age/half-life) over its events. A
// remove without a value takes the sum of that user and item back to zero; a
// remove of value v scales it by max(0, 1 - v/amount), amount being the
// values of the earlier events of the item that had one (ratings apart) less
// what was removed before; where no earlier event had a value it takes all,
// and a remove of value 0 takes nothing.
// The confidence is ln(1 + Alpha*sum/8), the sum counted in fresh purchases at
// their default weight; a logarithm, so that bots and heavy buyers do not own
// the model. Items whose confidence is next to nothing are left out.
//
// By the other measures the weight is a count of events, from which a remove
// takes its share alike, or the newest rating.
func (s *Signal) Weigh(h []Interaction, now int64, dst []Weighted) []Weighted {
	dst = dst[:0]
	if len(h) == 0 {
		return dst
	}
	sc := s.getScratch()
	defer s.scratch.Put(sc)
	sc.set.reset(len(h))
	sc.sums = sc.sums[:0]
	for j := range h {
		in := &h[j]
		slot, fresh := sc.set.slot(in.Item)
		if fresh {
			sc.sums = append(sc.sums, sum{})
		}
		s.add(&sc.sums[slot], in, now)
	}
	sc.sortByItem()
	for _, key := range sc.keys {
		if w := s.worth(&sc.sums[uint32(key)]); w > leastWeight {
			dst = append(dst, Weighted{Item: uint32(key >> 32), Weight: float32(w)})
		}
	}
	return dst
}

const (
	// maxRating bounds what one rating says: the widest scale in use is 0 to
	// 100, and one absurd value must not own the popular list.
	maxRating = 100
	// purchaseUnit is what one fresh purchase adds to a sum by default.
	purchaseUnit = 8
	// leastWeight is what a cell must exceed: below it, an interaction of many
	// half-lives ago says nothing, and float32 would soon be 0.
	leastWeight = 1e-6
	// leastRating stands for the rating 0, which is one on some scales, while
	// a cell of weight 0 is none.
	leastRating = 1e-3
)

// rounding is how far a float32 amount may be off: a return of all that was
// bought, in several parts, must end at zero.
const rounding = 1e-6

// sum is what Weigh knows of one item so far.
type sum struct {
	// weight is the decayed sum of strengths, or the count of events.
	weight, amount float64
	// rating is the newest one, 0 without; of the measure Ratings only.
	rating float64
}

// worth is the weight of an item whose events add up to t.
func (s *Signal) worth(t *sum) float64 {
	switch {
	case s.measure == Confidence:
		return math.Log1p(s.alpha * t.weight / purchaseUnit)
	case t.rating > 0:
		return t.rating
	}
	return t.weight
}

func (s *Signal) add(t *sum, in *Interaction, now int64) {
	v := float64(in.Value)
	if in.Type == removeCode {
		switch {
		case v == 0:
		case v < t.amount*(1-rounding):
			t.weight *= 1 - v/t.amount
			t.amount -= v
		default:
			*t = sum{}
		}
		return
	}
	switch {
	case s.measure == Confidence:
		t.weight += s.Strength(in) * s.Decay(now-in.Time)
	case s.measure == Counts || in.Type != ratingCode:
		if s.Enters(in.Type) { // a session's views may not
			t.weight++
		}
	case v == v:
		t.rating = min(max(v, leastRating), maxRating)
	}
	if v == v && in.Type != ratingCode {
		t.amount += v
	}
}

// As is the same signal by another measure.
func (s *Signal) As(m Measure) *Signal {
	return &Signal{
		types: s.types, names: s.names, weights: s.weights, decay: s.decay, halfLife: s.halfLife,
		alpha: s.alpha, measure: orDefault(m, Confidence), maxItems: s.maxItems, maxEvents: s.maxEvents,
	}
}

// Measure is what the weights say.
func (s *Signal) Measure() Measure { return s.measure }
