//go:build !race

package recommend

import (
	"context"
	"fmt"
	"testing"
	"time"

	"vitrine/appliance/frame"
	"vitrine/appliance/rules"
)

// heavy is a shop whose user 1 has so many items in his history. Its ids are
// made beforehand, so that only the engine is measured.
type heavy struct {
	shop
	ids []string
}

func (h *heavy) ItemID(code uint32) string         { return h.ids[code] }
func (h *heavy) Expired(code uint32, _ int64) bool { return code == 1<<30 }

// newBlended is newHeavy with all sources beside the factors.
func newBlended(tb testing.TB, items, history int) *Engine {
	e := newHeavy(tb, items, history)
	e.Swap(newBlendedView(tb, newModel(items, 64), 0, newSet(tb, items, 5*items), nil))
	return e
}

func newHeavy(tb testing.TB, items, history int) *Engine {
	h := &heavy{shop: shop{items: items, history: map[uint32]frame.Frame{}}}
	var f frame.Frame
	for j := range history {
		f.Add(uint32(j*7919%items), 1+float32(j%5))
	}
	h.history[1] = f
	for j := range items {
		h.ids = append(h.ids, fmt.Sprintf("i%d", j))
		if j < 1000 {
			h.popular = append(h.popular, uint32(j))
		}
	}
	e := New(Deps{History: h, Popularity: h, Codes: h, Shelf: h})
	e.Swap(newTestView(tb, newModel(items, 64), 0))
	return e
}

func TestRecommendDoesNotAllocate(t *testing.T) {
	for name, e := range map[string]*Engine{"als": newHeavy(t, 2000, 100), "blend": newBlended(t, 2000, 100)} {
		t.Run(name, func(t *testing.T) { allocatesNothing(t, e) })
	}
}

func allocatesNothing(t *testing.T, e *Engine) {
	var resp Response
	for _, req := range []Request{
		{UserID: "u1", ExcludeSeen: true, Now: 5},
		{UserID: "u1", Session: []string{"i5"}, Exclude: []string{"i9"}, Now: 5},
		{UserID: "u2", Now: 5},
		{Session: []string{"i5", "i9", "i12"}, Now: 5},
	} {
		run := func() {
			if err := e.Recommend(context.Background(), &req, &resp); err != nil {
				t.Fatal(err)
			}
		}
		run()
		if n := testing.AllocsPerRun(100, run); n > 0.5 {
			t.Errorf("%+v: %v allocations", req, n)
		}
	}
}

