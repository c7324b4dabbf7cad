package bridge

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"vitrine/bridge/event"
	"vitrine/bridge/event/frames"
)

// TestBatch sends the same records as they are and made ready, where ids and places
// repeat: what is kept and what is answered is the same, whatever frame they get into.
func TestBatch(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 7))
		var batches [][]event.Record
		for range 12 {
			var batch []event.Record
			offset := int64(random.IntN(100))
			for range 1 + random.IntN(40) {
				r := topical(offset)
				r.Source.Partition = int32(random.IntN(30) / 28)
				switch random.IntN(20) {
				case 0:
					r.Source.Offset = int64(random.IntN(100))
				case 1:
					r.Event.EventID = fmt.Sprint("e", random.IntN(20))
				case 2:
					r.Source = event.Source{Name: "http"}
				default:
					r.Event.EventID = fmt.Sprint("own", len(batches), "-", len(batch))
				}
				if offset++; random.IntN(10) == 0 {
					offset += 3
				}
				batch = append(batch, r)
			}
			batches = append(batches, batch)
		}
		opt := Options{FrameBytes: 100 + random.IntN(4000), MaxFrame: 64 << 10}
		plain, plainResults := sendAll(t, opt, batches, false)
		ready, readyResults := sendAll(t, opt, batches, true)
		if !reflect.DeepEqual(plainResults, readyResults) {
			t.Fatalf("seed %d: as they are %v, made ready %v", seed, plainResults, readyResults)
		}
		if !reflect.DeepEqual(plain, ready) {
			t.Fatalf("seed %d: the logs differ: as they are\n%v, made ready\n%v", seed, plain, ready)
		}
	}
}

// sendAll sends the batches before anything is taken, and gives what is then in the
// log, and the answers.
func sendAll(t *testing.T, opt Options, batches [][]event.Record, ready bool) (kept []event.Record, results []Result) {
	t.Helper()
	log := &memLog{}
	p := New(log, nil, opt)
	lane := p.Lane()
	var under []*Pending
	var frame frames.Builder
	for _, records := range batches {
		if !ready {
			under = append(under, lane.Send(t.Context(), records))
			continue
		}
		b := p.Batch()
		for i := range records {
			b.Add(&records[i], &frame)
		}
		b.Seal(&frame)
		under = append(under, lane.SendBatch(t.Context(), b, records))
	}
	run(t, p)
	for _, b := range under {
		res, err := b.Wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, res)
	}
	for _, frame := range log.frames {
		if err := frames.Decode(frame, func(r *event.Record) error { kept = append(kept, *r); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	return kept, results
}

// TestBatchOwnFrame has a batch become a frame as it is, one with a duplicate a frame
// of the others, and one that no frame holds several.
func TestBatchOwnFrame(t *testing.T) {
	log := &memLog{}
	p := New(log, nil, Options{})
	run(t, p)
	lane, b := p.Lane(), p.Batch()
	var frame frames.Builder
	send := func(records ...event.Record) {
		t.Helper()
		b.Reset()
		for i := range records {
			b.Add(&records[i], &frame)
		}
		b.Seal(&frame)
		if res, err := lane.SendBatch(t.Context(), b, records).Wait(t.Context()); err != nil {
			t.Errorf("%+v %v", res, err)
		}
	}
	send(topical(0), topical(1))
	if len(log.frames) != 1 || string(log.frames[0]) != string(b.portions[0].frame) {
		t.Errorf("%d frames, or another one", len(log.frames))
	}
	send() // a frame of none would stand for a lost one
	send(topical(1), topical(2))
	if got := log.records(t); len(log.frames) != 2 || len(got) != 3 {
		t.Errorf("%d frames, records %v", len(log.frames), got)
	}
	large := make([]event.Record, 3)
	for i := range large {
		large[i] = topical(int64(3 + i))
		large[i].Event.Props = strings.Repeat("x", defaultCall/2)
	}
	send(large...)
	if got := log.records(t); len(got) != 6 {
		t.Errorf("%d records with the large ones, want 6", len(got))
	}
	send(topical(6))
	if got := log.records(t); len(got) != 7 || frame.Len() != 0 {
		t.Errorf("%d records behind the large ones, want 7", len(got))
	}
}

// TestBatchFrames has a batch of long records become frames of its own, some hundred KiB
// each, and the next batch of short ones one frame again.
func TestBatchFrames(t *testing.T) {
	log := &memLog{}
	p := New(log, nil, Options{})
	run(t, p)
	lane, b := p.Lane(), p.Batch()
	var frame frames.Builder
	next := int64(0)
	for _, test := range []struct{ records, text, frames int }{{3000, 1, 1}, {4000, 1000, 6}, {6000, 1000, 8}, {20_000, 1, 2}, {3000, 1, 1}, {2, defaultCall - 1000, 2}} {
		records := make([]event.Record, test.records)
		b.Reset()
		for i := range records {
			records[i] = topical(next)
			records[i].Event.Props = strings.Repeat("x", test.text)
			next++
			b.Add(&records[i], &frame)
		}
		b.Seal(&frame)
		before := len(log.frames)
		res, err := lane.SendBatch(t.Context(), b, records).Wait(t.Context())
		if err != nil || res.Accepted != test.records {
			t.Fatalf("%d records of %d bytes: %+v %v", test.records, test.text, res, err)
		}
		got := log.frames[before:]
		if len(got) != test.frames || len(b.portions) != test.frames {
			t.Fatalf("%d records of %d bytes: %d frames of %d of its own, want %d", test.records, test.text, len(got), len(b.portions), test.frames)
		}
		for i := range got {
			if string(got[i]) != string(b.portions[i].frame) {
				t.Errorf("%d records of %d bytes: frame %d is another one", test.records, test.text, i)
			}
		}
	}
	if got := log.records(t); len(got) != int(next) {
		t.Errorf("%d records, want %d", len(got), next)
	}
	b.Reset()
	if len(b.spare) > spareFrames {
		t.Errorf("the memory of %d frames is kept", len(b.spare))
	}
}
