package bridge

import (
	"context"
	"strings"
	"testing"

	"vitrine/bridge/event"
	"vitrine/bridge/event/frames"
)

// TestBatchDeath ends the process behind each frame of a batch that is several: the next
// one goes on behind the records of that frame, and each record is in the log once.
func TestBatchDeath(t *testing.T) {
	const n = 300
	opt := Options{FrameBytes: 1 << 10}
	record := func(i int64) event.Record {
		r := topical(i / 2)
		r.Source.Partition = int32(i % 2)
		r.Event.Props = strings.Repeat("x", 100)
		return r
	}
	// life sends what its log does not have, and is over when that has most frames.
	life := func(log *memLog, most int) (kept int) {
		p := New(log, nil, opt)
		if err := p.Replay(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		ctx, die := context.WithCancel(t.Context())
		defer die()
		log.fault = func() (bool, error) {
			if len(log.frames) < most {
				return true, nil
			}
			return false, ErrFenced // nothing comes of it any more
		}
		var records []event.Record
		b, frame := p.Batch(), &frames.Builder{}
		for i := range int64(n) {
			r := record(i)
			if next, _ := p.Position(Place{topicName, r.Source.Partition}); r.Source.Offset >= next {
				records = append(records, r)
				b.Add(&r, frame)
			}
		}
		b.Seal(frame)
		pending := p.Lane().SendBatch(ctx, b, records)
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx) }()
		res, err := pending.Wait(t.Context())
		die()
		if ran := <-done; (err == nil) != (ran == nil) || err == nil && res.Accepted != len(records) {
			t.Errorf("%d of %d records: %v, %v", res.Accepted, len(records), err, ran)
		}
		return len(log.frames)
	}
	all := life(&memLog{}, n)
	if all < 5 {
		t.Fatalf("a batch is %d frames", all)
	}
	for most := range all {
		log := &memLog{}
		if kept := life(log, most); kept != most {
			t.Fatalf("%d frames, want %d", kept, most)
		}
		life(log, n)
		var got []event.Source
		for _, f := range log.frames {
			if err := frames.Decode(f, func(r *event.Record) error { got = append(got, r.Source); return nil }); err != nil {
				t.Fatal(err)
			}
		}
		if len(got) != n {
			t.Fatalf("after a death behind frame %d the log has %d records, want %d", most, len(got), n)
		}
		for i := range got {
			if want := record(int64(i)).Source; got[i] != want {
				t.Fatalf("after a death behind frame %d record %d is of %+v, want %+v", most, i, got[i], want)
			}
		}
	}
}
