package bridge

import (
	"cmp"
	"maps"
	"slices"
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
	// seq is the frame that durable and holes are of.
	seq uint64
	// begun is where partitions began to be read, for those whose first frame is
	// lost: nothing before it in the log says where that began.
	// restarted are those of them of which nothing has come since.
	begun, restarted map[Place]int64
	// taken is what the frame that is being filled would make of it.
	taken map[Place]int64
	// at is the place of the record before, next its position, so that a run of
	// one partition costs no look-up.
	at    Place
	next  int64
	topic bool
	// holes are what is wanted before a position; holed says that there are some
	// of the partition at.
	holes holes
	holed bool
}

func newPlaces() *places {
	return &places{durable: map[Place]int64{}, begun: map[Place]int64{}, restarted: map[Place]int64{}, taken: map[Place]int64{}}
}

// take tells whether a record is new, and then moves its partition on. What is
// of no topic always is. anew says that the record comes from outside, not out of
// the log.
func (p *places) take(s *event.Source, anew bool) bool {
	p.turn(s)
	if !p.topic {
		return true
	}
	if p.holed {
		if p.fill(s.Offset, anew) {
			p.next = max(p.next, s.Offset+1)
			return true
		}
	}
	if s.Offset < p.next {
		return false
	}
	p.next = s.Offset + 1
	return true
}

// takeAll is take of records of one partition whose offsets go up from that of s to
// last, where all of them are new. Where that is not known it takes none.
func (p *places) takeAll(s *event.Source, last int64) bool {
	p.turn(s)
	switch {
	case !p.topic:
		return true
	case p.holed || s.Offset < p.next:
		return false
	}
	p.next = last + 1
	return true
}

// turn goes over to the partition of s.
func (p *places) turn(s *event.Source) {
	if s.Name == p.at.Name && s.Partition == p.at.Partition {
		return
	}
	p.put()
	p.at, p.topic, p.next = Place{s.Name, s.Partition}, s.IsTopic(), 0
	if next, ok := p.taken[p.at]; ok {
		p.next = next
	} else if p.topic {
		p.next = p.durable[p.at]
	}
	p.meet(s.Offset)
}

// meet looks for holes of the partition that a run of records begins with.
func (p *places) meet(offset int64) {
	p.holed = false
	if len(p.holes.after)+len(p.holes.spans) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.holes.reached(p.at, offset)
	p.holed = len(p.holes.spans[p.at]) > 0
}

func (p *places) fill(offset int64, anew bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	wanted := p.holes.fill(p.at, offset, anew)
	p.holed = len(p.holes.spans[p.at]) > 0
	return wanted
}

// lost notes that a frame of the log was lost here. It may have been the first of
// partitions that were begun before, which therefore stand at their beginning.
func (p *places) lost() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for place, from := range p.begun {
		p.restart(place, from)
	}
	p.holes.lost(p.durable)
}

// restart is where a partition stands of which nothing is in the log. mu is held.
func (p *places) restart(place Place, from int64) {
	if _, ok := p.durable[place]; !ok {
		p.durable[place], p.restarted[place] = from, from
	}
}

func (p *places) want(h *Hole) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.restart(h.Place, h.From); h.From < h.To {
		p.holes.add(h.Place, span{h.From, h.To})
	} else if p.durable[h.Place] == h.From {
		p.restarted[h.Place] = h.From // a snapshot may have that of an earlier life
	}
}

// wanted lists what want would take, in the order of their places, as of a frame.
func (p *places) wanted() (out []Hole, seq uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for place, spans := range p.holes.settled() {
		for _, s := range spans {
			out = append(out, Hole{place, s.from, s.to})
		}
	}
	for place, from := range p.restarted {
		if p.durable[place] > from {
			delete(p.restarted, place)
		} else {
			out = append(out, Hole{place, from, from})
		}
	}
	slices.SortFunc(out, func(a, b Hole) int {
		return cmp.Or(cmp.Compare(a.Place.Name, b.Place.Name), cmp.Compare(a.Place.Partition, b.Place.Partition), cmp.Compare(a.From, b.From))
	})
	return out, p.seq
}

// whole ends a reading of the log: what it did not come to will come anyway.
func (p *places) whole() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.holes.after = nil
}

// put keeps where the run of one partition has come to.
func (p *places) put() {
	if p.topic && p.next > 0 {
		p.taken[p.at] = p.next
	}
}

// settle makes what was taken since the last call count, or forgets it. seq is the
// newest frame of the log then, passed what is not wanted any more though it did not
// come.
func (p *places) settle(durable bool, seq uint64) (passed []Hole) {
	p.put()
	p.at, p.topic = Place{}, false
	p.mu.Lock()
	p.seq = seq
	passed = p.holes.settle(durable)
	if durable {
		maps.Copy(p.durable, p.taken)
	}
	p.mu.Unlock()
	clear(p.taken)
	return passed
}

// giveUp wants nothing again of some partitions, and says what it was. No frame is
// being filled.
func (p *places) giveUp(of func(Place) bool) (out []Hole) {
	all, _ := p.wanted()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, h := range all {
		if of(h.Place) {
			delete(p.holes.spans, h.Place)
			delete(p.restarted, h.Place)
			out = append(out, h)
		}
	}
	return out
}

func (p *places) pass(place Place, next int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.durable[place] = max(p.durable[place], next)
}

func (p *places) begin(place Place, from int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.begun[place] = from
}

func (p *places) position(place Place) (next int64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	next, ok = p.durable[place]
	for _, s := range p.holes.spans[place] {
		next = min(next, s.from)
	}
	return next, ok
}

// all copies them.
func (p *places) all() map[Place]int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.durable)
}
