package admit

import (
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

const (
	// target is a wait that nobody minds.
	target = 5 * time.Millisecond
	// late is more than an answer may take: what has queued up while the machine
	// stood still is worked off, and his own list is worth more to a caller than
	// the last good one as late. With a quarter of a second an overload took
	// longer to be under control.
	late = 150 * time.Millisecond
	// tired is late while a queue stands, for then each that is worked for makes
	// the next ones later: with the network and the answer it makes the 100 ms
	// that this may take.
	tired = 30 * time.Millisecond
	// window is how often it is looked how things stand, and standing for how
	// many windows few may wait less than the target until that is no burst any
	// more: a collection of garbage takes a quarter of the processors for a tenth
	// of a second or two, and what has queued up behind it is worked off.
	window   = 100 * time.Millisecond
	standing = 3
	// few of those who went through the queue.
	few = 0.25
	// over is the share of requests turned away, or answered in brief, below which
	// there is no overload any more.
	over = 0.01
	// side is how many cheap answers there may be for one that is worked for.
	side = 0.5
	// briefPart and cheapPart are what a brief and a cheap answer cost of a whole
	// one. Where a brief one costs as much, because no more than that was asked for,
	// only the way to the share refused is longer.
	briefPart = 0.5
	cheapPart = 0.2
	// aim is the mean wait that is wanted while a queue stands. Above it, what was
	// done in a window is what can be done, and less is let in by what has to be made
	// up for, shorten in which the queue is to be back; below it a wait of nothing
	// lets rise more of the work in.
	aim     = 7 * time.Millisecond
	shorten = 200 * time.Millisecond
	rise    = 0.1
	// nothing is a mean wait of a machine that has time left. After a window of it
	// the work let in is grow times what it was, or at once begin of what could be
	// done of late; else relief at least of the part saved is left.
	nothing = time.Millisecond
	grow    = 1.2
	relief  = 0.5
	// allBusy is the part of the connections from which on, when a request has come
	// on as many in one window, more may wait for one to be free; yield is the part of
	// what can be done that is then left for these, and yields how many times that it
	// may be, a window more each time.
	allBusy = 0.98
	yield   = 0.04
	yields  = 3
	// flood is a mean wait from which on a queue that has come to stand is got rid
	// of first, unless it falls by itself: by a window to less than falls of what
	// it was. drained is the mean wait of one that is gone, drainMost how many
	// windows that may take, and begin with how much of what could be done in a
	// window it goes on.
	flood     = 15 * time.Millisecond
	falls     = 0.7
	drained   = time.Millisecond
	drainMost = 3
	begin     = 0.7
	// surge is how many times as many as of late have to come for a queue that
	// stands already to be got rid of once more.
	surge = 1.4
	// fades is what is left after a window of the most that could be done in one.
	fades = 0.9
	// mostRefused keeps some coming in, or nobody would notice that the load has
	// fallen.
	mostRefused = 0.98
	// memory is the weight of a window in what Share tells and in how many come, and
	// stale is when Share tells nothing any more.
	memory = 0.2
	stale  = time.Second
)

// gone is drains behind them, shortened while all get brief answers before them.
const (
	gone      = -1
	shortened = -2
)

// law decides by the time that requests have waited for a processor. It is
// CoDel's (Nichols and Jacobson, Controlling Queue Delay, 2012) in the form for
// requests (Maurer, Fail at Scale, 2015): what counts is not how long a queue
// is, nor the longest wait in it, but whether the short waits stay above a
// target for an interval. A queue that does not is a burst, and only who is
// late anyway is not worked for; one that does stands, as more comes than can be
// done, and only who waited less than tired is worked for, until next to
// nobody is turned away. Where CoDel looks at the shortest wait this looks at a
// quarter of them, for the scheduler's queues are one for each processor and
// one for all, and who is lucky gets through.
//
// Who has waited, but not behind a crowd, has waited for other programs or while
// this one stood still, and turning him away would help nobody.
//
// The others are answered cheaply. So that the processors have time left for work,
// a part of it is saved while a queue stands: answers are brief, more and more of
// them, and once all are, a share of the requests is refused before it costs
// anything. That part is set once a window by what was done in the last one and by
// how long was waited, and at any time it is so large that the cheap answers are no
// more than side of those that are worked for. To leave out what is dear before
// anybody is turned away is a brownout (Klein et al., Brownout: Building More
// Robust Cloud Applications, 2014).
//
// All times are since one moment. Its methods are safe for concurrent use; of
// two that race one may decide by the state of a moment ago.
type law struct {
	// ends is the end of this window; counts are what happened in it, by Verdict,
	// and waits and short who went through the queue, and in less than the target.
	ends         atomic.Int64
	counts       [4]atomic.Int64
	waits, short atomic.Int64
	// waited is the sum of the waits behind a crowd, before the mean of the last
	// window.
	waited, before atomic.Int64
	// stands counts the windows in which few waits were short; from standing on
	// it stays until next to nobody is turned away.
	stands atomic.Int32
	// drains counts the windows in which nearly all are refused, is shortened in the
	// one before them, and gone once the queue was got rid of, as long as one stands;
	// could is the most that was done in a window, of late, in whole answers, and came
	// the mean of how many came.
	drains      atomic.Int32
	could, came atomic.Int64
	// hidden counts the windows, one after the other, in which no connection was at
	// rest nor the processors.
	hidden atomic.Int32
	// clients are the connections that requests come on, busy those of them on which
	// one has come in this window.
	clients, busy atomic.Int64
	// saved is the part of the work of all requests that is left out; hence briefly
	// is the share of those let in that get brief answers, and refused the share that
	// is not let in. worked is the share of requests which were worked for. All are
	// bits of a float64.
	saved, briefly, refused, worked atomic.Uint64
}

// refuses says whether any requests are refused as they come.
func (l *law) refuses() bool { return l.refused.Load() != 0 }

// turnsAway says whether to refuse one of them.
func (l *law) turnsAway() bool {
	if rand.Float64() >= math.Float64frombits(l.refused.Load()) {
		return false
	}
	l.counts[Refuse].Add(1)
	return true
}

// comes notes that a request has come on a connection.
func (l *law) comes(c *Client) {
	if ends := l.ends.Load(); c.seen != ends {
		c.seen = ends
		l.busy.Add(1)
	}
}

// work is the verdict on a request that is worked for.
func (l *law) work() Verdict {
	v := Work
	if b := l.briefly.Load(); b != 0 && rand.Float64() < math.Float64frombits(b) {
		v = Brief
	}
	l.counts[v].Add(1)
	return v
}

// decide is the verdict on a request that has waited so long in the queue, behind
// a crowd or not.
func (l *law) decide(waited time.Duration, crowd bool) Verdict {
	l.waits.Add(1)
	if waited < target || !crowd {
		l.short.Add(1)
	}
	if crowd {
		l.waited.Add(int64(waited))
	}
	limit := late
	if l.stands.Load() >= standing {
		limit = tired
	}
	if waited > limit && crowd {
		l.counts[Cheap].Add(1)
		return Cheap
	}
	return l.work()
}

// roll ends a window once its time is over.
func (l *law) roll(now time.Duration) {
	ends := l.ends.Load()
	if int64(now) < ends || !l.ends.CompareAndSwap(ends, int64(now+window)) {
		return
	}
	count := func(v Verdict) float64 { return float64(l.counts[v].Swap(0)) }
	work, brief, cheap, refused := count(Work), count(Brief), count(Cheap), count(Refuse)
	waits, short, waited := float64(l.waits.Swap(0)), float64(l.short.Swap(0)), float64(l.waited.Swap(0))
	behind := float64(l.busy.Swap(0)) >= allBusy*float64(max(l.clients.Load(), 1))
	all := work + brief + cheap + refused
	if all == 0 || int64(now) > ends+int64(stale) {
		l.stands.Store(0)
		l.save(0)
		l.worked.Store(math.Float64bits(1))
		return
	}
	stands := l.stands.Load()
	switch {
	case stands >= standing && brief+cheap+refused >= over*all: // it goes on
	case stands < standing && waits > 0 && short < few*waits:
		l.stands.Store(stands + 1)
	default:
		l.stands.Store(0)
	}
	done := work + briefPart*brief + cheapPart*cheap
	saved := l.control(time.Duration(waited/max(waits, 1)), done, all, behind)
	if worked := work + brief; cheap > side*worked {
		saved = max(saved, 1-briefPart*(1-(refused+cheap-side*worked)/all))
	}
	l.save(max(0, saved))
	l.worked.Store(math.Float64bits((1-memory)*math.Float64frombits(l.worked.Load()) + memory*(work+brief)/all))
}

// save leaves a part of the work of all out: by brief answers as far as these go,
// and by refusing others behind that.
func (l *law) save(part float64) {
	part = min(part, 1-briefPart*(1-mostRefused))
	set := func(to *atomic.Uint64, v float64) { to.Store(math.Float64bits(v)) }
	set(&l.saved, part)
	set(&l.briefly, min(1, part/(1-briefPart)))
	set(&l.refused, max(0, 1-(1-part)/briefPart))
}

// control is the part of the work to save by the mean wait of a window and what was
// done in it, in whole answers, of all that came, while a queue stands. A queue
// that is always there says what can be done: what was. So that much is let in, and
// less by what the queue is too long; one that is shorter lets in more, fast where
// nobody waits.
//
// When a stutter has left some waiting where they cannot be seen, which shows by
// that no connection was at rest, less is let in than can be done until one is, the
// less the longer that lasts.
func (l *law) control(mean time.Duration, done, all float64, behind bool) float64 {
	could := max(done, fades*float64(l.could.Load()))
	l.could.Store(int64(could))
	saved := math.Float64frombits(l.saved.Load())
	if part, drains := l.drain(mean, could, all, saved, behind); drains {
		return part
	}
	if !behind || mean < nothing {
		l.hidden.Store(0)
	}
	switch {
	case l.stands.Load() < standing, mean < nothing && saved < over:
		return 0
	case mean < nothing:
		return max(relief*saved, 1-max(grow*(1-saved), begin*could/all))
	case mean < aim && !behind:
		return saved - (1-saved)*rise*float64(aim-mean)/float64(aim)
	}
	// There was always one to work for: what was done is what can be done.
	can := done / all * (1 - float64(mean-aim)/float64(shorten))
	if behind {
		can *= 1 - yield*float64(min(l.hidden.Add(1), yields))
	}
	return 1 - min(can, 1-saved)
}

// drain gets rid of a queue that has come to stand: more waits behind it than can be
// seen. Where a client has no connection free, or a proxy holds requests back, they
// are late before they come, and what is worked for is for nobody; with as much let
// in as can be done the queue stays as it is, and so does what waits behind it. So
// all get brief answers, for a window, which is enough near what can be done. Where
// the queue is long behind that, or many more come as soon as there is room, nearly
// all are refused for a window or two, until nobody waits.
func (l *law) drain(mean time.Duration, could, all, saved float64, behind bool) (part float64, drains bool) {
	const (
		nearlyAll  = 1 // save leaves a few
		allBriefly = 1 - briefPart
	)
	before := time.Duration(l.before.Swap(int64(mean)))
	came, at := float64(l.came.Load()), l.drains.Load()
	if at > 0 {
		l.came.Store(int64(all)) // those, too, who have waited to come
	} else {
		l.came.Store(int64((1-memory)*came + memory*all))
	}
	more := all > surge*came
	rises := mean >= flood && float64(mean) > falls*float64(before) && (at == 0 || more)
	to := func(state int32, part float64) (float64, bool) {
		l.drains.Store(state)
		return part, true
	}
	switch {
	case l.stands.Load() < standing:
		l.drains.Store(0)
	case at > 0 && at < drainMost && mean >= drained:
		return to(at+1, nearlyAll)
	case at > 0:
		return to(gone, 1-begin*could/all)
	case at == shortened && (mean >= flood || behind && more):
		return to(1, nearlyAll)
	case at == shortened:
		l.drains.Store(gone)
	case rises && saved >= allBriefly:
		return to(1, nearlyAll)
	case rises:
		return to(shortened, allBriefly)
	}
	return 0, false
}

// idle tells whether nobody has come for a while.
func (l *law) idle(now time.Duration) bool { return int64(now) > l.ends.Load()+int64(stale) }

// share is the part of requests that were worked for, over the last second or
// so.
func (l *law) share(now time.Duration) float64 {
	if l.idle(now) {
		return 1
	}
	return math.Float64frombits(l.worked.Load())
}
