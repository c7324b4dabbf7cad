package jetstream

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/minio/highwayhash"

	"vitrine/bridge/event"
	"vitrine/bridge/event/frames"
)

// flip changes one bit of a frame in the segments below dir.
func flip(t *testing.T, dir string, seq uint64, size int) {
	t.Helper()
	rot(t, dir, seq, size, func(record []byte) { record[len(record)-size/2] ^= 0x10 })
}

// rot changes the record of a frame, which ends with the frame here.
func rot(t *testing.T, dir string, seq uint64, size int, change func(record []byte)) {
	t.Helper()
	all, err := segments(filepath.Join(dir, storeDir))
	if err != nil {
		t.Fatal(err)
	}
	want := frame(seq, size)
	for _, s := range all {
		data, err := os.ReadFile(s.path)
		if err != nil {
			t.Fatal(err)
		}
		if at := bytes.Index(data, want); at >= 0 {
			change(data[bytes.LastIndex(data[:at], []byte(subject))-recordHead : at+size])
			if err := os.WriteFile(s.path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("frame %d is in no segment", seq)
}

// second is the sequence of the second frame of the second segment.
func second(t *testing.T, dir string) uint64 {
	t.Helper()
	all, err := segments(filepath.Join(dir, storeDir))
	if err != nil || len(all) < 2 {
		t.Fatal(len(all), err)
	}
	data, err := os.ReadFile(all[1].path)
	if err != nil {
		t.Fatal(err)
	}
	return binary.LittleEndian.Uint64(data[4:]) + 1
}

// One flipped bit costs one frame, wherever it is, also after a crash, when the
// server would cut the rest of the segment off; and the loss is named.
func TestBitRot(t *testing.T) {
	if testing.Short() {
		t.Skip("it writes 100 MB, and nothing in it is concurrent")
	}
	t.Parallel()
	const size, all = 90_000, 180 // two segments
	for _, tc := range []struct {
		name    string
		rotten  []uint64
		after   uint64
		noIndex bool
		lost    []Loss
		// edge is a frame by its distance from the second of the second segment.
		edge int64
	}{
		{name: "none", noIndex: true},
		{name: "middle", rotten: []uint64{90}, lost: []Loss{{First: 90, Last: 90}}},
		{name: "after a crash", rotten: []uint64{90}, noIndex: true, lost: []Loss{{First: 90, Last: 90}}},
		{name: "first", rotten: []uint64{1}, noIndex: true, lost: []Loss{{First: 1, Last: 1}}},
		{name: "newest", rotten: []uint64{all}, noIndex: true, lost: []Loss{{First: all, Last: all}}},
		{name: "several", rotten: []uint64{5, 6, 100, 170}, noIndex: true, lost: []Loss{{First: 5, Last: 6}, {First: 100, Last: 100}, {First: 170, Last: 170}}},
		{name: "archived", rotten: []uint64{5, 6, 100}, after: 50, noIndex: true, lost: []Loss{{First: 100, Last: 100}}},
		{name: "first of a segment", edge: -1, noIndex: true},
		{name: "last of a segment", edge: -2, noIndex: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			b := open(t, Options{Dir: dir})
			fill(t, b, all, size)
			_ = b.Close()
			if tc.edge != 0 {
				seq := uint64(int64(second(t, dir)) + tc.edge)
				tc.rotten, tc.lost = []uint64{seq}, []Loss{{First: seq, Last: seq}}
			}
			for _, seq := range tc.rotten {
				flip(t, dir, seq, size)
			}
			if tc.noIndex {
				all, _ := segments(filepath.Join(dir, storeDir))
				_ = os.Remove(filepath.Join(filepath.Dir(all[0].path), "index.db"))
			}
			b = open(t, Options{Dir: dir, After: tc.after})
			var blank frames.Builder
			want := uint64(1)
			next, err := b.Read(t.Context(), 0, func(seq uint64, f []byte) error {
				expected := frame(seq, size)
				if slices.Contains(tc.rotten, seq) {
					expected = blank.Seal()
				}
				if seq != want || !bytes.Equal(f, expected) {
					return fmt.Errorf("frame %d, want %d, or another one", seq, want)
				}
				want++
				return nil
			})
			if err != nil || next != all+1 {
				t.Fatal(next, err)
			}
			if err := frames.Decode(blank.Seal(), func(*event.Record) error { return fmt.Errorf("a record") }); err != nil {
				t.Fatal(err)
			}
			st := b.Stats(t.Context())
			got := st.Losses
			for i := range got {
				if got[i].Found.IsZero() {
					t.Error("no time")
				}
				got[i].Found = time.Time{}
			}
			if !slices.Equal(got, tc.lost) {
				t.Errorf("lost %v, want %v", got, tc.lost)
			}
			if _, err := os.Stat(filepath.Join(dir, damagedDir)); err == nil {
				t.Error("the damaged store is still there")
			}
			_ = b.Close()
			b = open(t, Options{Dir: dir})
			if again := b.Stats(t.Context()); again.Lost != st.Lost || again.Last != all || len(again.Losses) != len(tc.lost) {
				t.Errorf("after another start: %+v, before: %+v", again, st)
			}
		})
	}
}

// What is damaged at the end of the log is named as a whole, wherever its records
// are hit, and a log of which nothing is sound goes on behind it.
func TestRotOfTheEnd(t *testing.T) {
	t.Parallel()
	const size = 1000
	length := func(record []byte) { record[1] ^= 0x40 } // 16 KiB more than there are
	shorter := func(record []byte) { record[1] ^= 0x04 }
	sequence := func(record []byte) { record[4+2] ^= 0x01 }
	name := func(record []byte) { record[recordHead] ^= 0x01 }
	headers := func(record []byte) { record[recordHead+len(subject)] ^= 0x01 }
	body := func(record []byte) { record[len(record)-size/2] ^= 0x10 }
	for _, tc := range []struct {
		name string
		// The log has frames frames behind before, the archive those up to after.
		before, after uint64
		frames        int
		rotten        []uint64
		change        func([]byte)
		lost          []Loss
	}{
		{"the last two", 0, 0, 5, []uint64{4, 5}, body, []Loss{{First: 4, Last: 5}}},
		{"all", 0, 0, 5, []uint64{1, 2, 3, 4, 5}, body, []Loss{{First: 1, Last: 5}}},
		{"all behind the archive", 50, 50, 3, []uint64{51, 52, 53}, body, []Loss{{First: 51, Last: 53}}},
		{"all of which the archive has some", 50, 52, 3, []uint64{51, 52, 53}, body, []Loss{{First: 53, Last: 53}}},
		{"length of the headers", 0, 0, 5, []uint64{3}, headers, []Loss{{First: 3, Last: 3}}},
		{"what the archive has", 50, 51, 1, []uint64{51}, body, nil},
		{"length of the last", 0, 0, 5, []uint64{5}, length, []Loss{{First: 5, Last: 5}}},
		{"length of the last, less", 0, 0, 5, []uint64{5}, shorter, []Loss{{First: 5, Last: 5}}},
		{"length of the last two", 0, 0, 5, []uint64{4, 5}, length, []Loss{{First: 4, Last: 5}}},
		{"length of the only one", 50, 50, 1, []uint64{51}, length, []Loss{{First: 51, Last: 51}}},
		{"sequence of the last", 0, 0, 5, []uint64{5}, sequence, []Loss{{First: 5, Last: 5}}},
		{"sequence of the only one", 50, 50, 1, []uint64{51}, sequence, []Loss{{First: 51, Last: 51}}},
		{"subject of the only one", 50, 50, 1, []uint64{51}, name, []Loss{{First: 51, Last: 51}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			b := open(t, Options{Dir: dir, After: tc.before})
			last := fill(t, b, tc.frames, size)
			_ = b.Close()
			for _, seq := range tc.rotten {
				rot(t, dir, seq, size, tc.change)
			}
			b = open(t, Options{Dir: dir, After: tc.after})
			got := b.Stats(t.Context())
			for i := range got.Losses {
				got.Losses[i].Found = time.Time{}
			}
			if !slices.Equal(got.Losses, tc.lost) {
				t.Errorf("lost %v, want %v", got.Losses, tc.lost)
			}
			// The archive is read up to after, the log from there on.
			if next, err := b.Read(t.Context(), tc.after+1, func(uint64, []byte) error { return nil }); err != nil || next != last+1 {
				t.Errorf("the log can be read up to %d (%v), want %d", next, err, last+1)
			}
			if next := fill(t, b, 1, size); next != last+1 {
				t.Errorf("the next frame is %d, want %d", next, last+1)
			}
		})
	}
}

// A write that a power cut left unfinished was never acknowledged, and is no
// loss.
func TestUnfinishedWriteIsNoLoss(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := open(t, Options{Dir: dir})
	fill(t, b, 3, 1000)
	_ = b.Close()
	all, _ := segments(filepath.Join(dir, storeDir))
	data, _ := os.ReadFile(all[0].path)
	if err := os.WriteFile(all[0].path, data[:len(data)-300], 0o600); err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(filepath.Join(filepath.Dir(all[0].path), "index.db"))
	b = open(t, Options{Dir: dir})
	check(t, b, 1, 2)
	if st := b.Stats(t.Context()); st.Lost != 0 || len(st.Losses) != 0 {
		t.Fatalf("%+v", st)
	}
}

// A damaged list of losses keeps nobody from starting.
func TestListOfLosses(t *testing.T) {
	t.Parallel()
	var said bytes.Buffer
	opt := Options{Dir: t.TempDir(), Log: slog.New(slog.NewTextHandler(&said, nil))}
	path := filepath.Join(opt.Dir, lossFile)
	if err := os.WriteFile(path, []byte(`{"frames":2,"losses":[{"fir`), 0o600); err != nil {
		t.Fatal(err)
	}
	b := open(t, opt)
	fill(t, b, 1, 10)
	if st := b.Stats(t.Context()); st.Lost != 0 || st.Losses != nil || !bytes.Contains(said.Bytes(), []byte(path)) {
		t.Errorf("%+v, said %s", st, &said)
	}
}

// A crash while the log is mended begins the mending anew.
func TestCrashWhileMending(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := open(t, Options{Dir: dir})
	fill(t, b, 10, 1000)
	_ = b.Close()
	flip(t, dir, 4, 1000)
	if err := scrub(&b.opt); err != nil {
		t.Fatal(err)
	}
	half := open(t, Options{Dir: t.TempDir()})
	fill(t, half, 2, 1000)
	_ = half.Close()
	if err := os.Rename(filepath.Join(half.opt.Dir, storeDir), filepath.Join(dir, storeDir)); err != nil {
		t.Fatal(err)
	}
	b = open(t, Options{Dir: dir})
	if st := b.Stats(t.Context()); st.Lost != 1 || st.First != 1 || st.Last != 10 {
		t.Fatalf("%+v", st)
	}
	check(t, b, 5, 10)
}

// A crash while the damaged store is removed costs nothing of the mended one, and a
// loss that is found twice is one.
func TestCrashAfterMending(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := open(t, Options{Dir: dir})
	fill(t, b, 10, 1000)
	_ = b.Close()
	flip(t, dir, 4, 1000)
	b = open(t, Options{Dir: dir})
	_ = b.Close()
	left := filepath.Join(dir, mendedDir, "half")
	if err := os.MkdirAll(left, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := note(&b.opt, []Damage{{4, 4}}); err != nil {
		t.Fatal(err)
	}
	b = open(t, Options{Dir: dir})
	if st := b.Stats(t.Context()); st.Lost != 1 || len(st.Losses) != 1 {
		t.Errorf("%+v", st)
	}
	check(t, b, 5, 10)
	if _, err := os.Stat(filepath.Dir(left)); err == nil {
		t.Error("the damaged store is still there")
	}
}

// The list of losses is bounded: what is not listed is counted, and it is known up to
// where it lies.
func TestManyLosses(t *testing.T) {
	t.Parallel()
	opt := Options{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)}
	for range 2 {
		var found []Damage
		for i := range uint64(lossMost/2 + 1) {
			first := readLosses(&opt).Frames*2 + 4*i + 1
			found = append(found, Damage{first, first + 1})
		}
		if err := note(&opt, found); err != nil {
			t.Fatal(err)
		}
	}
	b := open(t, opt)
	st := b.Stats(t.Context())
	if st.Lost != 2*(lossMost+2) || len(st.Losses) != lossMost || st.Unlisted != 4 || st.UnlistedLast != 6 || st.Losses[0].First != 9 {
		t.Errorf("%d lost, %d listed from %v on, %d not, up to %d", st.Lost, len(st.Losses), st.Losses[0], st.Unlisted, st.UnlistedLast)
	}
}

// Damage that the server's restart within a life finds ends that life.
func TestRotInALife(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := open(t, Options{Dir: dir})
	fill(t, b, 6, 1000)
	_ = b.Close()
	b = open(t, Options{Dir: dir, After: 3}) // the archive has three
	for _, seq := range []uint64{3, 4} {
		select {
		case <-b.Damaged():
			t.Fatal("damaged before anything is")
		default:
		}
		flip(t, dir, seq, 1000)
		if err := b.restart(b.node); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-b.Damaged():
	default:
		t.Error("nobody is told that a frame is lost")
	}
}

// sealed is a record as the server writes it, in segment 1.
func sealed(seq uint64, headers, message string) []byte {
	le := binary.LittleEndian
	length := uint32(recordHead + len(subject) + len(message) + recordSum)
	if headers != "" {
		length += uint32(4+len(headers)) | headersBit
	}
	out := le.AppendUint32(nil, length)
	out = le.AppendUint64(le.AppendUint64(out, seq), 1760000000)
	out = append(le.AppendUint16(out, uint16(len(subject))), subject...)
	if headers != "" {
		out = append(le.AppendUint32(out, uint32(len(headers))), headers...)
	}
	out = append(out, message...)
	key := sha256.Sum256([]byte(streamName + "-1"))
	sum, _ := highwayhash.New64(key[:])
	sum.Write(out[4:20])
	sum.Write([]byte(subject))
	if headers != "" {
		sum.Write([]byte(headers))
	}
	sum.Write([]byte(message))
	return le.AppendUint64(out, sum.Sum64())
}

// Whichever bit of a log is flipped, one frame is lost, and it is that. But where
// the log has one frame, whose sequence becomes one that the archive has, it is taken
// for the newest frame of before, which is never trimmed.
func TestEveryBit(t *testing.T) {
	t.Parallel()
	records := [][]byte{sealed(7, "NATS/1.0\r\n\r\n", "first"), sealed(8, "NATS/1.0\r\n\r\n", string(make([]byte, 700))), sealed(9, "", "third")}
	for n := range records {
		log := slices.Concat(records[:n+1]...)
		for bit := range 8 * len(log) {
			hit := uint64(7) // is in the record that has the bit
			for end := len(records[0]); bit/8 >= end; end += len(records[hit-7]) {
				hit++
			}
			data := slices.Clone(log)
			data[bit/8] ^= 1 << (bit % 8)
			var sound []uint64
			w := &walker{after: 6, fn: func(seq uint64, _ []byte) error { sound = append(sound, seq); return nil }}
			if err := w.segment(data, 1, true); err != nil {
				t.Fatal(err)
			}
			lost := w.end()
			if n == 0 && bit >= 8*4 && bit < 8*4+3 { // 7 has become 6, 5 or 3
				continue
			}
			if len(lost) != 1 || max(lost[0].First, 7) != hit || lost[0].Last != hit || len(sound) != n || slices.Contains(sound, hit) {
				t.Fatalf("of %d frames bit %d is flipped, in frame %d: sound %v, lost %v", n+1, bit, hit, sound, lost)
			}
		}
	}
}

// FuzzSegment: no bytes make the reader of segments panic, and what it gives is
// what was there.
func FuzzSegment(f *testing.F) {
	all := slices.Concat(sealed(7, "", "first"), sealed(8, "NATS/1.0\r\n\r\n", "second"), sealed(9, "", "third"))
	f.Add(all)
	f.Add(all[:len(all)-3])
	f.Add(all[20:])
	f.Fuzz(func(t *testing.T, data []byte) {
		last, n := uint64(0), 0
		w := &walker{fn: func(seq uint64, frame []byte) error {
			if n++; seq <= last || !bytes.Contains(data, frame) {
				t.Fatalf("frame %d after %d, or one that is not there", seq, last)
			}
			last = seq
			return nil
		}}
		if err := w.segment(data, 1, true); err != nil {
			t.Fatal(err)
		}
		for _, d := range w.end() {
			if d.First > d.Last {
				t.Fatal(d)
			}
		}
		if bytes.Equal(data, all) && n != 3 {
			t.Fatalf("%d frames of 3", n)
		}
	})
}
