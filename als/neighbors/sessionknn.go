package neighbors

import (
	"errors"
	"fmt"
	"math"
)

// Defaults of the session neighbours.
const (
	DefaultRecent     = 1000
	DefaultNeighbors  = 500
	DefaultQueryDecay = 1.5
	DefaultNearDecay  = 2.0
	DefaultBefore     = 0.7
	DefaultLength     = 0.25
	DefaultRarity     = 0.5
)

// Limits that keep a query's work bounded whatever the sessions look like.
const (
	maxQuery = 128 // newest items of the history that count
	maxReach = 256 // places from the shared item that are looked at
	// faint is the factor of a place, beside the 1 of the nearest, that changes
	// no list any more. Where sessions are whole histories, most places lie
	// beyond it: they are not looked at, and items of the history beyond it only
	// as long as fewer than Neighbors sessions have been found.
	faint = 1e-4
)

// KNNOptions say how sessions answer; see SessionKNN for the formula. The zero
// value means the documented defaults, which lie on the plateau of validation
// slices of a shop's sessions and of users' histories (internal/quality).
type KNNOptions struct {
	// Recent is how many of the newest sessions of every shared item are
	// looked at; 0 is DefaultRecent.
	Recent int
	// Neighbors is how many sessions answer; 0 is DefaultNeighbors.
	Neighbors int
	// QueryDecay and NearDecay are scales of places; 0 is DefaultQueryDecay
	// and DefaultNearDecay.
	QueryDecay, NearDecay float64
	// Before is what items count that stand before the shared one; nil is
	// DefaultBefore.
	Before *float64
	// Length is the power of a session's length that divides its weight, 0.5
	// being the cosine; nil is DefaultLength.
	Length *float64
	// Rarity is the power of an item's number of sessions that divides its
	// weight: what few sessions hold says more. nil is DefaultRarity.
	Rarity *float64
	// Age is the scale of the decay by age, in sessions; 0 is none.
	Age float64
}

// SessionKNN answers histories from past sessions that are like them, in the
// way of STAN (Garg et al. 2019). A session S that shares items with a history
// weighs
//
//	w(S) = sum over shared items i  exp(-places(i, end of history) / QueryDecay) / (5 + sessions with i)^Rarity
//	       times  exp(-(sessions newer than S) / Age) / |S|^Length
//
// Of the Recent newest sessions of every shared item the Neighbors heaviest
// give to each of their items, with a the shared item that stands last in the
// history,
//
//	w(S) * exp(-places(item, a) / NearDecay)   times Before when the item stands before a
//
// Items of the history are scored like others: repeats are a fifth of the
// targets in some shops. A caller who does not want them excludes them. It is
// safe for concurrent use. Sessions beyond what the index keeps per item do not
// count, and places whose factor is below a ten-thousandth are passed over.
type SessionKNN struct {
	index  *Sessions
	opt    KNNOptions
	before float32
	query  [maxQuery]float32 // exp(-n / QueryDecay)
	near   []float32         // exp(-n / NearDecay) down to faint, at most maxReach
	weight []float32         // the part of w(S) that no history changes
	rarity []float32         // by item: (5 + sessions with it)^-Rarity
}

// sessionScratch is the working memory of a session query.
type sessionScratch struct {
	weight   Scores // by session
	position Scores // by item: where it stands in the history
	keys     []uint64
}

// rarityPrior is added to an item's number of sessions.
const rarityPrior = 5

