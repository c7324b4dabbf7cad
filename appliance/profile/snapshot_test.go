package profile

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"vitrine/appliance/signal"
	"vitrine/bridge/event"
)

// mixed are events, late ones and resent ones among them, erasures and merges.
func mixed(seed uint64, n int) []event.Record {
	rng := rand.New(rand.NewPCG(seed, 1))
	out := make([]event.Record, n)
	for i := range out {
		user := fmt.Sprint(rng.IntN(300))
		switch rng.IntN(60) {
		case 0:
			out[i] = event.Record{Kind: event.KindUserErase, User: event.User{ID: user}}
			continue
		case 1:
			out[i] = event.Record{Kind: event.KindUserMerge, User: event.User{ID: user, Into: fmt.Sprint(rng.IntN(300))}}
			continue
		}
		types := []string{"view", "cart", "purchase", "rating", "remove"}
		out[i] = record(user, fmt.Sprint(rng.IntN(200)), types[rng.IntN(len(types))], int64(i)*1000-int64(rng.IntN(40))*5000)
		e := &out[i].Event
		if e.HasValue = rng.IntN(2) == 0; e.HasValue {
			e.Value = float64(rng.IntN(5))
		}
		if rng.IntN(2) == 0 {
			e.EventID = fmt.Sprint(rng.IntN(n))
		}
	}
	return out
}

// equal compares all that two stores answer from, to the last bit.
func equal(t testing.TB, got, want *Store, users int) {
	t.Helper()
	if got.Users() != want.Users() || got.Newest() != want.Newest() {
		t.Fatalf("%d users, newest %d; want %d, %d", got.Users(), got.Newest(), want.Users(), want.Newest())
	}
	for user := range uint32(users) {
		a, b := history{}, history{}
		for s, h := range map[*Store]*history{got: &a, want: &b} {
			if at := int(user / numShards); at < len(s.shards[user%numShards].histories) {
				*h = s.shards[user%numShards].histories[at]
			}
		}
		if b.seq == 0 {
			b.floor = a.floor
		}
		if a.seq != b.seq || a.floor != b.floor || !slices.EqualFunc(a.events, b.events, func(x, y signal.Interaction) bool {
			return same(x, y) && x.ID == y.ID
		}) {
			t.Fatalf("user %d: %+v\nwant %+v", user, a, b)
		}
	}
	for _, p := range [][2]*popularity{{&got.popular, &want.popular}, {&got.trend.short, &want.trend.short}} {
		if !slices.Equal(p[0].scores, p[1].scores) || p[0].landmark != p[1].landmark || p[0].newest != p[1].newest {
			t.Fatal("popularity differs")
		}
	}
}

// TestFrozenIsOfOneMoment writes a store while it goes on, and compares what
// was written with a store that stopped at that moment; then both go on alike.
func TestFrozenIsOfOneMoment(t *testing.T) {
	sig := newSignal(t, signal.Config{MaxItems: 12, MaxEvents: 20, HalfLife: time.Hour})
	all := mixed(7, 16_000)
	const half = 8_000
	codes := newTable()
	running, stopped := New(sig, codes), New(sig, codes)
	running.Apply(1, all[:half])
	stopped.Apply(1, all[:half])
	limits := Limits{Items: len(codes.items), Users: len(codes.users)}

	frozen := running.Freeze()
	var blocks [][]byte
	var wg sync.WaitGroup
	next := make(chan struct{})
	wg.Go(func() {
		<-next
		if err := frozen.Write(func(b []byte) error { blocks = append(blocks, bytes.Clone(b)); return nil }); err != nil {
			t.Error(err)
		}
	})
	for i := half; i < len(all); i++ {
		if i == half+500 {
			close(next)
		}
		running.Apply(2, all[i:i+1])
	}
	wg.Wait()

	restored := New(sig, codes)
	for _, b := range blocks {
		if err := restored.Restore(b, limits); err != nil {
			t.Fatal(err)
		}
	}
	equal(t, restored, stopped, len(codes.users))
	restored.Apply(2, all[half:])
	stopped.Apply(2, all[half:])
	equal(t, restored, stopped, len(codes.users))
	equal(t, running, stopped, len(codes.users))
	if frozen.Thaw(); running.shards[0].frozen || running.shards[0].kept != nil {
		t.Error("still frozen")
	}
}

func FuzzRestore(f *testing.F) {
	sig := newSignal(f, signal.Config{})
	codes := newTable()
	s := New(sig, codes)
	s.Apply(1, mixed(3, 400))
	most := Limits{Items: len(codes.items), Users: len(codes.users)}
	if err := s.Freeze().Write(func(b []byte) error { f.Add(bytes.Clone(b)); return nil }); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, block []byte) {
		s := New(sig, codes)
		if s.Restore(block, most) != nil {
			return
		}
		var out [][]byte
		if err := s.Freeze().Write(func(b []byte) error { out = append(out, bytes.Clone(b)); return nil }); err != nil {
			t.Fatal(err)
		}
		again := New(sig, codes)
		for _, b := range out {
			if err := again.Restore(b, most); err != nil {
				t.Fatal(err)
			}
		}
		equal(t, again, s, most.Users)
	})
}
