package frames

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"vitrine/bridge/event"
)

// update writes the golden files that are not there yet. One that is there is
// never written over: what was written once must stay readable for ever.
var update = flag.Bool("update", false, "write the missing golden frames")

// goldenRecords are the records of testdata/frame-v1.bin.
func goldenRecords() []event.Record {
	full := event.Event{
		UserID: "u1", ItemID: "i9", Type: "view", Time: 1795341600000, Value: 2.5, HasValue: true,
		EventID: "e-1", SessionID: "s-1", RequestID: "r-1", Position: 3, Scene: "home",
		Price: 9.5, HasPrice: true, Currency: "EUR", Props: `{"a":[1,{"b":null}]}`,
	}
	return []event.Record{
		{Kind: event.KindEvent, Event: event.Event{UserID: "u1", ItemID: "i1", Type: "view", Time: 1700000000000}},
		{Kind: event.KindEvent, Event: full, Source: event.Source{Name: "http"}},
		{Kind: event.KindEvent, Event: event.Event{UserID: "u1", ItemID: "i2", Type: "purchase", Time: 1600000000000, Value: 1 << 53, HasValue: true, EventID: "x"}, Source: event.Source{Name: "user-events", Partition: 7, Offset: 1 << 40}},
		{Kind: event.KindItemPut, Source: event.Source{Name: "user-events", Partition: 7, Offset: 5}, Item: event.Item{
			ID: "i1", Time: 1700000000001, ExpiresAt: 1700000100000,
			Attributes: []event.Attribute{
				{Name: "category", Value: event.Value{Kind: event.String, Str: "lamps \u00e9"}},
				{Name: "new", Value: event.Value{Kind: event.Bool, Bool: true}},
				{Name: "price", Value: event.Value{Kind: event.Number, Num: -9.75}},
				{Name: "tags", Value: event.Value{Kind: event.Set, Set: []string{"home", "oak"}}},
				{Name: "void", Value: event.Value{Kind: event.Set, Set: []string{}}},
			},
		}},
		{Kind: event.KindItemPatch, Item: event.Item{ID: "i2", Time: 1700000000002}},
	}
}

// userRecords are the records of testdata/frame-v1-users.bin: the kinds of
// record and value that came after the first golden frame.
func userRecords() []event.Record {
	return []event.Record{
		{Kind: event.KindUserPut, Source: event.Source{Name: "users.csv", Offset: 2}, User: event.User{
			ID: "u1", Time: 1700000000000,
			Attributes: []event.Attribute{
				{Name: "age", Value: event.Value{Kind: event.Number, Num: 41}},
				{Name: "region", Value: event.Value{Kind: event.String, Str: "north"}},
				{Name: "segments", Value: event.Value{Kind: event.Set, Set: []string{"trade", "vip"}}},
			},
		}},
		{Kind: event.KindEvent, Source: event.Source{Name: "http"}, Event: event.Event{UserID: "u1", ItemID: "i1", Type: "view", Time: 1700000000001}},
		{Kind: event.KindUserPatch, Source: event.Source{Name: "http"}, User: event.User{
			ID: "u1", Time: 1700000000002,
			Attributes: []event.Attribute{{Name: "age", Value: event.Value{Kind: event.Removed}}, {Name: "vip", Value: event.Value{Kind: event.Bool, Bool: true}}},
		}},
		{Kind: event.KindItemPatch, Source: event.Source{Name: "http"}, Item: event.Item{
			ID: "i1", Time: 1700000000003, Attributes: []event.Attribute{{Name: "stock", Value: event.Value{Kind: event.Removed}}},
		}},
		{Kind: event.KindUserPut, Source: event.Source{Name: "http"}, User: event.User{ID: "u2", Time: 1700000000004}},
	}
}

// removalRecords are the records of testdata/frame-v1-removals.bin: the kinds
// that take something away.
func removalRecords() []event.Record {
	return []event.Record{
		{Kind: event.KindItemDelete, Source: event.Source{Name: "http"}, Item: event.Item{ID: "i1", Time: 1700000000000}},
		{Kind: event.KindUserErase, Source: event.Source{Name: "http"}, User: event.User{ID: "u1", Time: 1700000000001}},
		{Kind: event.KindUserMerge, Source: event.Source{Name: "http"}, User: event.User{ID: "guest", Into: "u2", Time: 1700000000002}},
	}
}

// servedRecords are the records of testdata/frame-v1-served.bin.
func servedRecords() []event.Record {
	return []event.Record{
		{Kind: event.KindServed, Served: &event.Served{
			RequestID: "r-1", UserID: "u1", Time: 1700000000000, List: "recommend", Scene: "home", Source: "live", Model: "20261120T100000.000Z",
			Rules: 3, Plugins: []string{"fresh@1.0.0", "price-band@1.2.0"}, Items: []event.ServedItem{{ID: "i1", Score: 0.75}, {ID: "i2", Score: -0.5}},
		}},
		{Kind: event.KindServed, Served: &event.Served{RequestID: "r-2", Time: 1700000000005, List: "similar", Subject: "i1", Source: "empty", Reason: "unknown_item"}},
	}
}