// NewSessionKNN prepares the index for queries.
func NewSessionKNN(index *Sessions, opt KNNOptions) (*SessionKNN, error) {
	setDefault(&opt.Recent, DefaultRecent)
	setDefault(&opt.Neighbors, DefaultNeighbors)
	setDefault(&opt.QueryDecay, DefaultQueryDecay)
	setDefault(&opt.NearDecay, DefaultNearDecay)
	k := &SessionKNN{
		index: index, opt: opt,
		before: float32(valueOr(opt.Before, DefaultBefore)),
	}
	length, rarity := valueOr(opt.Length, DefaultLength), valueOr(opt.Rarity, DefaultRarity)
	if err := k.check(length, rarity); err != nil {
		return nil, fmt.Errorf("prepare session neighbours: %w", err)
	}
	for n := range k.query {
		k.query[n] = float32(math.Exp(-float64(n) / opt.QueryDecay))
	}
	for n := 0; n < maxReach && (n == 0 || k.near[n-1] >= faint); n++ {
		k.near = append(k.near, float32(math.Exp(-float64(n)/opt.NearDecay)))
	}
	k.weight = make([]float32, index.Len())
	for n := range k.weight {
		weight := math.Pow(float64(index.Start[n+1]-index.Start[n]), -length)
		if opt.Age > 0 {
			weight *= math.Exp(-float64(len(k.weight)-1-n) / opt.Age)
		}
		k.weight[n] = float32(weight)
	}
	k.rarity = make([]float32, index.NumItems())
	for item := range k.rarity {
		held := index.holding(uint32(item), math.MaxInt)
		k.rarity[item] = float32(math.Pow(float64(len(held)+rarityPrior), -rarity))
	}
	return k, nil
}

func (k *SessionKNN) check(length, rarity float64) error {
	var faults []error
	for _, f := range []struct {
		name          string
		value, lo, hi float64
	}{
		{"recent", float64(k.opt.Recent), 1, math.MaxInt32},
		{"neighbors", float64(k.opt.Neighbors), 1, math.MaxInt32},
		{"query decay", k.opt.QueryDecay, 1e-3, 1e6},
		{"near decay", k.opt.NearDecay, 1e-3, 1e6},
		{"before", float64(k.before), 0, 1},
		{"length", length, 0, 2},
		{"rarity", rarity, 0, 2},
		{"age", k.opt.Age, 0, 1e12},
	} {
		if !(f.value >= f.lo && f.value <= f.hi) {
			faults = append(faults, fmt.Errorf("%s %v is not within %v..%v", f.name, f.value, f.lo, f.hi))
		}
	}
	return errors.Join(faults...)
}

func valueOr(v *float64, def float64) float64 {
	if v == nil {
		return def
	}
	return *v
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Score implements Source.
func (k *SessionKNN) Score(history []uint32, out *Scores, s *Scratch) {
	w := &s.sessions
	k.overlap(history[max(len(history)-maxQuery, 0):], w)
	k.choose(w)
	for _, key := range w.keys {
		weight, session := decodeKey(key)
		k.give(k.index.At(int(^session)), weight, w, out)
	}
}

// overlap weighs the sessions that share items with the history.
func (k *SessionKNN) overlap(history []uint32, w *sessionScratch) {
	w.weight.Reset(k.index.Len())
	w.position.Reset(k.index.NumItems())
	for n := len(history) - 1; n >= 0; n-- {
		item := history[n]
		place := k.query[len(history)-1-n]
		if place < faint && len(w.weight.touched) >= k.opt.Neighbors {
			break
		}
		if _, known := w.position.Get(item); known {
			continue // an earlier place of the same item
		}
		if int64(item) >= int64(len(k.rarity)) {
			continue
		}
		w.position.Add(item, float32(n))
		weight := place * k.rarity[item]
		for _, session := range k.index.holding(item, k.opt.Recent) {
			w.weight.Add(session, weight)
		}
	}
}

// choose leaves the heaviest sessions in keys, of equal ones the newest: a key
// holds the complement of a session, so that newer ones sort first.
func (k *SessionKNN) choose(w *sessionScratch) {
	w.keys = w.keys[:0]
	for _, session := range w.weight.touched {
		weight := w.weight.cells[session].sum * k.weight[session]
		w.keys = append(w.keys, encodeKey(weight, ^session))
	}
	w.keys = smallest(w.keys, k.opt.Neighbors)
}

// give adds what one session says about its items.
func (k *SessionKNN) give(items []uint32, weight float32, w *sessionScratch, out *Scores) {
	shared, best := 0, float32(-1)
	for n, item := range items {
		if p, ok := w.position.Get(item); ok && p >= best {
			shared, best = n, p
		}
	}
	reach := len(k.near)
	first := max(shared-reach+1, 0)
	for n, item := range items[first:shared] {
		out.Add(item, k.before*weight*k.near[shared-first-n])
	}
	for n, item := range items[shared:min(shared+reach, len(items))] {
		out.Add(item, weight*k.near[n])
	}
}
