package neighbors

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"vitrine/als/neighbors/overlap"
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
// of those items i of which S is among the Recent newest sessions. The
// Neighbors heaviest give to each of their items, with a the one of these i that
// stands last in the history,
//
//	w(S) * exp(-places(item, a) / NearDecay)   times Before when the item stands before a
//
// Items of the history are scored like others: repeats are a fifth of the
// targets in some shops. A caller who does not want them excludes them. It is
// safe for concurrent use. Sessions beyond what the index keeps per item do not
// count, and places whose factor is below a ten-thousandth are passed over.
type SessionKNN struct {
	index *Sessions
	opt   KNNOptions
	query [maxQuery]float32 // exp(-n / QueryDecay)
	// around are the factors of places, exp(-|n| / NearDecay) for n from -reach+1
	// to reach-1, down to faint and at most maxReach of each; Before times that
	// for n < 0.
	around []float32
	reach  uint32
	starts bitmap // of the places of index.Items, and one behind them
	// shares lie beside index.Session, which is read from end to end: where in
	// index.Items the item stands last in the session, and the part of w(S) that no
	// history changes.
	shares []overlap.Share
	rarity []float32 // by item: (5 + sessions with it)^-Rarity
}

// sessionScratch is the working memory of a session query.
type sessionScratch struct {
	met    overlap.Set
	chosen []overlap.Share
	near   []neighbor
	read   uint32 // makes something of what is read ahead
}

// neighbor is a session that answers: places first to end around at.
type neighbor struct {
	first, end uint32
	// near is the first place's factor in SessionKNN.around.
	near   uint32
	item   uint32 // the shared one, read ahead
	weight float32
}

// rarityPrior is added to an item's number of sessions.
const rarityPrior = 5

// NewSessionKNN prepares the index for queries.
func NewSessionKNN(index *Sessions, opt KNNOptions) (*SessionKNN, error) {
	setDefault(&opt.Recent, DefaultRecent)
	setDefault(&opt.Neighbors, DefaultNeighbors)
	setDefault(&opt.QueryDecay, DefaultQueryDecay)
	setDefault(&opt.NearDecay, DefaultNearDecay)
	k := &SessionKNN{index: index, opt: opt}
	before := valueOr(opt.Before, DefaultBefore)
	length, rarity := valueOr(opt.Length, DefaultLength), valueOr(opt.Rarity, DefaultRarity)
	if err := k.check(before, length, rarity); err != nil {
		return nil, fmt.Errorf("prepare session neighbours: %w", err)
	}
	for n := range k.query {
		k.query[n] = float32(math.Exp(-float64(n) / opt.QueryDecay))
	}
	k.reach = 1
	for k.reach < maxReach && math.Exp(-float64(k.reach-1)/opt.NearDecay) >= faint {
		k.reach++
	}
	for n := 1 - int(k.reach); n < int(k.reach); n++ {
		factor := float32(math.Exp(-math.Abs(float64(n)) / opt.NearDecay))
		if n < 0 {
			factor *= float32(before)
		}
		k.around = append(k.around, factor)
	}
	if len(index.Items) > math.MaxUint32 {
		return nil, errors.New("prepare session neighbours: more than 2^32 places")
	}
	weights := make([]float32, index.Len())
	for n := range weights {
		size := index.Start[n+1] - index.Start[n]
		if size == 0 {
			continue // only an index from elsewhere has it listed
		}
		weight := math.Pow(float64(size), -length)
		if opt.Age > 0 {
			weight *= math.Exp(-float64(index.Len()-1-n) / opt.Age)
		}
		weights[n] = float32(weight)
	}
	if len(index.Items) == 0 {
		return k, nil // nothing to find, whatever the postings say
	}
	k.shares = index.shares(weights)
	k.starts = sequenceStarts(&index.Sequences)
	k.rarity = make([]float32, index.NumItems())
	for item := range k.rarity {
		held := index.holding(uint32(item), math.MaxInt)
		k.rarity[item] = float32(math.Pow(float64(len(held)+rarityPrior), -rarity))
	}
	return k, nil
}