// allRecords are those of every golden frame.
func allRecords() []event.Record {
	return slices.Concat(goldenRecords(), userRecords(), removalRecords(), servedRecords())
}

// build packs records into a frame.
func build(records []event.Record) []byte {
	var b Builder
	for i := range records {
		b.Add(&records[i])
	}
	return b.Seal()
}

// decode unpacks a frame.
func decode(data []byte) ([]event.Record, error) {
	var out []event.Record
	err := Decode(data, func(r *event.Record) error {
		out = append(out, *r)
		return nil
	})
	return out, err
}

func TestGolden(t *testing.T) {
	for name, want := range map[string][]event.Record{
		"frame-v1.bin": goldenRecords(), "frame-v1-users.bin": userRecords(), "frame-v1-removals.bin": removalRecords(),
		"frame-v1-served.bin": servedRecords(),
	} {
		path := filepath.Join("testdata", name)
		if _, err := os.Stat(path); *update && errors.Is(err, fs.ErrNotExist) {
			if err := os.WriteFile(path, build(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decode(data)
		if err != nil {
			t.Fatalf("%s: a frame of version 1 must stay readable for ever: %v", name, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%s: got  %+v\nwant %+v", name, got, want)
		}
		if !bytes.Equal(build(want), data) {
			t.Errorf("%s: version 1 is written differently now: raise the version if that is meant", name)
		}
	}
}

func TestBuilder(t *testing.T) {
	var b Builder
	if got, err := decode(b.Seal()); err != nil || len(got) != 0 || b.Size() != headerSize {
		t.Fatalf("empty frame: %v, %v, size %d", got, err, b.Size())
	}
	records := append(allRecords(), event.Record{Kind: event.KindEvent, Event: event.Event{Position: -7, Time: math.MinInt64, Value: math.Copysign(0, -1), HasValue: true}, Source: event.Source{Partition: -1, Offset: math.MinInt64}})
	records = append(records, event.Record{Kind: event.KindEvent, Event: event.Event{Time: math.MaxInt64, Position: math.MaxInt32}, Source: event.Source{Offset: math.MaxInt64}})
	for round := range 3 {
		b.Reset()
		for i := range records {
			b.Add(&records[i])
			// Sealing in between must not disturb what follows.
			if got, err := decode(b.Seal()); err != nil || !reflect.DeepEqual(got, records[:i+1]) {
				t.Fatalf("round %d, %d records: %v\n%+v", round, i+1, err, got)
			}
		}
		if frame := b.Seal(); b.Len() != len(records) || b.Size() != len(frame) {
			t.Errorf("Len %d, Size %d of a frame of %d records and %d bytes", b.Len(), b.Size(), len(records), len(frame))
		}
	}
}

// TestAfterLarge builds a small frame with the memory of a large one: the
// texts of the large one are forgotten, and the bytes those of a fresh builder.
func TestAfterLarge(t *testing.T) {
	var b Builder
	large := shopRecords(20_000)
	for _, n := range []int{len(large), 3, 40, len(large), 3} {
		b.Reset()
		for i := range large[:n] {
			b.Add(&large[len(large)-n+i])
		}
		got := b.Seal()
		if want := build(large[len(large)-n:]); !bytes.Equal(got, want) {
			t.Fatalf("%d records: %d bytes, want %d", n, len(got), len(want))
		}
		if back, err := decode(got); err != nil || !reflect.DeepEqual(back, large[len(large)-n:]) {
			t.Fatalf("%d records: %v", n, err)
		}
	}
}

// TestDamage flips every bit and cuts at every length: nothing may get
// past the checksum, and nothing may reach fn before it.
func TestDamage(t *testing.T) {
	frame := build(allRecords())
	refuse := func(data []byte, what string) {
		t.Helper()
		err := Decode(data, func(*event.Record) error { t.Fatalf("%s: fn was called", what); return nil })
		var corrupt *CorruptError
		if !errors.As(err, &corrupt) {
			t.Fatalf("%s: %v", what, err)
		}
	}
	for i := range frame {
		for bit := range 8 {
			bad := bytes.Clone(frame)
			bad[i] ^= 1 << bit
			refuse(bad, fmt.Sprintf("byte %d bit %d", i, bit))
		}
		refuse(frame[:i], fmt.Sprintf("cut to %d", i))
	}
	refuse(append(bytes.Clone(frame), 0), "one byte more")
}

// resum puts a right checksum and length on a frame, as a hostile writer does.
func resum(frame []byte) []byte {
	binary.LittleEndian.PutUint32(frame[8:], uint32(len(frame)-headerSize))
	binary.LittleEndian.PutUint32(frame[28:], checksum(frame))
	return frame
}

// TestHostile changes every byte under a right checksum: any outcome but
// a panic is good, and what decodes must encode again.
func TestHostile(t *testing.T) {
	records := allRecords()
	frame := build(records)
	for i := range frame {
		for _, v := range []byte{0, 1, 0x7f, 0x80, 0xff} {
			bad := bytes.Clone(frame)
			bad[i] = v
			if _, err := decode(resum(bad)); err != nil {
				var corrupt *CorruptError
				if !errors.As(err, &corrupt) {
					t.Fatalf("byte %d = %#x: %v", i, v, err)
				}
			}
		}
		if _, err := decode(resum(bytes.Clone(frame[:max(i, headerSize)]))); err == nil && i != len(frame) {
			t.Fatalf("cut to %d and summed again was taken for good", i)
		}
	}
	huge := bytes.Clone(build(nil))
	binary.LittleEndian.PutUint32(huge[12:], math.MaxUint32)
	binary.LittleEndian.PutUint32(huge[16:], math.MaxUint32)
	if _, err := decode(resum(huge)); err == nil {
		t.Error("announced records that are not there")
	}
	fewer := bytes.Clone(frame)
	fewer[12]--
	if got, err := decode(resum(fewer)); err == nil || len(got) != len(records)-1 {
		t.Errorf("a record beyond the announced ones: %d records, %v", len(got), err)
	}
}

func TestDecodeStops(t *testing.T) {
	stop := errors.New("stop")
	calls := 0
	err := Decode(build(goldenRecords()), func(*event.Record) error { calls++; return stop })
	if !errors.Is(err, stop) || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
}

// FuzzDecode feeds bodies under right checksums, so that the fuzzer gets
// past them.
func FuzzDecode(f *testing.F) {
	f.Add(build(goldenRecords()))
	f.Add(build(userRecords()))
	f.Add(build(removalRecords()))
	f.Add(build(servedRecords()))
	f.Add(build(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) >= headerSize {
			copy(data, magic)
			binary.LittleEndian.PutUint16(data[4:], version)
			binary.LittleEndian.PutUint16(data[6:], 0)
			binary.LittleEndian.PutUint32(data[24:], 0)
			resum(data)
		}
		got, err := decode(data)
		if err != nil {
			return
		}
		again, err := decode(build(got))
		if err != nil || len(again) != len(got) || text(got) != text(again) {
			t.Fatalf("%+v was written and read as %+v, %v", got, again, err)
		}
	})
}

// text prints records whole, so that those with NaN can be compared.
func text(records []event.Record) string {
	var out []byte
	for _, r := range records {
		served := r.Served
		r.Served = nil
		out = fmt.Appendf(out, "%+v", r)
		if served != nil {
			out = fmt.Appendf(out, " %+v", *served)
		}
	}
	return string(out)
}

// shopRecords look like an hour of a shop: skewed users and items, sessions,
// an event id of 24 characters each.
func shopRecords(n int) []event.Record {
	records := make([]event.Record, n)
	types := []string{"view", "view", "view", "click", "cart", "purchase"}
	state := uint64(42)
	next := func(limit float64) int {
		state = state*6364136223846793005 + 1442695040888963407
		u := float64(state>>11) / (1 << 53)
		return int(u * u * limit)
	}
	for i := range records {
		user := next(20000)
		records[i] = event.Record{Kind: event.KindEvent, Source: event.Source{Name: "http"}, Event: event.Event{
			UserID: fmt.Sprintf("u%d", user), ItemID: fmt.Sprintf("i%d", next(5000)), Type: types[next(6)],
			Time: 1700000000000 + int64(i)*7, EventID: fmt.Sprintf("%024x", state), SessionID: fmt.Sprintf("s-%d", user),
		}}
	}
	return records
}

// BenchmarkFrame packs and unpacks frames as the bus carries them. The floor
// is the strings: about two fresh ones a record are allocated on reading, 25
// ns each, and three look-ups in the table on writing, 10 ns each.
func BenchmarkFrame(b *testing.B) {
	records := shopRecords(4096)
	frame := bytes.Clone(build(records))
	perRecord := func(b *testing.B) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(records)), "ns/record")
		b.ReportMetric(float64(len(frame))/float64(len(records)), "B/record")
	}
	b.Run("encode", func(b *testing.B) {
		var fb Builder
		for b.Loop() {
			fb.Reset()
			for i := range records {
				fb.Add(&records[i])
			}
			fb.Seal()
		}
		perRecord(b)
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := Decode(frame, func(*event.Record) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
		perRecord(b)
	})
}
