package flow

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"
	"weak"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"vitrine/bridge"
	"vitrine/bridge/event"
	"vitrine/bridge/event/frames"
	"vitrine/bridge/kafka/fetch"
)

// bombs decompresses each batch to one record of its own, and counts how many of them
// are in memory at once.
type bombs struct {
	value func() []byte
	mu    sync.Mutex
	alive []weak.Pointer[byte]
	most  int
}

func (d *bombs) Decompress([]byte, kgo.CompressionCodecType) ([]byte, error) {
	r := kmsg.Record{}
	d.mu.Lock()
	defer d.mu.Unlock()
	r.Value = d.value()
	r.Length = int32(len(r.AppendTo(nil)) - 1)
	text := r.AppendTo(nil)
	runtime.GC()
	left := d.alive[:0]
	for _, p := range d.alive {
		if p.Value() != nil {
			left = append(left, p)
		}
	}
	d.alive = append(left, weak.Make(&text[0]))
	d.most = max(d.most, len(d.alive))
	return text, nil
}

// flowOf lets batches of one compressed record each go all the way into a log.
func flowOf(t *testing.T, log *memLog, batches int, d kgo.Decompressor) *rig {
	t.Helper()
	pump := bridge.New(log, nil, bridge.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := pump.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	defer running.Wait()
	defer cancel()
	r := pipe(t, pump)
	reader := fetch.NewReader(d, fetch.NewBuffers(0, 0).Spoil())
	var got []*fetch.Batch
	for i := range batches {
		a := answer(0, [][]byte{[]byte("compressed")})
		a.RecordBatches[22] = byte(kgo.CodecZstd)
		again(a.RecordBatches, int64(i), 0)
		some, _, err := reader.Batches("user-events", a, int64(i))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, some...)
	}
	f := newRun(r.Pipe)
	drain := f.begin(ctx)
	defer f.end()
	f.rest = waiting{batches: got}
	f.hand(<-f.free)
	drain()
	if f.err != nil {
		t.Fatal(f.err)
	}
	return r
}

// TestMemoryOfBombs: of batches that decompress to nearly too much, few are in memory
// at once, however many a broker answers with; what is kept of them is right.
func TestMemoryOfBombs(t *testing.T) {
	const n, size = 40, largeText + 1<<20
	d := &bombs{value: func() []byte { return make([]byte, size) }}
	log := &memLog{}
	r := flowOf(t, log, n, d)
	if most := 1 + len(r.opt.Readers); d.most > most {
		t.Errorf("%d of %d texts of %d MiB were in memory at once, want %d at most", d.most, n, size>>20, most)
	}
	if len(r.letters.kept) != n || r.memory.held != 0 || r.memory.busy != 0 {
		t.Fatalf("%d letters of %d; %d bytes are held, %d decoders busy", len(r.letters.kept), n, r.memory.held, r.memory.busy)
	}
	for i, l := range r.letters.kept {
		if zero := bytes.Count(l.Raw, []byte{0}); zero != len(l.Raw) || i > 0 && (!l.Truncated || len(l.Raw) != 64<<10) {
			t.Errorf("the letter of offset %d has %d bytes, %d of them right, cut off: %v", l.Offset, len(l.Raw), zero, l.Truncated)
		}
	}
}

// TestMemoryOfLargeRecords: records of batches that are much together get into the log
// as they are, though their bytes are used again before that.
func TestMemoryOfLargeRecords(t *testing.T) {
	const n, size = 60, 900 << 10
	next := 0
	d := &bombs{value: func() []byte {
		next++
		id := next
		if id == n/2 {
			id-- // a duplicate, behind which the committer encodes them all
		}
		text := fmt.Sprintf(`{"user_id":"u","item_id":"i%03d","event_type":"view","event_id":"e%03d","props":{"n":%d}}`, next, id, next)
		return append([]byte(text), bytes.Repeat([]byte(" "), size)...)
	}}
	log := &memLog{delay: 20 * time.Millisecond}
	r := flowOf(t, log, n, d)
	if most := 3 * heldBytes / size; d.most > most || r.memory.held != 0 {
		t.Errorf("%d of %d texts were in memory at once, want %d at most; %d bytes are held", d.most, n, most, r.memory.held)
	}
	seen := map[string]bool{}
	if _, err := log.Read(t.Context(), 1, func(_ uint64, frame []byte) error {
		return frames.Decode(frame, func(r *event.Record) error {
			e := &r.Event
			var i int
			if _, err := fmt.Sscanf(e.ItemID, "i%d", &i); err != nil || e.UserID != "u" || e.EventID != fmt.Sprintf("e%03d", i) || e.Props != fmt.Sprintf(`{"n":%d}`, i) {
				t.Errorf("offset %d is %+v", r.Source.Offset, e)
			}
			seen[strings.Clone(e.ItemID)] = true
			return nil
		})
	}); err != nil {
		t.Fatal(err)
	}
	if len(seen) != n-1 {
		t.Errorf("%d records in the log, want %d", len(seen), n-1)
	}
}

