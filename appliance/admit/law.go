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
	// over is the share of requests turned away below which there is no overload
	// any more.
	over = 0.01
	// side is how many cheap answers there may be for one that is worked for.
	side = 0.5
	// aim is the mean wait that the share refused is moved towards while a queue
	// stands; rise and damp are the gains, in shares of what is let in, for a wait
	// that is off by, or has changed by, as much; most is how many times that counts at once.
	aim  = 7 * time.Millisecond
	rise = 0.02
	damp = 0.04
	most = 3
	// nothing is a mean wait of a machine that has time left. After a window of it
	// the share let in is grow times what it was, or at once begin of what could be
	// done of late; else relief at least of the share refused is left.
	nothing = time.Millisecond
	grow    = 1.25
	relief  = 0.5
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
	// memory is the weight of a window in what Share tells, and stale is when it
	// tells nothing any more.
	memory = 0.2
	stale  = time.Second
)

// gone is drains behind them.
const gone = -1

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
// The others are answered cheaply. A share of all is refused before it costs
// anything, so that the processors have time left for work: while a queue stands
// a controller moves that share once a window towards where the mean wait is what
// it may be, and at any time it is so large that the cheap answers are no more
// than side of those that are worked for.
//
// All times are since one moment. Its methods are safe for concurrent use; of
// two that race one may decide by the state of a moment ago.
type law struct {
	// ends is the end of this window; counts are what happened in it, by Verdict,
	// and waits and short who went through the queue, and in less than the target.
	ends         atomic.Int64
	counts       [3]atomic.Int64
	waits, short atomic.Int64
	// waited is the sum of the waits behind a crowd, before the mean of the last
	// window.
	waited, before atomic.Int64
	// stands counts the windows in which few waits were short; from standing on
	// it stays until next to nobody is turned away.
	stands atomic.Int32
	// drains counts the windows in which nearly all are refused, and is gone once
	// they were, as long as the queue stands; could is the most that was worked for
	// in a window, of late, and came the mean of how many came.
	drains      atomic.Int32
	could, came atomic.Int64
	// refused is the share to refuse, worked that of requests which were worked
	// for, both as bits of a float64.
	refused, worked atomic.Uint64
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

// free is the verdict on a request that did not have to go through the queue.
func (l *law) free() Verdict {
	l.counts[Work].Add(1)
	return Work
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
	limit, v := late, Work
	if l.stands.Load() >= standing {
		limit = tired
	}
	if waited > limit && crowd {
		v = Cheap
	}
	l.counts[v].Add(1)
	return v
}

// roll ends a window once its time is over.
func (l *law) roll(now time.Duration) {
	ends := l.ends.Load()
	if int64(now) < ends || !l.ends.CompareAndSwap(ends, int64(now+window)) {
		return
	}
	work, cheap, refused := float64(l.counts[Work].Swap(0)), float64(l.counts[Cheap].Swap(0)), float64(l.counts[Refuse].Swap(0))
	waits, short, waited := float64(l.waits.Swap(0)), float64(l.short.Swap(0)), float64(l.waited.Swap(0))
	all := work + cheap + refused
	if all == 0 || int64(now) > ends+int64(stale) {
		l.stands.Store(0)
		l.refused.Store(0)
		l.worked.Store(math.Float64bits(1))
		return
	}
	stands := l.stands.Load()
	switch {
	case stands >= standing && cheap+refused >= over*all: // it goes on
	case stands < standing && waits > 0 && short < few*waits:
		l.stands.Store(stands + 1)
	default:
		l.stands.Store(0)
	}
	share := l.control(time.Duration(waited/max(waits, 1)), work, all)
	if cheap > side*work {
		share = max(share, (refused+cheap-side*work)/all)
	}
	l.refused.Store(math.Float64bits(max(0, min(share, mostRefused))))
	l.worked.Store(math.Float64bits((1-memory)*math.Float64frombits(l.worked.Load()) + memory*work/all))
}

// control is the share to refuse by the mean wait of a window and what was worked
// for in it of all, while a queue stands: it is moved by how far that is off its
// aim and by how it changed, as in PIE (RFC 8033), and falls faster where nobody
// waits. The step is a part of what is let in: with a quarter of it the same share
// of all would be four times as much work, and the queue would swing between none
// and too long a one.
//
// When a queue comes to stand, more waits behind it than can be seen: where a
// client has no connection free, or a proxy holds requests back, they are late
// before they come, and what is worked for is for nobody. With as many let in as
// can be done the queue stays as it is, and so does what waits behind it. So
// nearly all are refused first, for a window or two, until nobody waits.
func (l *law) control(mean time.Duration, work, all float64) float64 {
	before := time.Duration(l.before.Swap(int64(mean)))
	could := max(work, fades*float64(l.could.Load()))
	l.could.Store(int64(could))
	refused := math.Float64frombits(l.refused.Load())
	came, drains := float64(l.came.Load()), l.drains.Load()
	if drains > 0 {
		l.came.Store(int64(all)) // those, too, who have waited to come
	} else {
		l.came.Store(int64((1-memory)*came + memory*all))
	}
	switch {
	case l.stands.Load() < standing:
		l.drains.Store(0)
		return 0
	case drains > 0 && drains < drainMost && mean >= drained:
		l.drains.Store(drains + 1)
		return mostRefused
	case drains > 0:
		l.drains.Store(gone)
		return 1 - begin*could/all
	case mean >= flood && float64(mean) > falls*float64(before) && (drains == 0 || all > surge*came):
		l.drains.Store(1)
		return mostRefused
	case mean < nothing && refused < over:
		return 0
	case mean < nothing:
		return min(max(relief*refused, 1-grow*(1-refused)), max(0, 1-begin*could/all))
	}
	off := max(-1, min(float64(mean-aim)/float64(aim), most))
	return refused + (1-refused)*(rise*off+damp*float64(mean-before)/float64(aim))
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
