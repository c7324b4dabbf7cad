package bridge

import (
	"math/rand/v2"
	"runtime"
	"strconv"
	"testing"
)

// The set against a plain map and a list, with expiry and undo.
func TestIDSetAgainstModel(t *testing.T) {
	const window, limit = 10_000, 3000
	rng := rand.New(rand.NewPCG(7, 7))
	s := newIDSet(window, limit)
	s.base = blockNumbers - 3 // positions wrap on the way
	arrival := map[identity]int64{}
	now := int64(1)
	for range 400 {
		now += rng.Int64N(400)
		s.expire(now)
		if s.count > limit {
			t.Fatalf("%d kept, limit %d", s.count, limit)
		}
		var added []identity
		for range rng.IntN(60) {
			id := s.identify(strconv.Itoa(rng.IntN(4000)))
			at, known := arrival[id]
			if s.add(id, now) {
				if known && at >= now-window && len(arrival) < limit {
					t.Fatal("forgotten within the window")
				}
				arrival[id] = now
				added = append(added, id)
			} else if !known || at < now-window-window/windowParts-1 {
				t.Fatalf("unknown or expired identity is a duplicate (now %d, arrival %d)", now, at)
			}
		}
		if rng.IntN(4) == 0 {
			count := s.count
			s.undo(len(added))
			if s.count != count-len(added) {
				t.Fatal("undo forgot another number")
			}
			for _, id := range added {
				if _, found := s.find(&s.shards[id.hi>>56], id); found {
					t.Fatal("known after undo")
				}
				delete(arrival, id)
			}
		}
	}
	s.expire(now + 2*window)
	if s.count != 0 || len(s.blocks) != 0 {
		t.Fatalf("%d ids in %d blocks after the window", s.count, len(s.blocks))
	}
	for i := range s.shards {
		if s.shards[i].n != 0 {
			t.Fatal("shard not empty")
		}
	}
}

func TestIDSetMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("fills a set with a million ids")
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s := newIDSet(1<<40, 1<<30)
	const n = 1_000_000
	for i := range n {
		s.add(identity{rand.Uint64(), rand.Uint64() + uint64(i)}, 1)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	per := float64(after.HeapAlloc-before.HeapAlloc) / n
	t.Logf("%.1f bytes per id", per)
	if per > 32 {
		t.Errorf("%.1f bytes per id, the documentation says about 25", per)
	}
	runtime.KeepAlive(s)
}

// BenchmarkIDSet has identities come as a batch does, read ahead and then added:
// to a set that grows to a million, to one that forgets one for each that comes,
// and as resent ones. The limit is one wait for memory for a new identity, one
// more for a forgotten or a known one, 100 ns each or, as many of them overlap, a
// tenth of that.
func BenchmarkIDSet(b *testing.B) {
	keys := make([]identity, touchIDs)
	number := uint64(0)
	key := func(n uint64) identity {
		h := n * 0x9e3779b97f4a7c15
		h = (h ^ h>>32) * 0xd6e8feb86659fd93
		return identity{h ^ h>>29, h * 0x9e3779b97f4a7c15}
	}
	add := func(s *idSet) {
		for i := range keys {
			keys[i] = key(number)
			number++
		}
		s.touch(keys)
		for _, id := range keys {
			s.add(id, 1)
		}
	}
	perID := func(b *testing.B, n int) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/id")
	}
	b.Run("growing", func(b *testing.B) {
		var s *idSet
		n := 0
		for ; b.Loop(); n += len(keys) {
			if n%(1<<20) == 0 {
				s = newIDSet(1<<40, 1<<30)
			}
			add(s)
		}
		perID(b, n)
	})
	const full = 8 << 20
	s := newIDSet(1<<40, full)
	number = 0
	for s.count < full {
		add(s)
	}
	b.Run("full", func(b *testing.B) {
		n := 0
		for ; b.Loop(); n += len(keys) {
			s.expire(1)
			add(s)
		}
		perID(b, n)
	})
	b.Run("known", func(b *testing.B) {
		s.expire(1)
		n := 0
		for b.Loop() {
			for i := range keys {
				keys[i] = key(number - 1 - uint64(n*7919%(full/2)))
				n++
			}
			s.touch(keys)
			for _, id := range keys {
				if s.add(id, 1) {
					b.Fatal("unknown")
				}
			}
		}
		perID(b, n)
	})
}

// TestIndexCrowded puts identities into few buckets of one shard, so that most of
// them are not in their own, and takes them out in any order.
func TestIndexCrowded(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	s := newIDSet(1<<40, 1<<30)
	known := map[identity]bool{}
	for step := range 60_000 {
		id := identity{hi: uint64(rng.IntN(3)), lo: uint64(rng.IntN(2)) * (1<<32 - 1) &^ (1<<20 - 1)}
		id.lo += uint64(rng.IntN(20)) << 12
		more := step / 3000 % 2 // in turns it grows and shrinks
		if s.add(id, 1) == known[id] {
			t.Fatalf("step %d: known %v is added otherwise", step, known[id])
		}
		known[id] = true
		for range rng.IntN(2) + more {
			for id := range known { // any
				s.drop(id)
				delete(known, id)
				break
			}
		}
	}
	for id := range known {
		if _, found := s.find(s.shard(id), id); !found {
			t.Fatal("lost")
		}
		s.drop(id)
	}
	if s.shards[0].n != 0 {
		t.Fatalf("%d left", s.shards[0].n)
	}
	for _, b := range s.shards[0].buckets {
		if b.low != 0 {
			t.Fatal("a hash is left")
		}
	}
}

// TestBucket: a bucket tells how full it is, which places a hash may be at, and the
// hashes themselves, also where their bytes lie next to each other.
func TestBucket(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	for range 2000 {
		var b idBucket
		var hashes []uint32
		for slot := range bucketIDs {
			hash := hashOf(identity{lo: rng.Uint64()&^0xff | uint64(rng.IntN(4))<<(rng.IntN(2)*6)})
			b.put(slot, rng.Uint32()|1, 1) // what was there goes
			b.put(slot, hash, uint32(slot))
			hashes = append(hashes, hash)
			if b.used() != slot+1 {
				t.Fatalf("%d of %d places are taken", b.used(), slot+1)
			}
			for low := range uint32(256) {
				match := b.match(low)
				for i := range bucketIDs {
					want := i <= slot && hashes[i]&0xff == low
					if got := match>>(i*8)&0xff == 1<<7; low != 0 && got != want {
						t.Fatalf("%x: place %d may be of %x: %v", hashes, i, low, got)
					}
				}
			}
			for i, hash := range hashes {
				if b.hash(i) != hash || b.pos[i] != uint32(i) {
					t.Fatalf("place %d of %x has %x at %d", i, hashes, b.hash(i), b.pos[i])
				}
			}
		}
	}
}
