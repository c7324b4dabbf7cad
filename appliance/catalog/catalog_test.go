package catalog

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"unsafe"

	"vitrine/bridge/event"
)

func TestCodes(t *testing.T) {
	c := New()
	n := 3*chunkSize + 17
	for j := range n {
		if code := c.InternItem(fmt.Sprintf("item-%d", j)); code != uint32(j) {
			t.Fatalf("item %d got code %d", j, code)
		}
	}
	c.InternUser("item-0")
	if c.NumItems() != n || c.NumUsers() != 1 {
		t.Fatalf("%d items, %d users", c.NumItems(), c.NumUsers())
	}
	for j := range n {
		id := fmt.Sprintf("item-%d", j)
		if code, ok := c.ItemCode(id); !ok || code != uint32(j) || c.ItemID(code) != id {
			t.Fatalf("%s has code %d (%v), which is %s", id, code, ok, c.ItemID(code))
		}
	}
	if _, ok := c.ItemCode("nope"); ok || c.ItemID(uint32(n)) != "" || c.ItemID(^uint32(0)) != "" {
		t.Error("an unknown item is known")
	}
	if code := c.InternItem("new"); code != uint32(n) {
		t.Errorf("the next code is %d, want %d", code, n)
	}
}

func text(name, v string) event.Attribute {
	return event.Attribute{Name: name, Value: event.Value{Kind: event.String, Str: v}}
}

func TestAttributes(t *testing.T) {
	c := New()
	code := c.InternItem("i1")
	if _, ok := c.Item(code); ok {
		t.Error("an item without attributes has some")
	}
	if _, ok := c.Item(1 << 30); ok || c.Expired(1<<30, 1) {
		t.Error("an unknown item has attributes")
	}
	c.ApplyItem(&event.Item{ID: "i1", Time: 1, ExpiresAt: 100, Attributes: []event.Attribute{text("brand", "x"), text("name", "lamp")}}, false)
	c.ApplyItem(&event.Item{ID: "i1", Time: 2, Attributes: []event.Attribute{text("brand", "y")}}, true)
	it, ok := c.Item(code)
	if !ok || it.ID != "i1" || it.Time != 2 || it.ExpiresAt != 100 || fmt.Sprint(it.Attributes) != fmt.Sprint([]event.Attribute{text("brand", "y"), text("name", "lamp")}) {
		t.Errorf("after the patch: %+v", it)
	}
	for now, want := range map[int64]bool{0: false, 99: false, 100: true, 1000: true} {
		if c.Expired(code, now) != want {
			t.Errorf("expired at %d: %v", now, !want)
		}
	}
	c.Apply(9, []event.Record{
		{Kind: event.KindEvent, Event: event.Event{UserID: "u", ItemID: "other"}},
		{Kind: event.KindItemPatch, Item: event.Item{ID: "i1", ExpiresAt: 200}},
		{Kind: event.KindItemPut, Item: event.Item{ID: "i2", Attributes: []event.Attribute{text("name", "bed")}}},
	})
	if it, _ := c.Item(code); it.ExpiresAt != 200 || len(it.Attributes) != 2 {
		t.Errorf("a patch of the expiry alone: %+v", it)
	}
	c.ApplyItem(&event.Item{ID: "i1"}, false)
	if it, ok := c.Item(code); !ok || len(it.Attributes) != 0 || it.ExpiresAt != 0 {
		t.Errorf("after a put of nothing: %+v", it)
	}
	if c.NumItems() != 2 {
		t.Errorf("%d items, want 2: an event is not for the catalog", c.NumItems())
	}
}

// TestApplyItemCopies: a record's strings may be cut from a large buffer, and
// the record is reused.
func TestApplyItemCopies(t *testing.T) {
	c := New()
	it := event.Item{ID: "i", Attributes: []event.Attribute{
		text("name", "lamp"),
		{Name: "tags", Value: event.Value{Kind: event.Set, Set: []string{"a", "b"}}},
	}}
	c.ApplyItem(&it, false)
	it.Attributes[0].Value.Str = "changed"
	it.Attributes[1].Value.Set[0] = "changed"
	id := []byte("u")
	c.InternUser(unsafe.String(&id[0], 1))
	id[0] = 'x'
	if c.UserID(0) != "u" {
		t.Error("the catalog shares memory with the id")
	}
	got, _ := c.Item(0)
	if got.Attributes[0].Value.Str != "lamp" || got.Attributes[1].Value.Set[0] != "a" {
		t.Errorf("the catalog shares memory with the record: %+v", got)
	}
}

