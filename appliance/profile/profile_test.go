package profile

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vitrine/appliance/frame"
	"vitrine/appliance/signal"
	"vitrine/bridge/event"
)

// table is the simplest Codes.
type table struct{ users, items map[string]uint32 }

func newTable() *table { return &table{map[string]uint32{}, map[string]uint32{}} }

func intern(m map[string]uint32, id string) uint32 {
	if _, ok := m[id]; !ok {
		m[id] = uint32(len(m))
	}
	return m[id]
}

func (t *table) InternUser(id string) uint32 { return intern(t.users, id) }
func (t *table) InternItem(id string) uint32 { return intern(t.items, id) }

func newSignal(tb interface{ Fatal(...any) }, c signal.Config) *signal.Signal {
	sig, err := signal.New(c)
	if err != nil {
		tb.Fatal(err)
	}
	return sig
}

func record(user, item, typ string, t int64) event.Record {
	return event.Record{Kind: event.KindEvent, Event: event.Event{UserID: user, ItemID: item, Type: typ, Time: t}}
}

func same(a, b signal.Interaction) bool {
	return a.Time == b.Time && a.Item == b.Item && a.Type == b.Type &&
		math.Float32bits(a.Value) == math.Float32bits(b.Value)
}

// TestAnyArrivalEqualsBatch is what makes fold-in and training agree: the
// trainer sorts all events of a user by time, equal times in log order, and
// trims once; the profile gets them in any order that keeps equal times in
// log order, and trims as it goes.
func TestAnyArrivalEqualsBatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sig := newSignal(t, signal.Config{
			MaxItems:  rapid.IntRange(1, 5).Draw(t, "max items"),
			MaxEvents: rapid.IntRange(1, 20).Draw(t, "max events"),
			HalfLife:  time.Second,
		})
		log := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) event.Record {
			r := record(
				fmt.Sprint(rapid.IntRange(0, 1).Draw(t, "user")),
				fmt.Sprint(rapid.IntRange(0, 8).Draw(t, "item")),
				rapid.SampledFrom([]string{"view", "purchase", "rating", "remove", "impression"}).Draw(t, "type"),
				int64(rapid.IntRange(-3, 12).Draw(t, "time"))*500)
			if rapid.Bool().Draw(t, "has value") {
				r.Event.Value, r.Event.HasValue = float64(rapid.IntRange(0, 4).Draw(t, "value")), true
			}
			return r
		}), 0, 80).Draw(t, "log")

		arrival := rapid.Permutation(log).Draw(t, "arrival")
		places := map[int64][]int{}
		for j := range arrival {
			tm := arrival[j].Event.Time
			places[tm] = append(places[tm], j)
		}
		for _, r := range log {
			tm := r.Event.Time
			arrival[places[tm][0]] = r
			places[tm] = places[tm][1:]
		}

		codes := newTable()
		store := New(sig, codes)
		for j := range arrival {
			store.Apply(uint64(j), arrival[j:j+1])
			if user, ok := codes.users["0"]; ok && j%7 == 0 {
				store.History(user, nil) // reading must change nothing
			}
		}
		const reference = 5000
		for id, user := range codes.users {
			var batch []signal.Interaction
			for j := range log {
				if e := &log[j].Event; e.UserID == id {
					if in, ok := sig.Interaction(e, codes.items[e.ItemID]); ok {
						batch = append(batch, in)
					}
				}
			}
			slices.SortStableFunc(batch, func(a, b signal.Interaction) int { return int(a.Time - b.Time) })
			seen := len(batch)
			batch = sig.Trim(batch)
			got, seq := store.History(user, nil)
			if !slices.EqualFunc(got, batch, same) || seq != uint64(seen) {
				t.Fatalf("user %s: history %v after %d events\nbatch %v of %d", id, got, seq, batch, seen)
			}
			var f frame.Frame
			store.Weights(user, nil, reference, &f)
			for j, w := range sig.Weigh(batch, reference, nil) {
				if f.Items[j] != w.Item || f.Scores[j] != w.Weight {
					t.Fatalf("user %s: weights %v %v, batch %v", id, f.Items, f.Scores, w)
				}
			}
		}
	})
}

