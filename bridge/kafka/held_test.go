package kafka

import (
	"testing"
	"time"

	"vitrine/bridge"
	"vitrine/bridge/kafka/fault"
)

// TestHoldUp: why a partition is not read on is told until what held it up is over:
// something comes again, or is read behind what came and could not be.
func TestHoldUp(t *testing.T) {
	mute, rotten := fault.New("no broker leads it", ""), fault.New("its checksum is wrong", "")
	at := bridge.Place{Name: "t", Partition: 1}
	now := time.UnixMilli(1760000000000)
	s := &Source{
		parts: map[bridge.Place]*Partition{at: {}}, held: map[bridge.Place]*standstill{}, reminded: map[bridge.Place]time.Time{},
	}
	s.opt.Now = func() time.Time { return now }
	for i, step := range []struct {
		do   func() bool
		ok   bool
		why  *fault.Error
		from int64
	}{
		{func() bool { return s.holdUp(bridge.Place{Name: "t"}, mute, nothing) }, false, nil, 0}, // another member's
		{func() bool { return s.holdUp(at, nil, nothing) }, false, nil, 0},
		{func() bool { return s.holdUp(at, rotten, 7) }, true, rotten, 7},
		{func() bool { return s.readOn(at, 7) }, false, rotten, 7}, // what is before it
		{func() bool { return s.holdUp(at, nil, nothing) }, false, rotten, 7},
		{func() bool { return s.remind(at, rotten) }, true, rotten, 7},
		{func() bool { return s.remind(at, rotten) }, false, rotten, 7},
		{func() bool { return s.holdUp(at, mute, nothing) }, true, mute, nothing},
		{func() bool { return s.holdUp(at, rotten, 7) }, false, mute, nothing}, // it came before
		{func() bool { return s.readOn(at, 9) }, false, mute, nothing},
		{func() bool { return s.holdUp(at, nil, nothing) }, true, nil, 0},
		{func() bool { return s.holdUp(at, rotten, 7) }, true, rotten, 7},
		{func() bool { return s.readOn(at, 8) }, false, nil, 0}, // the log was not told again
	} {
		if got := step.do(); got != step.ok {
			t.Errorf("step %d: %v", i, got)
		}
		switch h := s.held[at]; {
		case (h == nil) != (step.why == nil), h != nil && (h.why != step.why || h.from != step.from || h.since != now):
			t.Errorf("step %d: %+v, want %v from %d", i, h, step.why, step.from)
		}
	}
}