// TestReadersAndWriters is for the race detector: readers must see an id for
// every code they find.
func TestReadersAndWriters(t *testing.T) {
	c := New()
	const n = 20_000
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for j := range n {
				id := fmt.Sprint(j)
				code := c.InternItem(id)
				if j%10 == 0 {
					c.ApplyItem(&event.Item{ID: id, Attributes: []event.Attribute{text("name", id)}}, true)
				}
				if c.ItemID(code) != id {
					t.Errorf("code %d of %s is %q", code, id, c.ItemID(code))
					return
				}
			}
		})
	}
	wg.Go(func() {
		for c.NumItems() < n {
			last := c.NumItems()
			if last > 0 && c.ItemID(uint32(last-1)) == "" {
				t.Errorf("code %d has no id", last-1)
				return
			}
			if code, ok := c.ItemCode(fmt.Sprint(last)); ok {
				if it, ok := c.Item(code); ok && it.ID != c.ItemID(code) {
					t.Errorf("item %q under the code of %q", it.ID, c.ItemID(code))
					return
				}
			}
			runtime.Gosched()
		}
	})
	wg.Go(func() {
		for c.NumItems() < n {
			if err := c.Freeze(func(uint32, string, int64) bool { return false }).Write(func([]byte) error { return nil }); err != nil {
				t.Error(err)
				return
			}
		}
	})
	wg.Wait()
	if c.NumItems() != n {
		t.Errorf("%d items, want %d", c.NumItems(), n)
	}
}

func filled(b *testing.B, n int) (*Catalog, []string) {
	c := New()
	ids := make([]string, n)
	for j := range ids {
		ids[j] = fmt.Sprintf("customer-%07d", j)
		c.InternUser(ids[j])
	}
	return c, ids
}

// One hash and one map access; the floor is the cache misses of a map of this
// size, about 60 ns.
func BenchmarkLookup(b *testing.B) {
	c, ids := filled(b, 100_000)
	b.ReportAllocs()
	for j := 0; b.Loop(); j++ {
		if _, ok := c.UserCode(ids[j*7919%len(ids)]); !ok {
			b.Fatal("lost")
		}
	}
}

// The same while a writer adds users without a pause: readers share a lock
// with it for one insert in 64.
func BenchmarkLookupUnderWrites(b *testing.B) {
	c, ids := filled(b, 100_000)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for j := 0; ; j++ {
			select {
			case <-stop:
				return
			default:
				c.InternUser(fmt.Sprintf("new-%d", j%200_000))
			}
		}
	})
	b.ReportAllocs()
	for j := 0; b.Loop(); j++ {
		c.UserCode(ids[j*7919%len(ids)])
	}
	close(stop)
	wg.Wait()
}

func BenchmarkItemID(b *testing.B) {
	c, _ := filled(b, 100_000)
	for j := 0; b.Loop(); j++ {
		c.UserID(uint32(j * 7919 % 100_000))
	}
}

// BenchmarkMemory reports the bytes of RAM for one user, id included.
func BenchmarkMemory(b *testing.B) {
	const n = 1_000_000
	for b.Loop() {
		c := New()
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for j := range n {
			c.InternUser(fmt.Sprintf("customer-%07d", j))
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/user")
		runtime.KeepAlive(c)
	}
}

// TestExpiredOverTime: an item goes by what was said of it last, whatever it was
// before, and its neighbours in the flags by what was said of them.
func TestExpiredOverTime(t *testing.T) {
	c := New()
	random := rand.New(rand.NewPCG(2, 2))
	type said struct{ until, from int64 }
	last := map[string]said{}
	for n := range int64(3000) {
		id := fmt.Sprint("i", random.IntN(70))
		it := event.Item{ID: id, Time: n}
		now := said{}
		switch random.IntN(5) {
		case 0:
			now.until = 100
			it.ExpiresAt = 100
		case 1:
			now.from = 100
			it.Attributes = []event.Attribute{{Name: event.AvailableFrom, Value: event.Value{Kind: event.Number, Num: 0.1}}}
		}
		c.ApplyItem(&it, false)
		if random.IntN(5) == 0 {
			c.DeleteItem(id, n)
			now = said{until: 1}
		}
		last[id] = now
		for id, s := range last {
			code, _ := c.ItemCode(id)
			for _, at := range []int64{50, 100, 150} {
				if got, want := c.Expired(code, at), s.until != 0 && s.until <= at || s.from > at; got != want {
					t.Fatalf("step %d: %s with %+v is expired at %d: %v", n, id, s, at, got)
				}
			}
		}
	}
	if c.Expired(1<<31, 0) {
		t.Error("a code that was never given is expired")
	}
}
