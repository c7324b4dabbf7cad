package bridge

import (
	"slices"
	"sync"
	"time"

	"vitrine/internal/logkey"
)

// Why says for what reason records that were wanted again will not come.
type Why string

const (
	// Passed: the topic gives records that lie behind them, and not them. Retention
	// or compaction has taken them, or they never were records of the log: marks of
	// transactions, and what was refused.
	Passed Why = "passed"
	// GivenUp: an operator has said so.
	GivenUp Why = "given_up"
	// TopicDeleted: the topic was deleted, and another has its name.
	TopicDeleted Why = "topic_deleted"
)

// Missed is what was wanted again and will not come: so many Offsets of those of the
// Hole. They are not known, and 0, where all from there on was wanted.
type Missed struct {
	Hole
	Offsets int64
	Why     Why
	At      time.Time
}

// missedMost bounds the list of what is missed.
const missedMost = 100

// missed is that list.
type missed struct {
	mu       sync.Mutex
	newest   []Missed
	unlisted int
}

// miss notes what will not come, and tells of it, of each partition once.
func (p *Pump) miss(holes []Hole, why Why) {
	var all []Missed
	for _, h := range holes {
		i := slices.IndexFunc(all, func(m Missed) bool { return m.Place == h.Place })
		if i < 0 {
			i, all = len(all), append(all, Missed{Hole: h, Why: why, At: p.opt.Now()})
		}
		m := &all[i]
		m.From, m.To, m.Offsets = min(m.From, h.From), max(m.To, h.To), m.Offsets+h.To-h.From
	}
	for _, m := range all {
		p.opt.Log.Warn("records that were in damaged frames are not read again", logkey.Source, m.Place.Name, logkey.Partition, m.Place.Partition,
			logkey.First, m.From, logkey.Last, max(m.From, m.To-1), logkey.Count, m.Offsets, logkey.Reason, string(why))
	}
	p.missed.mu.Lock()
	defer p.missed.mu.Unlock()
	all = append(p.missed.newest, all...)
	n := max(0, len(all)-missedMost)
	p.missed.newest, p.missed.unlisted = slices.Clone(all[n:]), p.missed.unlisted+n
}

// Missed lists, oldest first, what was wanted again since New and will not come.
// unlisted counts those that are too old for the list.
func (p *Pump) Missed() (list []Missed, unlisted int) {
	p.missed.mu.Lock()
	defer p.missed.mu.Unlock()
	return slices.Clone(p.missed.newest), p.missed.unlisted
}
