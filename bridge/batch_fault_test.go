package bridge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"vitrine/bridge/event"
	"vitrine/bridge/event/frames"
)

// faultyRecords is how many records each partition of TestBatchFaults has.
const faultyRecords = 200

// faultyRecord is one of them; of their ids some repeat, in and between partitions.
func faultyRecord(partition int32, offset int64) event.Record {
	r := topical(offset)
	r.Source.Partition = partition
	switch {
	case offset%7 == 0:
		r.Event.EventID = fmt.Sprint("both", offset)
	case offset%11 == 0:
		r.Event.EventID = fmt.Sprint("again", offset%33)
	case offset%2 == 0:
		r.Event.EventID = fmt.Sprint("own", partition, "-", offset)
	}
	return r
}

// TestBatchFaults has two partitions sent, in batches that are used again, to a log that
// refuses, breaks, keeps frames of which it says that it does not, and cannot be asked: each record is
// there once, as it was and in its order, but for those whose id was there before.
func TestBatchFaults(t *testing.T) {
	for seed := range uint64(40) {
		faults := rand.New(rand.NewPCG(seed, 12))
		log, left := &memLog{}, 12
		log.set(func() (stored bool, err error) {
			if left == 0 || faults.IntN(3) > 0 {
				return true, nil
			}
			left--
			return faults.IntN(2) == 0, errors.New("broken")
		}, nil)
		refusing := &refusingLog{memLog: log, random: rand.New(rand.NewPCG(seed, 13)), left: 6}
		p := New(refusing, nil, Options{FrameBytes: 100 + faults.IntN(2000), MaxFrame: 64 << 10, FrameDelay: time.Microsecond})
		stop := run(t, p)
		var wg sync.WaitGroup
		var sums [2]Result
		for partition := range int32(2) {
			wg.Go(func() {
				sums[partition] = sendAgain(t, p, partition, rand.New(rand.NewPCG(seed, uint64(partition))))
			})
		}
		wg.Wait()
		stop()
		ids, last, n := map[string]bool{}, [2]int64{-1, -1}, 0
		for _, frame := range log.frames {
			if err := frames.Decode(frame, func(r *event.Record) error {
				n++
				if id := r.Event.EventID; id != "" && ids[id] {
					t.Errorf("seed %d: event_id %s is there twice", seed, id)
				} else if id != "" {
					ids[id] = true
				}
				at := r.Source
				if at.Offset <= last[at.Partition] {
					t.Errorf("seed %d: offset %d is behind %d", seed, at.Offset, last[at.Partition])
				}
				last[at.Partition] = at.Offset
				if want := faultyRecord(at.Partition, at.Offset); r.Event != want.Event || at != want.Source {
					t.Errorf("seed %d: %+v, want %+v", seed, *r, want)
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		wanted, want := map[string]bool{}, 0
		for i := range int64(2 * faultyRecords) {
			r := faultyRecord(int32(i%2), i/2)
			if id := r.Event.EventID; id == "" || !wanted[id] {
				wanted[id] = true
				want++
			}
		}
		st := p.Stats()
		if n != want || st.Remembered != len(ids) || st.Queued != 0 || st.Accepted > uint64(n) {
			t.Errorf("seed %d: %d records, want %d; %d ids; %+v", seed, n, want, len(ids), st)
		}
		if sum := sums[0].Accepted + sums[0].Duplicate + sums[1].Accepted + sums[1].Duplicate; sum != 2*faultyRecords {
			t.Errorf("seed %d: %d records were answered: %+v", seed, sum, sums)
		}
	}
}

// refusingLog is full at times, and at times does not tell, after an append that broke,
// what it has. The committer alone calls it.
type refusingLog struct {
	*memLog
	random *rand.Rand
	left   int
	blind  bool
}

func (l *refusingLog) Append(ctx context.Context, frame []byte, expectLast uint64) (uint64, error) {
	if l.left > 0 && l.random.IntN(3) == 0 {
		l.left--
		return 0, ErrBusFull
	}
	seq, err := l.memLog.Append(ctx, frame, expectLast)
	l.blind = err != nil && l.random.IntN(2) == 0
	return seq, err
}

func (l *refusingLog) Bounds(ctx context.Context) (first, last uint64, err error) {
	if l.blind {
		l.blind = false
		return 0, 0, errors.New("no answer")
	}
	return l.memLog.Bounds(ctx)
}

// sendAgain sends a partition, three batches at a time, and goes on behind what was kept
// when one was not. It gives what was kept.
func sendAgain(t *testing.T, p *Pump, partition int32, random *rand.Rand) (sum Result) {
	type sent struct {
		batch   *Batch
		records []event.Record
		next    int64
		pending *Pending
	}
	var ring [3]sent
	for i := range ring {
		ring[i].batch = p.Batch()
	}
	var frame frames.Builder
	lane := p.Lane()
	for kept := int64(0); kept < faultyRecords; {
		at, n := kept, 0
		for ; n < len(ring) && at < faultyRecords; n++ {
			s := &ring[n]
			s.batch.Reset()
			s.records = s.records[:0]
			for s.next = min(faultyRecords, at+1+random.Int64N(20)); at < s.next; at++ {
				s.records = append(s.records, faultyRecord(partition, at))
				s.batch.Add(&s.records[len(s.records)-1], &frame)
			}
			s.batch.Seal(&frame)
			s.pending = lane.SendBatch(t.Context(), s.batch, s.records)
		}
		var broken error
		for i := range ring[:n] {
			res, err := ring[i].pending.Wait(t.Context())
			if broken == nil && err == nil {
				sum.Accepted, sum.Duplicate, kept = sum.Accepted+res.Accepted, sum.Duplicate+res.Duplicate, ring[i].next
			} else if err == nil {
				t.Errorf("a batch is kept behind one that is not: %v", broken)
			}
			broken = cmp.Or(broken, err)
		}
		if broken != nil {
			lane = p.Lane()
		}
	}
	return sum
}