func TestApply(t *testing.T) {
	codes := newTable()
	s := New(newSignal(t, signal.Config{}), codes)
	if s.Newest() != 0 || s.Users() != 0 {
		t.Error("an empty store is not empty")
	}
	s.Apply(1, []event.Record{
		record("u1", "a", "view", 10),
		record("u1", "b", "purchase", 30),
		record("u2", "c", "impression", 99),
		record("u2", "d", "no such type", 50),
		{Kind: event.KindItemPut, Item: event.Item{ID: "e"}},
	})
	if s.Users() != 1 || s.Newest() != 99 {
		t.Errorf("%d users, newest %d", s.Users(), s.Newest())
	}
	if len(codes.items) != 2 || len(codes.users) != 1 {
		t.Errorf("codes were given to what has no history: %v %v", codes.items, codes.users)
	}
	s.Apply(2, []event.Record{record("u1", "c", "view", 20)})
	h, seq := s.History(0, nil)
	if len(h) != 3 || h[1].Item != codes.items["c"] || seq != 3 {
		t.Errorf("a late event: %v after %d", h, seq)
	}
	if h, seq := s.History(77, h); len(h) != 0 || seq != 0 {
		t.Errorf("an unknown user has history %v after %d", h, seq)
	}
}

func TestWeightsOfSessions(t *testing.T) {
	codes := newTable()
	sig := newSignal(t, signal.Config{MaxItems: 3})
	s := New(sig, codes)
	s.Apply(1, []event.Record{record("u", "a", "view", 10), record("u", "b", "view", 20)})
	for _, c := range []struct {
		name    string
		user    uint32
		session []uint32
		want    []uint32
	}{
		{"history", 0, nil, []uint32{0, 1}},
		{"history and session", 0, []uint32{9}, []uint32{0, 1, 9}},
		{"the session counts as newest", 0, []uint32{8, 9}, []uint32{1, 8, 9}},
		{"anonymous", frame.NoUser, []uint32{9, 7}, []uint32{7, 9}},
		{"unknown user", 50, nil, nil},
		{"nobody", frame.NoUser, nil, nil},
	} {
		var f frame.Frame
		s.Weights(c.user, c.session, 0, &f)
		if !slices.Equal(f.Items, c.want) {
			t.Errorf("%s: items %v, want %v", c.name, f.Items, c.want)
		}
	}
	var f frame.Frame
	s.Weights(0, []uint32{0}, 20, &f)
	if f.Scores[0] <= f.Scores[1] {
		t.Errorf("a second look does not count: %v", f.Scores)
	}
}

// popular asks until the answer is as new as all that was applied.
func popular(s *Store, n int) *frame.Frame {
	for s.popular.top(n).version != s.popular.version.Load() {
		runtime.Gosched()
	}
	f := new(frame.Frame)
	s.Popular(n, f)
	return f
}

func TestPopular(t *testing.T) {
	const hour = int64(time.Hour / time.Millisecond)
	codes := newTable()
	s := New(newSignal(t, signal.Config{HalfLife: time.Hour}), codes)
	if f := popular(s, 5); f.Len() != 0 {
		t.Errorf("popular items of an empty store: %v", f.Items)
	}
	s.Apply(1, []event.Record{
		record("u1", "a", "purchase", 0), // 8, or 2 two hours later
		record("u1", "b", "cart", 2*hour),
		record("u2", "c", "view", 2*hour),
		record("u2", "c", "remove", 2*hour),
		record("u2", "d", "view", 2*hour),
		record("u2", "e", "impression", 2*hour),
	})
	f := popular(s, 10)
	name := func(j int) string {
		for id, code := range codes.items {
			if code == f.Items[j] {
				return id
			}
		}
		return ""
	}
	for j, want := range []struct {
		id    string
		score float32
	}{{"b", 4}, {"a", 2}, {"c", 1}, {"d", 1}} {
		if name(j) != want.id || math.Abs(float64(f.Scores[j]-want.score)) > 1e-5 {
			t.Errorf("rank %d: %s with %v, want %v", j, name(j), f.Scores[j], want)
		}
	}
	if f.Len() != 4 {
		t.Errorf("%d popular items, want 4", f.Len())
	}
	one := make([]float32, 5)
	if s.Strengths(append(slices.Clone(f.Items), 1<<20), one); !slices.Equal(one[:4], f.Scores) || one[4] != 0 {
		t.Errorf("strengths %v, ranked %v", one, f.Scores)
	}
	// Long after: the landmark moves, the order stays; a late event counts little.
	for h := int64(5); h <= 300; h += 3 { // time moves on with events
		s.Apply(2, []event.Record{record("u1", "d", "view", h*hour)})
	}
	s.Apply(2, []event.Record{record("u1", "d", "view", 300*hour), record("u1", "a", "view", 290*hour)})
	f = popular(s, 2)
	if f.Len() != 2 || name(0) != "d" || name(1) != "a" || math.Abs(float64(f.Scores[1])-1./1024) > 1e-6 {
		t.Errorf("300 hours later: %v %v", f.Items, f.Scores)
	}
	if f = popular(s, 10); name(2) != "b" || name(3) != "c" {
		t.Errorf("300 hours later: %v %v", f.Items, f.Scores)
	}
}

