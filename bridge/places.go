package bridge

import (
	"maps"
	"sync"

	"vitrine/bridge/event"
)

// Place is a partition of a topic; Name is a Source.Name.
type Place struct {
	Name      string
	Partition int32
}

// places are how far each partition of a topic is in the log: the fence that
// makes a record that is handed in again, after a crash or a frame of unknown
// outcome, count once. The records of a partition come in the order of their
// offsets, so one number a partition is enough.
//
// All but position is called by the committer alone, which therefore reads
// durable without the lock.
type places struct {
	mu      sync.Mutex
	durable map[Place]int64
	// taken is what the frame that is being filled would make of it.
	taken map[Place]int64
	// at is the place of the record before, next its position, so that a run of
	// one partition costs no look-up.
	at    Place
	next  int64
	topic bool
}

func newPlaces() *places {
	return &places{durable: map[Place]int64{}, taken: map[Place]int64{}}
}

// take tells whether a record is new, and then moves its partition on. What is
// of no topic always is.
func (p *places) take(s *event.Source) bool {
	if s.Name != p.at.Name || s.Partition != p.at.Partition {
		p.put()
		p.at, p.topic, p.next = Place{s.Name, s.Partition}, s.IsTopic(), 0
		if next, ok := p.taken[p.at]; ok {
			p.next = next
		} else if p.topic {
			p.next = p.durable[p.at]
		}
	}
	if !p.topic {
		return true
	}
	if s.Offset < p.next {
		return false
	}
	p.next = s.Offset + 1
	return true
}

// put keeps where the run of one partition has come to.
func (p *places) put() {
	if p.topic && p.next > 0 {
		p.taken[p.at] = p.next
	}
}

// settle makes what was taken since the last call count, or forgets it.
func (p *places) settle(durable bool) {
	p.put()
	p.at, p.topic = Place{}, false
	if len(p.taken) == 0 {
		return
	}
	if durable {
		p.mu.Lock()
		maps.Copy(p.durable, p.taken)
		p.mu.Unlock()
	}
	clear(p.taken)
}

func (p *places) pass(place Place, next int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.durable[place] = max(p.durable[place], next)
}

func (p *places) position(place Place) (next int64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	next, ok = p.durable[place]
	return next, ok
}

// all copies them.
func (p *places) all() map[Place]int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.durable)
}
