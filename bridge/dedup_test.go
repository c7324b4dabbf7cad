package bridge

import (
	"fmt"
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

// The limit is one cache miss for a new id, two for a known one.
func BenchmarkIDSet(b *testing.B) {
	for _, size := range []int{10_000, 8_000_000} {
		s := newIDSet(1<<40, 1<<30)
		for i := range size {
			s.add(s.identify(strconv.Itoa(i)), 1)
		}
		ids := make([]string, 1<<16)
		for i := range ids {
			ids[i] = fmt.Sprintf("%016x", rand.Uint64())
		}
		b.Run(fmt.Sprint("new/", size), func(b *testing.B) {
			added := 0
			for i := 0; b.Loop(); i++ {
				s.add(s.identify(ids[i&(1<<16-1)]), 1)
				if added++; added == 1<<16 {
					s.undo(added)
					added = 0
				}
			}
			s.undo(added)
		})
		b.Run(fmt.Sprint("known/", size), func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				if s.add(s.identify(strconv.Itoa(i*7919%size)), 1) {
					b.Fatal("unknown")
				}
			}
		})
	}
}
