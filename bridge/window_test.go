package bridge

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"vitrine/bridge/event"
	"vitrine/bridge/event/frames"
)

// TestSiphash holds the hash against the first vectors of its reference code:
// the key is the bytes 0 to 15, the input the first n of 0, 1, 2, ...
func TestSiphash(t *testing.T) {
	var key [16]byte
	input := make([]byte, 16)
	for i := range input {
		key[i], input[i] = byte(i), byte(i)
	}
	for n, want := range map[int]string{0: "a3817f04ba25a8e66df67214c7550293", 1: "da87c1d86b99af44347659119b22fc45"} {
		lo, hi := siphash(&key, string(input[:n]))
		got := make([]byte, 0, 16)
		for _, half := range []uint64{lo, hi} {
			for range 8 {
				got = append(got, byte(half))
				half >>= 8
			}
		}
		if hex.EncodeToString(got) != want {
			t.Errorf("%d bytes: %x, want %s", n, got, want)
		}
	}
}

// FuzzSiphash holds it against the text of the definition, word by word.
func FuzzSiphash(f *testing.F) {
	for n := range 34 {
		f.Add(uint64(n), ^uint64(n), bytes.Repeat([]byte{byte(n), 0xff}, n)[:n])
	}
	f.Fuzz(func(t *testing.T, k0, k1 uint64, text []byte) {
		var key [16]byte
		binary.LittleEndian.PutUint64(key[:], k0)
		binary.LittleEndian.PutUint64(key[8:], k1)
		v := [4]uint64{k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d ^ 0xee, k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573}
		rounds := func(n int) uint64 {
			for range n {
				v[0], v[1], v[2], v[3] = sipRound(v[0], v[1], v[2], v[3])
			}
			return v[0] ^ v[1] ^ v[2] ^ v[3]
		}
		padded := append(bytes.Clone(text), make([]byte, 8-len(text)%8)...)
		padded[len(padded)-1] = byte(len(text))
		for ; len(padded) > 0; padded = padded[8:] {
			word := binary.LittleEndian.Uint64(padded)
			v[3] ^= word
			rounds(2)
			v[0] ^= word
		}
		v[2] ^= 0xee
		wantLo := rounds(4)
		v[1] ^= 0xdd
		wantHi := rounds(4)
		if lo, hi := siphash(&key, string(text)); lo != wantLo || hi != wantHi {
			t.Fatalf("%x: %x %x, want %x %x", text, lo, hi, wantLo, wantHi)
		}
	})
}

func BenchmarkIdentify(b *testing.B) {
	s := newIDSet(1, 1)
	b.ReportAllocs()
	for b.Loop() {
		s.identify("0123456789abcdef0123456789abcdef")
	}
}

// windowOf restores the blocks of a window into a new set.
func windowOf(t testing.TB, w *Window, limit int) *idSet {
	t.Helper()
	s := newIDSet(10_000, limit)
	p := New(&memLog{}, nil, Options{})
	p.ids = s
	if err := w.Write(p.Restore); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(w.places, p.places.all()) {
		t.Fatalf("places %v, want %v", p.places.all(), w.places)
	}
	return s
}

// TestWindowSurvives: a restored set knows the same ids, and forgets them at
// the same time.
func TestWindowSurvives(t *testing.T) {
	const n = 70_000
	p := New(&memLog{}, nil, Options{DedupWindow: 10 * time.Second, DedupMax: n})
	for i := range n {
		p.ids.add(p.ids.identify(fmt.Sprint(i)), int64(i)/10)
	}
	p.Passed(Place{"topic:a", 0}, 5)
	p.Passed(Place{"topic:b", 17}, 1<<40)
	p.ids.expire(12_000)
	back := windowOf(t, p.Window(), n)
	if back.count != p.ids.count || back.count == n || back.count == 0 {
		t.Fatalf("%d identities, want %d", back.count, p.ids.count)
	}
	for _, now := range []int64{12_000, 14_000, 16_500, 30_000} {
		p.ids.expire(now)
		back.expire(now)
		for i := range n {
			id := p.ids.identify(fmt.Sprint(i))
			if id != back.identify(fmt.Sprint(i)) {
				t.Fatal("another key")
			}
			_, want := p.ids.find(p.ids.room(id), id)
			if _, got := back.find(back.room(id), id); got != want {
				t.Fatalf("at %d id %d: known %v, want %v", now, i, got, want)
			}
		}
	}
	if windowOf(t, p.Window(), n).count != 0 {
		t.Error("an empty window is not empty")
	}
}

// TestBetween: a window that is taken while frames go on holds what was
// accepted up to its position and nothing else.
func TestBetween(t *testing.T) {
	log := &memLog{}
	p := New(log, nil, Options{})
	ctx, stop := context.WithCancel(t.Context())
	var wg, run sync.WaitGroup
	run.Go(func() { _ = p.Run(ctx) })
	for i := range 4 {
		wg.Go(func() {
			for j := range 200 {
				r := event.Record{Kind: event.KindEvent, Event: event.Event{UserID: "u", ItemID: "i", Type: "view", EventID: fmt.Sprint(i, "-", j)}}
				if _, err := p.Submit(t.Context(), []event.Record{r}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	check := func() {
		var w *Window
		var at uint64
		if err := p.Between(t.Context(), func(seq uint64) { w, at = p.Window(), seq }); err != nil {
			t.Fatal(err)
		}
		want := 0
		if _, err := log.Read(t.Context(), 0, func(seq uint64, f []byte) error {
			return frames.Decode(f, func(*event.Record) error {
				if seq <= at {
					want++
				}
				return nil
			})
		}); err != nil {
			t.Fatal(err)
		}
		if got := windowOf(t, w, 1<<20).count; got != want {
			t.Fatalf("%d identities at frame %d, want %d", got, at, want)
		}
	}
	for range 20 {
		check()
	}
	wg.Wait()
	stop()
	run.Wait()
	check()
	if err := p.Between(ctx, func(uint64) { t.Error("done after the end of the context") }); err == nil {
		t.Error("no error")
	}
}

func FuzzRestoreWindow(f *testing.F) {
	p := New(&memLog{}, nil, Options{})
	for i := range 700 {
		p.ids.add(p.ids.identify(fmt.Sprint(i)), int64(i))
	}
	if err := p.Window().Write(func(block []byte) error { f.Add(bytes.Clone(block)); return nil }); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, block []byte) {
		p := New(&memLog{}, nil, Options{DedupMax: 1000})
		if p.Restore(block) == nil && p.ids.count > len(block)/identitySize {
			t.Fatalf("%d identities of %d bytes", p.ids.count, len(block))
		}
	})
}
