package neighbors

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"vitrine/als/internal/keys"
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
	starts bitmap    // of the places of index.Items, and one behind them
	shares []share   // beside index.Session
	rarity []float32 // by item: (5 + sessions with it)^-Rarity
}

// share is what a query wants to know of a session that holds an item. It lies
// beside the posting, which is read from end to end.
type share struct {
	at     uint32  // where in index.Items the item stands last in the session
	weight float32 // the part of w(S) that no history changes
}

// sessionScratch is the working memory of a session query.
type sessionScratch struct {
	// table has what sessions share with the history, by a hash of the session. It
	// is some times as long as there are postings to read and not as there are
	// sessions, so that it stays in the nearest cache.
	table  []overlap
	shift  int
	met    []meeting // the first n, as they came; what is behind is left from before
	n      int
	keys   []uint64
	order  []uint64
	chosen []neighbor
}

// overlap is what a session shares with a history.
type overlap struct {
	session uint32  // and 1; 0 is nobody
	shared  float32 // the sum of what the shared items weigh
}

// meeting is a session that was found.
type meeting struct {
	share        // of the shared item that is last in the history
	in    uint32 // where in the table it is
}

// neighbor is a session that answers: places first to end around at.
type neighbor struct {
	at, first, end uint32
	// near is the first place's factor in SessionKNN.around.
	near   uint32
	item   uint32 // at at
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
	k.choose(w)
	places := k.find(w)
	out.addNear(k.index.Items, w.chosen, k.around, places)
}

// overlap weighs the sessions that share items with the history.
func (k *SessionKNN) overlap(history []uint32, w *sessionScratch) {
	w.reset(k.postings(history))
	for n := len(history) - 1; n >= 0; n-- {
		item := history[n]
		place := k.query[len(history)-1-n]
		if place < faint && w.n >= k.opt.Neighbors {
			break
		}
		if int64(item) >= int64(len(k.rarity)) || slices.Contains(history[n+1:], item) {
			continue // none of ours, or an earlier place of the same item
		}
		list := k.index.holding(item, k.opt.Recent)
		end := k.index.Posting[item+1]
		w.add(list, k.shares[end-int64(len(list)):end], place*k.rarity[item])
	}
}

// postings is how many of them overlap reads at most.
func (k *SessionKNN) postings(history []uint32) int {
	total := 0
	for n := len(history) - 1; n >= 0; n-- {
		if k.query[len(history)-1-n] < faint {
			return max(total, k.opt.Neighbors+k.opt.Recent)
		}
		total += len(k.index.holding(history[n], k.opt.Recent))
	}
	return total
}

// reset forgets all sessions and makes room for so many.
func (w *sessionScratch) reset(most int) {
	const spare, least = 2, 10
	size := max(bits.Len(uint(spare*most)), least)
	w.shift = 64 - size
	w.table = slices.Grow(w.table[:0], 1<<size)[:1<<size]
	clear(w.table)
	if need := most + 1; len(w.met) < need { // with one to write to that nobody is
		w.met = make([]meeting, need)
	}
	w.n = 0
}

// add adds a weight to sessions, which an item that stands earlier in the
// history than those before shares with it.
func (w *sessionScratch) add(sessions []uint32, shares []share, weight float32) {
	const golden = 0x9e3779b97f4a7c15 // 2^64 by the golden ratio: neighbours part
	table, met, n := w.table, w.met, w.n
	shares = shares[:len(sessions)]
	for j, session := range sessions {
		h := int(uint64(session) * golden >> w.shift)
		there := table[h].session
		for there != 0 && there != session+1 { // few are where somebody else is
			h = (h + 1) & (len(table) - 1)
			there = table[h].session
		}
		table[h].session = session + 1
		table[h].shared += weight
		// Whether the session was there takes no branch: nobody can foretell it.
		met[n] = meeting{shares[j], uint32(h)}
		n += int((uint64(there) - 1) >> 63)
	}
	w.n = n
}

// choose takes the heaviest sessions, of equal ones the newest, in the order in
// which they came. A key holds the complement of a session, so that newer ones
// sort first.
func (k *SessionKNN) choose(w *sessionScratch) {
	w.keys = slices.Grow(w.keys[:0], w.n)[:w.n]
	w.chosen = slices.Grow(w.chosen[:0], w.n+1)[:w.n+1]
	for n := range w.keys {
		m := &w.met[n]
		o := &w.table[m.in]
		w.keys[n] = keys.Of(o.shared*m.weight, ^(o.session - 1))
	}
	w.order = append(w.order[:0], w.keys...)
	_, limit := keys.Best(w.order, k.opt.Neighbors)
	chosen := 0
	for n, key := range w.keys {
		weight, _ := keys.Split(key)
		w.chosen[chosen] = neighbor{at: w.met[n].at, weight: weight}
		_, beyond := bits.Sub64(limit, key, 0)
		chosen += 1 - int(beyond)
	}
	w.chosen = w.chosen[:chosen]
}

// find looks up where the items of the chosen sessions lie, and counts them. It
// first reads an item of each: so many walks to memory that neither wait for
// each other nor for a branch cost little more than one.
func (k *SessionKNN) find(w *sessionScratch) (places int) {
	for n := range w.chosen {
		v := &w.chosen[n]
		v.item = k.index.Items[v.at]
	}
	for n := range w.chosen {
		v := &w.chosen[n]
		v.first, v.end = k.window(v.at)
		v.near = v.first + k.reach - 1 - v.at
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
