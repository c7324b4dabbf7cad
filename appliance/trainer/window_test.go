package trainer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"vitrine/als"
	"vitrine/als/dataset"
	"vitrine/appliance/signal"
	"vitrine/bridge/archive"
	"vitrine/bridge/event"
	"vitrine/bridge/parquet"
)

// history is what a window should hold: every user's interactions.
type history struct {
	users, items []string
	of           [][]signal.Interaction
}

// slowly reads an archive the plain way.
func slowly(t *testing.T, dir string, sig *signal.Signal) history {
	t.Helper()
	a, err := archive.OpenReadOnly(t.Context(), archive.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	var h history
	users, items := map[string]int{}, map[string]int{}
	number := func(of map[string]int, list *[]string, id string) int {
		if _, ok := of[id]; !ok {
			of[id] = len(of)
			*list = append(*list, id)
		}
		return of[id]
	}
	err = a.ScanEvents(t.Context(), windowColumns, func(b *parquet.EventBatch) error {
		for i := range b.Len {
			code, ok := sig.TypeCode(b.EventType.At(i))
			if !ok || !sig.Enters(code) {
				continue
			}
			u := number(users, &h.users, b.UserID.At(i))
			if u == len(h.of) {
				h.of = append(h.of, nil)
			}
			h.of[u] = append(h.of[u], signal.Interaction{
				Time: b.Time[i], Value: signal.Amount(b.Value[i], b.Value[i] == b.Value[i]), Type: code,
				Item: uint32(number(items, &h.items, b.ItemID.At(i))),
			})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, events := range h.of {
		slices.SortStableFunc(events, func(a, b signal.Interaction) int { return cmp.Compare(a.Time, b.Time) })
	}
	return h
}

// mess is events in no order of time, over some days, with equal times, resent
// ids, impressions, removals and now and then a value.
func mess(seed uint64, n int, values bool) []event.Record {
	random := rand.New(rand.NewPCG(seed, 9))
	kinds := []string{"view", "purchase", "impression", "remove", "rating"}
	records := make([]event.Record, n)
	for i := range records {
		r := visit(fmt.Sprint("u", random.IntN(40)), fmt.Sprint("i", random.IntN(60)), kinds[random.IntN(len(kinds))],
			begin+random.Int64N(5)*dayMillis+random.Int64N(40)*1000)
		if random.IntN(3) == 0 {
			r.Event.EventID = fmt.Sprint("e", random.IntN(n))
		}
		if values && random.IntN(2) == 0 {
			r.Event.HasValue, r.Event.Value = true, float64(random.IntN(9))
		}
		records[i] = r
	}
	return records
}

func sameEvents(a, b []signal.Interaction) bool {
	return slices.EqualFunc(a, b, func(x, y signal.Interaction) bool {
		return x.Time == y.Time && x.Item == y.Item && x.Type == y.Type && math.Float32bits(x.Value) == math.Float32bits(y.Value)
	})
}

func signalOf(t *testing.T, c signal.Config) *signal.Signal {
	t.Helper()
	sig, err := signal.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

// TestWindowIsThePlainlyReadArchive: rows, order, cut, weights and popularity
// are those of a loader that does one thing after the other.
func TestWindowIsThePlainlyReadArchive(t *testing.T) {
	sig := signalOf(t, signal.Config{MaxItems: 20, MaxEvents: 60})
	for seed := range uint64(6) {
		dir := archiveOf(t, 700, mess(seed, 3000, seed%2 == 0)...)
		want := slowly(t, dir, sig)
		told := 0
		w, err := read(t.Context(), dir, sig, 0, func(done, _ int) { told = done })
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(w.userIDs, want.users) || !slices.Equal(w.itemIDs, want.items) {
			t.Fatalf("seed %d: %d users, %d items, want %d and %d in the order of the archive",
				seed, len(w.userIDs), len(w.itemIDs), len(want.users), len(want.items))
		}
		if (w.events.values != nil) != (seed%2 == 0) || told <= w.count() || w.position != 5 {
			t.Errorf("seed %d: values %v, told %d of %d rows, position %d", seed, w.events.values != nil, told, w.count(), w.position)
		}
		var all, older []int64
		for u := range want.of {
			if got := w.of(u, w.whole, nil); !sameEvents(got, want.of[u]) {
				t.Fatalf("seed %d: user %d has %v, want %v", seed, u, got, want.of[u])
			}
			for _, in := range want.of[u] {
				all = append(all, in.Time)
			}
		}
		cut := dataset.TimeCut(all, testShare)
		cutTime := cut.Time
		old, newestOld, gotCut := w.split()
		n := 0
		for u := range want.of {
			lone := int32(0)
			for _, in := range want.of[u] {
				if cut.Old(in.Time) {
					older = append(older, in.Time)
					lone++
				}
			}
			if old[u] != lone {
				t.Fatalf("seed %d: user %d has %d old events, want %d", seed, u, old[u], lone)
			}
			n += int(lone)
		}
		if gotCut != cutTime || newestOld != dataset.TimeCut(older, beyondReference).Time || w.newest != dataset.TimeCut(all, beyondReference).Time {
			t.Errorf("seed %d: cut %d, reference %d and %d", seed, gotCut, newestOld, w.newest)
		}
		checkWeights(t, w, want, sig)
	}
}

func checkWeights(t *testing.T, w *window, want history, sig *signal.Signal) {
	t.Helper()
	m, err := w.matrix(t.Context(), sig, w.newest, w.whole)
	if err != nil {
		t.Fatal(err)
	}
	popularity := w.popularity(sig, w.newest, w.whole)
	sums := make([]float64, len(want.items))
	b := dataset.NewBuilder(len(want.items))
	for u := range want.of {
		for _, c := range sig.Weigh(sig.Trim(want.of[u]), w.newest, nil) {
			if err := b.Add(c.Item, c.Weight); err != nil {
				t.Fatal(err)
			}
		}
		b.EndRow()
		for i := range want.of[u] {
			in := &want.of[u][i]
			sums[in.Item] += sig.Strength(in) * sig.Decay(w.newest-in.Time)
		}
	}
	if plain := b.Build(); !reflect.DeepEqual(plain, m) {
		t.Fatalf("weights differ: %d cells, want %d", m.NNZ(), plain.NNZ())
	}
	for i, p := range popularity {
		if math.Abs(float64(p)-sums[i]) > 1e-5*sums[i] {
			t.Errorf("popularity of item %d is %v, want %v", i, p, sums[i])
		}
	}
}

// TestWindowDoesNotDependOnTheCores: rows and weights are the same, bit by bit.
func TestWindowDoesNotDependOnTheCores(t *testing.T) {
	sig := signalOf(t, signal.Config{})
	dir := archiveOf(t, 100, mess(7, 4000, true)...)
	var windows []*window
	for _, cores := range []int{1, 4} {
		before := runtime.GOMAXPROCS(cores)
		w, err := read(t.Context(), dir, sig, 0, func(int, int) {})
		runtime.GOMAXPROCS(before)
		if err != nil {
			t.Fatal(err)
		}
		windows = append(windows, w)
	}
	a, b := windows[0], windows[1]
	if !slices.Equal(a.userIDs, b.userIDs) || !slices.Equal(a.itemIDs, b.itemIDs) || !slices.Equal(a.starts, b.starts) ||
		!slices.Equal(a.events.items, b.events.items) || !slices.Equal(a.events.timesLow, b.events.timesLow) {
		t.Error("the windows differ")
	}
	if !slices.Equal(a.popularity(sig, a.newest, a.whole), b.popularity(sig, b.newest, b.whole)) {
		t.Error("popularity differs")
	}
}

func TestCancelledReadReturnsTheContextsError(t *testing.T) {
	dir := archiveOf(t, 100, mess(1, 1000, false)...)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := read(ctx, dir, signalOf(t, signal.Config{}), 0, func(int, int) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestInternerGivesRowsInTheOrderOfFirstSight: whatever order its parts come in.
func TestInternerGivesRowsInTheOrderOfFirstSight(t *testing.T) {
	const parts, perPart = 40, 500
	ids := make([][]string, parts)
	var want []string
	seen := map[string]bool{}
	random := rand.New(rand.NewPCG(1, 1))
	for p := range ids {
		in := map[string]bool{}
		for len(in) < perPart {
			id := fmt.Sprint(random.IntN(6000))
			if in[id] {
				continue
			}
			in[id] = true
			ids[p] = append(ids[p], id)
			if !seen[id] && len(ids[p])%5 != 0 { // every fifth does not enter
				seen[id] = true
				want = append(want, id)
			}
		}
	}
	in := &interner{seed: maphash.MakeSeed()}
	codes := make([][]uint32, parts)
	var wg sync.WaitGroup
	for reader := range 3 {
		wg.Go(func() {
			var s internScratch
			for p := parts - 1 - reader; p >= 0; p -= 3 {
				first := make([]uint32, perPart)
				for i := range first {
					if (i+1)%5 != 0 {
						first[i] = uint32(i + 1)
					}
				}
				codes[p] = in.codes(ids[p], first, p, &s, nil)
			}
		})
	}
	wg.Wait()
	got, rows := in.rows()
	if !slices.Equal(got, want) {
		t.Fatalf("%d ids, want %d in their order", len(got), len(want))
	}
	for p := range ids {
		for i, id := range ids[p] {
			if (i+1)%5 != 0 && got[rows.row(codes[p][i])] != id {
				t.Fatalf("id %s of part %d has the row of %s", id, p, got[rows.row(codes[p][i])])
			}
		}
	}
}

// TestErasedAndMergedUsersInTheWindow: the archive's files say what was, the
// window whose it is now.
func TestErasedAndMergedUsersInTheWindow(t *testing.T) {
	sig := signalOf(t, signal.Config{})
	change := func(kind event.Kind, id, into string) event.Record {
		return event.Record{Kind: kind, User: event.User{ID: id, Into: into, Time: begin}}
	}
	loaded := func(records ...event.Record) map[string][]string {
		w, err := read(t.Context(), archiveOf(t, 1, records...), sig, 0, func(int, int) {})
		if err != nil {
			t.Fatal(err)
		}
		out := map[string][]string{}
		for u, id := range w.userIDs {
			for _, in := range w.of(u, w.whole, nil) {
				out[id] = append(out[id], w.itemIDs[in.Item])
			}
		}
		return out
	}
	got := loaded(
		visit("guest", "a", "view", begin), visit("u1", "b", "view", begin+minute), visit("gone", "c", "view", begin),
		change(event.KindUserMerge, "guest", "u1"), change(event.KindUserErase, "gone", ""),
		visit("guest", "d", "view", begin+2*minute), visit("gone", "e", "view", begin+2*minute), visit("u1", "f", "cart", begin+3*minute),
	)
	want := map[string][]string{"u1": {"a", "b", "f"}, "guest": {"d"}, "gone": {"e"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestTooLittleMemoryIsRefusedWithTheFigure: before anything is loaded, and
// before a fit; events that do not enter need none.
func TestTooLittleMemoryIsRefusedWithTheFigure(t *testing.T) {
	records := mess(3, 4000, false)
	for i := range records {
		if i%2 == 0 {
			records[i].Event.Type = "impression"
		}
	}
	j := job(t, archiveOf(t, 1000, records...))
	for limit, want := range map[int64]string{
		20_000:        "to load ",
		4000 * 24 / 2: "at rank 8 need ",
	} {
		j.MemoryLimit = limit
		_, err := Run(t.Context(), j, noProgress)
		if !errors.Is(err, als.ErrMemory) || !strings.Contains(err.Error(), want) {
			t.Errorf("%d bytes: %v", limit, err)
		}
	}
	j.MemoryLimit = 64 << 20
	if _, err := Run(t.Context(), j, noProgress); err != nil {
		t.Error(err)
	}
}

func TestMemoryLimitIsNoMoreThanTheMachines(t *testing.T) {
	machine := memoryLimit(0)
	if machine < 1<<28 || memoryLimit(1<<62) != machine || memoryLimit(1000) != 1000 {
		t.Errorf("the machine has %d, limits %d and %d", machine, memoryLimit(1<<62), memoryLimit(1000))
	}
}
