package topk

import (
	"math"

	"vitrine/als/internal/f32"
	"vitrine/als/internal/keys"
)

// Goal is how far down the best by lifted scores a list has to go. What is zero
// is not asked for.
type Goal struct {
	// K rows are in the list.
	K int
	// Plain is of how many of the best by plain scores all are in it.
	Plain int
	// Capped rows are in it when of each group no more than Most, 1 or more, are
	// counted. Groups has the group of each position, 0 for a row alone.
	Capped, Most int
	Groups       []uint16
}

// least is the least number of rows that a list has.
func (g *Goal) least() int { return max(g.K, g.Plain, g.Capped) }

const (
	// mostReached bounds the rows that may be in a list.
	mostReached = 4096
	// nearTie is by which part of a score rows may be worse than the last one
	// wanted and are found, too: for whoever multiplies by factors in another
	// order a list then has all that may be best.
	nearTie = 0x1p-20
)

// tally counts towards a goal: lower bounds of scores in a sweep, then scores.
type tally struct {
	Goal
	lift *Lift
	// plain are plain scores, the best ones at least: none below leastPlain.
	plain      []float32
	leastPlain float32
	// best are the lifted scores that count: Most for each group, from its place
	// on, and one for a row alone. Places are one more than where they are.
	best   []float32
	places []uint32
	groups []uint16 // those that have a place
}

// begin forgets what was counted, and takes a goal.
func (t *tally) begin(l *Lift, g Goal) {
	t.lift, t.Goal = l, g
	t.reset()
	if g.Capped > 0 && t.places == nil {
		t.places = make([]uint32, math.MaxUint16+1)
	}
}

func (t *tally) reset() {
	for _, group := range t.groups {
		t.places[group] = 0
	}
	t.plain, t.best, t.groups, t.leastPlain = t.plain[:0], t.best[:0], t.groups[:0], 0
}

// add counts the row at a position by its lifted score, which is above zero, and
// its plain one.
func (t *tally) add(at uint32, lifted, plain float32) {
	if t.Plain > 0 {
		t.addPlain(plain)
	}
	if t.Capped == 0 {
		return
	}
	group := t.Groups[at]
	if group == 0 {
		t.best = append(t.best, lifted)
		return
	}
	place := int(t.places[group])
	if place == 0 {
		place = len(t.best) + 1
		t.groups, t.places[group] = append(t.groups, group), uint32(place)
		for range t.Most {
			t.best = append(t.best, float32(math.Inf(-1)))
		}
	}
	// The worst that counts stands first.
	of := t.best[place-1:][:t.Most]
	if lifted <= of[0] {
		return
	}
	of[0] = lifted
	worst := 0
	for i, score := range of {
		if score < of[worst] {
			worst = i
		}
	}
	of[0], of[worst] = of[worst], of[0]
}

func (t *tally) addPlain(score float32) {
	if score < t.leastPlain {
		return
	}
	if len(t.plain) >= 2*t.Plain+32 {
		t.leastPlain = f32.KthLargest(t.plain, t.Plain, t.leastPlain)
		kept := 0
		for _, v := range t.plain {
			t.plain[kept] = v
			if v >= t.leastPlain {
				kept++
			}
		}
		t.plain = t.plain[:kept]
	}
	t.plain = append(t.plain, score)
}

// reach is a score that all rows reach which the goal wants; no more than least
// where it is out of reach. lifted are the scores of all rows. kth finds the k-th
// largest of numbers, as f32.KthLargest does.
func (t *tally) reach(lifted []float32, least float32, kth func(v []float32, k int, least float32) float32) float32 {
	reach := float32(math.Inf(1))
	if t.Capped > 0 {
		reach = kth(t.best, t.Capped, least)
	}
	if t.Plain > 0 {
		reach = min(reach, kth(t.plain, t.Plain, max(least, t.leastPlain)))
	}
	if t.K > max(t.Capped, t.Plain) { // else there are as many anyway
		reach = min(reach, kth(lifted, t.K, least))
	}
	return reach
}

// holds tells whether all that the goal wants is sure to reach a score.
func (t *tally) holds(lifted []float32, score float32) bool {
	return f32.CountAtLeast(t.best, score) >= t.Capped && f32.CountAtLeast(t.plain, score) >= t.Plain && f32.CountAtLeast(lifted, score) >= t.K
}

// exactly is f32.KthLargest without numbers in between. Least is not negative.
func exactly(v []float32, k int, least float32) float32 {
	found := f32.KthLargest(v, k, least)
	if !(found > least) {
		return found
	}
	// Numbers above zero sort like their bits, and negative ones are far above.
	from, nearest := math.Float32bits(found), uint32(math.MaxUint32)
	for _, score := range v {
		nearest = min(nearest, math.Float32bits(score)-from)
	}
	return math.Float32frombits(from + nearest)
}