// The floors: a fold-in of n items at rank 64 is n*64*65/2 multiply-adds for
// the normal equations and 64^3/6 for the factorization, at 8 a cycle; a scan
// reads 256 bytes per item, at memory speed, unless norms let it stop early.
func BenchmarkRecommend(b *testing.B) {
	for _, c := range []struct{ items, history int }{{2000, 20}, {2000, 500}, {100_000, 20}, {100_000, 500}} {
		b.Run(fmt.Sprintf("items=%d/history=%d", c.items, c.history), func(b *testing.B) {
			e := newHeavy(b, c.items, c.history)
			req := Request{UserID: "u1", ExcludeSeen: true, Now: 5}
			var resp Response
			b.ReportAllocs()
			for b.Loop() {
				if err := e.Recommend(context.Background(), &req, &resp); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// With all six parts: two rows of a table for each of some ten items of the
// history, the sessions that share items with it, and an inner product for
// every candidate, most of them a cache miss.
func BenchmarkRecommendBlend(b *testing.B) {
	for _, c := range []struct{ items, history int }{{2000, 20}, {100_000, 20}, {100_000, 500}} {
		b.Run(fmt.Sprintf("items=%d/history=%d", c.items, c.history), func(b *testing.B) {
			e := newBlended(b, c.items, c.history)
			req := Request{UserID: "u1", ExcludeSeen: true, Now: 5}
			var resp Response
			b.ReportAllocs()
			for b.Loop() {
				if err := e.Recommend(context.Background(), &req, &resp); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPopular(b *testing.B) {
	e := newHeavy(b, 100_000, 20)
	var resp Response
	b.ReportAllocs()
	for b.Loop() {
		if err := e.Popular(context.Background(), &ListRequest{Limit: 20, Now: 5}, &resp); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSimilar(b *testing.B) {
	e := newHeavy(b, 100_000, 20)
	var resp Response
	b.ReportAllocs()
	for b.Loop() {
		if err := e.Similar(context.Background(), "i77", 20, 5, &resp); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFewPass asks for a list from which a filter leaves 5 of 100k items. Its
// limit are the bits of the catalogue, 12 KB, read some times over.
func BenchmarkFewPass(b *testing.B) {
	e := newHeavy(b, 100_000, 100)
	e.deps.Filters = &e.deps.Shelf.(*heavy).shop
	for _, user := range []string{"u1", "nobody"} {
		b.Run(user, func(b *testing.B) {
			req := Request{UserID: user, Limit: 20, Now: 5, Filter: "7/20000"}
			var resp Response
			b.ReportAllocs()
			for b.Loop() {
				if err := e.Recommend(context.Background(), &req, &resp); err != nil || len(resp.Items) != 5 {
					b.Fatal(err, len(resp.Items))
				}
			}
		})
	}
}

// BenchmarkFilterAndRules is BenchmarkRecommend's request for 100k items with a
// filter that half of them pass and five rules, beside the plain one. Boosted
// scores are those that the search ranks by.
func BenchmarkFilterAndRules(b *testing.B) {
	const items = 100_000
	e := newHeavy(b, items, 100)
	e.deps.Filters = &e.deps.Shelf.(*heavy).shop
	for name, list := range map[string]string{
		"none": "",
		"five": `{"action":"exclude","filter":"7/100"},{"action":"bury","filter":"8/100"},{"action":"pin","item_id":"i5","slot":3},
			{"action":"boost","filter":"9/10","factor":1.5},{"action":"quota","attribute":"brand","most":3}`,
		"diverse": `{"action":"diversity","strength":0.3}`,
	} {
		parsed, faults := rules.Parse([]byte(`{"rules":[`+list+`]}`), e.SceneNames())
		plans, err := rules.Compile(parsed, faults, &e.deps.Shelf.(*heavy).shop, new(rules.Shown))
		if err != nil {
			b.Fatal(err)
		}
		for _, filter := range []string{"", "0/2"} {
			b.Run("rules="+name+"/filter="+filter, func(b *testing.B) {
				e.SetRules(plans)
				req := Request{UserID: "u1", Limit: 20, Now: 5, Filter: filter, RequestID: "r"}
				var resp Response
				b.ReportAllocs()
				for b.Loop() {
					if err := e.Recommend(context.Background(), &req, &resp); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkBatch makes 32 lists in a batch, and the same ones one at a time in
// turn with it; x-alone is how many times less time a list takes in a batch. Only
// the search is shared. Its limit alone is one item a cycle and query (64 codes an
// instruction, see topk.BenchmarkSearchBatch), in a batch four queries to a read
// of the rows; everything else of a list is each one's own.
func BenchmarkBatch(b *testing.B) {
	for _, c := range []struct {
		name  string
		items int
		blend bool
	}{{"als", 100_000, false}, {"blend", 100_000, true}} {
		b.Run(fmt.Sprintf("%s/items=%d", c.name, c.items), func(b *testing.B) {
			e := newHeavy(b, c.items, 20)
			if c.blend {
				e = newBlended(b, c.items, 20)
			}
			h := e.deps.Shelf.(*heavy)
			reqs := make([]Request, BatchSize)
			for j := range reqs {
				h.history[uint32(100+j)] = taste(uint32(j*31), uint32(j*977), uint32(j*3001), uint32(j*2003+7))
				reqs[j] = Request{UserID: fmt.Sprint("u", 100+j), ExcludeSeen: true, Now: 5}
			}
			var resp Response
			ctx := context.Background()
			var alone, together time.Duration
			b.ReportAllocs()
			for b.Loop() {
				began := time.Now()
				for j := range reqs {
					if err := e.Recommend(ctx, &reqs[j], &resp); err != nil {
						b.Fatal(err)
					}
				}
				alone += time.Since(began)
				began = time.Now()
				batch := e.Batch(ctx, reqs)
				for j := range reqs {
					if err := batch.List(ctx, j, &resp); err != nil {
						b.Fatal(err)
					}
				}
				batch.End()
				together += time.Since(began)
			}
			b.ReportMetric(float64(together.Nanoseconds())/float64(b.N*BatchSize), "ns/list")
			b.ReportMetric(alone.Seconds()/together.Seconds(), "x-alone")
		})
	}
}