// long decompresses each batch to so many events with a long text.
type long struct{ records, size int }

func (d long) Decompress([]byte, kgo.CompressionCodecType) (text []byte, err error) {
	value := fmt.Appendf(nil, `{"user_id":"u","item_id":"i","event_type":"view","props":{"text":%q}}`, strings.Repeat("x", d.size))
	for i := range d.records {
		r := kmsg.Record{OffsetDelta: int32(i), Value: value}
		r.Length = int32(len(r.AppendTo(nil)) - 1)
		text = r.AppendTo(text)
	}
	return text, nil
}

// TestMemoryOfLongRecords: a batch whose records are much together, also when they are
// copied, is ended, and the next ones are made of fewer.
func TestMemoryOfLongRecords(t *testing.T) {
	const n, records, size = 40, 50, 60 << 10
	s := pipe(t, bridge.New(&memLog{}, nil, bridge.Options{}))
	reader := fetch.NewReader(long{records, size}, fetch.NewBuffers(0, 0))
	var rest waiting
	for i := range n {
		a := answer(0, make([][]byte, records))
		a.RecordBatches[22] = byte(kgo.CodecZstd)
		again(a.RecordBatches, int64(i*records), 0)
		some, _, err := reader.Batches("user-events", a, int64(i*records))
		if err != nil {
			t.Fatal(err)
		}
		rest.batches = append(rest.batches, some...)
	}
	left := waiting{batches: slices.Clone(rest.batches)}
	b := &batch{ready: s.opt.Into.Batch(), frame: new(frames.Builder)}
	b.fill(&rest, s.memory.records())
	s.decode(t.Context(), s.opt.Readers[0], b)
	if most := windowBytes/(records*size) + 1; len(b.parts) != n || b.broken != errFull || b.good < 2 || b.good > most || len(b.records) != b.good*records {
		t.Errorf("%d of %d parts of %d MiB together were read, want %d at most, and the rest left: %v", b.good, len(b.parts), n*records*size>>20, most, b.broken)
	}
	b.ready.Seal(b.frame)
	b.release()
	b.fill(&left, s.memory.records())
	if most := heldBytes/(records*size) + 1; len(b.parts) > most {
		t.Errorf("then a batch has %d parts, want %d at most", len(b.parts), most)
	}
}

// TestDetach: no string of an event is left where it was.
func TestDetach(t *testing.T) {
	var e event.Event
	v, text := reflect.ValueOf(&e).Elem(), strings.Repeat("x", 8)
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.String {
			f.SetString(text)
		}
	}
	size := 0
	detached := detach(&e)
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.String {
			size += len(text)
			if f.String() != text || unsafe.StringData(f.String()) == unsafe.StringData(text) {
				t.Errorf("%s is not copied", v.Type().Field(i).Name)
			}
		}
	}
	if size != detached {
		t.Errorf("%d bytes, said %d", size, detached)
	}
}

// TestMemoryWaits: while much is held, decoders go on one after another; one is always
// at work, whatever is held, and none waits when it is over.
func TestMemoryWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memory
		ctx, end := context.WithCancel(t.Context())
		const decoders = 3
		open := make([]chan error, decoders)
		for i := range open {
			open[i] = make(chan error, 1)
			m.begin()
		}
		passed := func() (n int) {
			synctest.Wait()
			for _, c := range open {
				n += len(c)
			}
			return n
		}
		m.hold(windowBytes)
		for _, c := range open {
			go func() { c <- m.wait(ctx) }()
			synctest.Wait()
		}
		if n := passed(); n != 1 {
			t.Errorf("%d of %d decoders open a batch while much is held, want 1", n, decoders)
		}
		m.end() // of the one that does not wait
		if n := passed(); n != 2 {
			t.Errorf("%d go on when one has ended, want 2", n)
		}
		m.hold(-1)
		if n := passed(); n != decoders {
			t.Errorf("%d go on when there is room, want %d", n, decoders)
		}
		for _, c := range open {
			if err := <-c; err != nil {
				t.Error(err)
			}
		}
		m.hold(1)
		go func() { open[0] <- m.wait(ctx) }()
		if n := passed(); n != 0 {
			t.Error("it does not wait again")
		}
		end()
		if err := <-open[0]; err == nil {
			t.Error("it goes on when all ends")
		}
	})
}