func (k *SessionKNN) check(before, length, rarity float64) error {
	var faults []error
	for _, f := range []struct {
		name          string
		value, lo, hi float64
	}{
		{"recent", float64(k.opt.Recent), 1, math.MaxInt32},
		{"neighbors", float64(k.opt.Neighbors), 1, math.MaxInt32},
		{"query decay", k.opt.QueryDecay, 1e-3, 1e6},
		{"near decay", k.opt.NearDecay, 1e-3, 1e6},
		{"before", before, 0, 1},
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
	w.chosen = w.met.Heaviest(k.opt.Neighbors, w.chosen)
	places := k.find(w)
	out.addNear(k.index.Items, w.near, k.around, places)
}

// overlap weighs the sessions that share items with the history.
func (k *SessionKNN) overlap(history []uint32, w *sessionScratch) {
	w.met.Reset(k.postings(history, w))
	for n := len(history) - 1; n >= 0; n-- {
		item := history[n]
		place := k.query[len(history)-1-n]
		if place < faint && w.met.Len() >= k.opt.Neighbors {
			break
		}
		if int64(item) >= int64(len(k.rarity)) || slices.Contains(history[n+1:], item) {
			continue // none of ours, or an earlier place of the same item
		}
		list := k.index.holding(item, k.opt.Recent)
		end := k.index.Posting[item+1]
		w.met.Add(list, k.shares[end-int64(len(list)):end], place*k.rarity[item])
	}
}

// postings is how many of them overlap reads at most. It reads the first of each
// item: so many walks to memory that do not wait for each other cost little more
// than one.
func (k *SessionKNN) postings(history []uint32, w *sessionScratch) int {
	total := 0
	for n := len(history) - 1; n >= 0; n-- {
		if k.query[len(history)-1-n] < faint {
			return max(total, k.opt.Neighbors+k.opt.Recent)
		}
		item := history[n]
		list := k.index.holding(item, k.opt.Recent)
		if total += len(list); len(list) > 0 && len(k.shares) > 0 {
			w.read += list[0] + k.shares[k.index.Posting[item+1]-int64(len(list))].At
		}
	}
	return total
}

// find looks up where the items of the chosen sessions lie, and counts them. It
// first reads an item of each: so many walks to memory that neither wait for
// each other nor for a branch cost little more than one.
func (k *SessionKNN) find(w *sessionScratch) (places int) {
	w.near = slices.Grow(w.near[:0], len(w.chosen))[:len(w.chosen)]
	for n, c := range w.chosen {
		w.near[n] = neighbor{item: k.index.Items[c.At], weight: c.Weight}
	}
	for n, c := range w.chosen {
		v := &w.near[n]
		v.first, v.end = k.window(c.At)
		v.near = v.first + k.reach - 1 - c.At
		places += int(v.end - v.first)
	}
	return places
}

// window returns the places around one that are of the same session and near
// enough to count: from first to before end.
func (k *SessionKNN) window(at uint32) (first, end uint32) {
	first, end = max(at+1, k.reach)-k.reach, at+k.reach
	word, last := k.starts[at>>6]<<(63-at&63), at // the last bit is that of the place last
	for word == 0 && last&^63 > first {
		last = last&^63 - 1
		word = k.starts[last>>6]
	}
	if word != 0 {
		first = max(first, last-uint32(bits.LeadingZeros64(word)))
	}
	next := at + 1
	word = k.starts[next>>6] >> (next & 63) // the first bit is that of the place next
	for word == 0 && next|63 < end {
		next = next | 63 + 1
		word = k.starts[next>>6]
	}
	if word != 0 {
		end = min(end, next+uint32(bits.TrailingZeros64(word)))
	}
	return first, end
}