// TestPopularSurvivesALeap: one click years after everything else counts as one
// click, not as the only thing that ever happened.
func TestPopularSurvivesALeap(t *testing.T) {
	const hour = int64(time.Hour / time.Millisecond)
	codes := newTable()
	s := New(newSignal(t, signal.Config{HalfLife: time.Hour}), codes)
	s.Apply(1, []event.Record{
		record("u1", "a", "purchase", 0), record("u1", "b", "cart", 0),
		record("u1", "c", "view", 24*365*15*hour),
	})
	f := popular(s, 3)
	if f.Len() != 3 || f.Items[0] != codes.items["a"] || f.Scores[2] > 1.01 || f.Scores[0] < 7 {
		t.Errorf("%v %v", f.Items, f.Scores)
	}
}

// TestPopularSelection compares the selection with sorting everything, also
// when more are asked for than a ranking holds.
func TestPopularSelection(t *testing.T) {
	s := New(newSignal(t, signal.Config{}), newTable())
	rng := rand.New(rand.NewPCG(5, 6))
	const n = 20_000
	scores := make([]float64, n)
	for j := range scores {
		if rng.IntN(4) > 0 {
			scores[j] = float64(rng.IntN(3000))
			s.popular.add(uint32(j), 0, scores[j])
		}
	}
	var want []uint32
	for j, v := range scores {
		if v > 0 {
			want = append(want, uint32(j))
		}
	}
	slices.SortStableFunc(want, func(a, b uint32) int { return int(scores[b] - scores[a]) })
	for _, k := range []int{1, 20, 1024, 1025, 9000, n} {
		if f := popular(s, k); !slices.Equal(f.Items, want[:min(k, len(want))]) {
			t.Fatalf("the %d most popular differ", k)
		}
	}
}

func TestReadersAndWriter(t *testing.T) {
	s := New(newSignal(t, signal.Config{MaxItems: 5}), newTable())
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			var h []signal.Interaction
			for {
				select {
				case <-done:
					return
				default:
				}
				for user := range uint32(100) {
					h, _ = s.History(user, h)
					if !slices.IsSortedFunc(h, func(a, b signal.Interaction) int { return int(a.Time - b.Time) }) {
						t.Error("a history is not sorted")
						return
					}
				}
				var f frame.Frame
				s.Popular(10, &f)
				s.Weights(3, []uint32{1}, s.Newest(), &f)
			}
		})
	}
	for j := range 20_000 {
		s.Apply(uint64(j), []event.Record{record(fmt.Sprint(j%100), fmt.Sprint(j%37), "view", int64(j^5))})
	}
	close(done)
	wg.Wait()
	if s.Users() != 100 {
		t.Errorf("%d users", s.Users())
	}
}

// Half of the time is the two look-ups of ids, here in plain maps.
func BenchmarkApply(b *testing.B) {
	s := New(newSignal(b, signal.Config{}), newTable())
	rng := rand.New(rand.NewPCG(7, 8))
	records := make([]event.Record, 300_000)
	for j := range records {
		records[j] = record(fmt.Sprintf("user-%d", rng.IntN(5000)), fmt.Sprintf("item-%d", rng.IntN(2000)), "view", int64(j)*1000)
	}
	b.ReportAllocs()
	for j := 0; b.Loop(); j++ {
		k := j % len(records)
		s.Apply(1, records[k:k+1])
	}
}

// One user far over the cap, in time order and backwards.
func BenchmarkApplyHeavyUser(b *testing.B) {
	for _, c := range []struct {
		name string
		step int64
	}{{"forwards", 1}, {"backwards", -1}} {
		b.Run(c.name, func(b *testing.B) {
			s := New(newSignal(b, signal.Config{}), newTable())
			b.ReportAllocs()
			for j := 0; b.Loop(); j++ {
				s.add(0, signal.Interaction{Time: int64(j) * c.step, Item: uint32(j % 2000)})
			}
		})
	}
}

func BenchmarkWeights500(b *testing.B) {
	s := New(newSignal(b, signal.Config{}), newTable())
	for j := range 1000 {
		s.add(0, signal.Interaction{Time: int64(j) * 3_600_000, Item: uint32(j * 7919 % 100_000), Value: 3, Type: 4})
	}
	var f frame.Frame
	b.ReportAllocs()
	for b.Loop() {
		f.Reset()
		s.Weights(0, nil, s.Newest(), &f)
	}
}

// A new ranking of a large catalogue; it is made at most so often that it
// takes a twentieth of a core.
func BenchmarkRank100k(b *testing.B) {
	s := New(newSignal(b, signal.Config{}), newTable())
	rng := rand.New(rand.NewPCG(9, 10))
	for j := range uint32(100_000) {
		s.popular.add(j, 0, rng.ExpFloat64())
	}
	b.ReportAllocs()
	for b.Loop() {
		s.popular.rank(minRanked)
	}
}