// Reach returns the best rows by scores as l counts them, of those above zero, as
// far down as a goal asks for. They come with their plain scores, best first by
// these. It reports false, and returns nothing, where there are not so many, or
// the goal takes too long. The answer reuses dst; hidden and s may be nil.
func (l *Lift) Reach(q []float32, goal Goal, hidden *Mask, dst []Hit, s *Scratch) (hits []Hit, reached bool) {
	if s == nil {
		s = new(Scratch)
	}
	r, ok := l.ix.search(q, hidden, s)
	r.bar, s.from = s.from, Bar{}
	k := goal.least()
	if !ok || k == 0 || k > min(r.end-r.begin, mostReached) {
		return dst[:0], k == 0
	}
	r.lift, r.measure, r.ceilings, r.tiny = l, &l.measure, l.ceilings, l.ix.tiny()*l.most
	r.top.k, r.top.least = k, float32(math.Inf(-1))
	return r.reach(goal, dst)
}

// reach looks for the goal: among the codes, where all rows have them.
func (r *search) reach(goal Goal, dst []Hit) ([]Hit, bool) {
	s, found := r.s, false
	from, end := r.blocks()
	if r.encode() && r.coded(from, end) == from {
		guess := r.bar.at
		if !r.bar.known {
			guess = r.guessFor(goal, from, end)
		}
		r.count(goal)
		found = r.sweepFrom(from, end, guess)
	} else {
		r.count(goal)
		found = r.sweepScored(from, end)
	}
	s.kept.tally = nil
	if !found {
		return dst[:0], false
	}
	return r.reached(dst)
}

// count has candidates counted towards a goal from here on.
func (r *search) count(goal Goal) {
	r.s.tally.begin(r.lift, goal)
	r.s.kept.tally = &r.s.tally
	r.s.kept.reset(r.top.k)
}

// sweepFrom sweeps from a guessed threshold, and again where that was too high.
func (r *search) sweepFrom(from, end int, guess float32) (found bool) {
	kept := &r.s.kept
	if found = r.sweep(from, end, guess); !found {
		return false
	}
	sure := kept.theta
	if sure < guess && r.s.tally.holds(kept.low, guess+r.underflow()) {
		sure = guess // what the last cut found is as low as its way there
	}
	if sure < guess {
		// Those found still tell a threshold.
		r.s.tally.reset()
		kept.reset(r.top.k)
		kept.theta = sure
		found = r.sweep(from, end, sure)
		sure = kept.theta
	}
	r.s.bar = Bar{sure, found && !math.IsInf(float64(sure), -1)}
	return found
}

// guessFor guesses low where caps may leave out most of the best.
func (r *search) guessFor(goal Goal, from, end int) float32 {
	k := r.top.k
	if goal.Capped > 0 {
		r.top.k = min(4*k, (r.end-r.begin)/2)
	}
	guess := r.guess(from, end)
	r.top.k = k
	return guess
}

// sweepScored is sweep by scores in float32.
func (r *search) sweepScored(from, end int) bool {
	s, kept := r.s, &r.s.kept
	for b := from; b < end; b++ {
		if r.top.least = kept.theta; r.done(b) {
			break
		}
		s.scanned += blockRows
		s.at = positionsOf(s.at[:0], b*blockRows, r.shown(b))
		r.bothScores(s.at)
		for i, lifted := range s.dots {
			if lifted > 0 {
				kept.addScored(s.at[i], lifted, s.plain[i])
			}
		}
		if !kept.tidy(0) {
			return false
		}
	}
	kept.cut(0)
	return true
}

// bothScores leaves the lifted scores of the rows at positions in s.dots, NaN
// for those that are not above zero, and the plain ones in s.plain.
func (r *search) bothScores(positions []uint32) {
	r.dots(positions)
	r.s.plain = append(r.s.plain[:0], r.s.dots...)
	r.lifted(positions)
}

// reached returns those of the candidates that the goal wants.
func (r *search) reached(dst []Hit) ([]Hit, bool) {
	s, t := r.s, &r.s.tally
	r.bothScores(s.kept.at)
	t.reset()
	for i, lifted := range s.dots {
		if lifted > 0 {
			t.add(s.kept.at[i], lifted, s.plain[i])
		}
	}
	reach := t.reach(s.dots, 0, exactly)
	if !(reach > 0) {
		return dst[:0], false
	}
	reach = nearly(reach)
	s.keys = s.keys[:0]
	for i, lifted := range s.dots {
		if lifted >= reach {
			s.keys = append(s.keys, keys.Of(s.plain[i], s.rows[i]))
		}
	}
	return hitsOf(s.keys, dst), true
}

// nearly is a little less than a score.
func nearly(score float32) float32 {
	if math.IsInf(float64(score), 0) {
		return score
	}
	return score - float32(math.Abs(float64(score)))*nearTie
}
