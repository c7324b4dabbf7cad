package recommend

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"vitrine/als/model"
	"vitrine/appliance/frame"
	"vitrine/appliance/recommend/view"
)

// shop is a stand-in for catalog and profile: item "i7" has code 7, user "u3"
// code 3.
type shop struct {
	mu      sync.RWMutex
	items   int
	history map[uint32]frame.Frame // by user
	popular []uint32
	expires map[uint32]int64
	filters map[string]*modulo
}

// stages are plugins made of functions.
type stages struct {
	depth int
	rank  func(f *frame.Frame, t *frame.Trace)
	calls int
	sizes []int
}

func (s *stages) Depth() int { return s.depth }

func (s *stages) Rank(_ context.Context, f *frame.Frame, t *frame.Trace) {
	s.calls++
	s.sizes = append(s.sizes, f.Len())
	s.rank(f, t)
}

func number(id, prefix string, n int) (uint32, bool) {
	digits, ok := strings.CutPrefix(id, prefix)
	j, err := strconv.Atoi(digits)
	return uint32(j), ok && err == nil && j < n
}

func (s *shop) UserCode(id string) (uint32, bool) {
	j, ok := number(id, "u", 1000)
	_, known := s.history[j]
	return j, ok && known
}
func (s *shop) ItemCode(id string) (uint32, bool) { return number(id, "i", s.items) }
func (s *shop) ItemID(code uint32) string         { return fmt.Sprintf("i%d", code) }
func (s *shop) NumItems() int                     { return s.items }

func (s *shop) Expired(code uint32, now int64) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	at, ok := s.expires[code]
	return ok && at <= now
}

func (s *shop) Weights(user uint32, session []uint32, _ int64, dst *frame.Frame) {
	h := s.history[user]
	for j := range h.Items {
		dst.Add(h.Items[j], h.Scores[j])
	}
	for _, item := range session {
		if !slices.Contains(dst.Items, item) {
			dst.Add(item, 1)
		}
	}
}

func (s *shop) Places(user uint32, session []uint32, most int, dst []uint32) []uint32 {
	h := s.history[user].Items
	n := max(len(h)+len(session)-most, 0)
	dst = append(dst, h[min(n, len(h)):]...)
	return append(dst, session[max(n-len(h), 0):]...)
}

func (s *shop) Popular(n int, dst *frame.Frame) {
	for j := 0; j < n && j < len(s.popular); j++ {
		dst.Add(s.popular[j], strength(j))
	}
}

// strength is the popularity of the item at a place, always above 0.
func strength(place int) float32 { return max(float32(100-place), 50/float32(place+1)) }

func (s *shop) Strengths(items []uint32, dst []float32) {
	for j, item := range items {
		dst[j] = 0
		if at := slices.Index(s.popular, item); at >= 0 {
			dst[j] = strength(at)
		}
	}
}

func (s *shop) engine() *Engine {
	return New(Deps{History: s, Popularity: s, Codes: s, Shelf: s, Filters: s})
}

func taste(items ...uint32) frame.Frame {
	var f frame.Frame
	for j, item := range items {
		f.Add(item, 1+float32(j)/2)
	}
	return f
}

// newModel has random factors; popular rows are longer, as in a trained model.
func newModel(items, rank int) *model.Model {
	rng := rand.New(rand.NewPCG(uint64(items), uint64(rank)))
	m := &model.Model{
		Rank: rank, NumItems: items, Items: make([]float32, items*rank), ItemScale: make([]float32, items),
		Params: model.Params{Alpha0: .1, Lambda: .01, Nu: 1},
	}
	for row := range items {
		m.ItemScale[row] = 1
		length := .3 / math.Sqrt(math.Sqrt(1+float64(row)))
		for k := range rank {
			m.Items[row*rank+k] = float32(rng.NormFloat64() * length)
		}
	}
	return m
}

// newTestView gives row r the code first+r.
func newTestView(tb testing.TB, m *model.Model, first uint32) *view.View {
	tb.Helper()
	codes := make([]uint32, m.NumItems)
	for row := range codes {
		codes[row] = first + uint32(row)
	}
	v, err := view.New(view.Spec{Version: "v1", Created: time.UnixMilli(1000), Reference: 500, Model: m, Codes: codes})
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

func codesOf(r *Response) (codes []uint32) {
	for _, it := range r.Items {
		codes = append(codes, it.Code)
	}
	return codes
}

// TestAgainstBruteForce compares live lists with folding in and sorting all
// items by hand.
func TestAgainstBruteForce(t *testing.T) {
	const items, rank, first = 300, 8, 20
	m := newModel(items, rank)
	s := &shop{
		items: items + first + 30, history: map[uint32]frame.Frame{1: taste(25, 60, 5, 319, 44)}, // 5 is not in the model
		popular: []uint32{3, 60, 2}, expires: map[uint32]int64{30: 1, 31: 3000, 32: 5000},
	}
	e := s.engine()
	e.Swap(newTestView(t, m, first))
	for _, c := range []struct {
		name string
		req  Request
		rows []uint32 // folded in
		out  []uint32 // codes left out
	}{
		{"plain", Request{UserID: "u1", Limit: 50}, []uint32{5, 40, 299, 24}, nil},
		{"default limit", Request{UserID: "u1"}, []uint32{5, 40, 299, 24}, nil},
		{"seen", Request{UserID: "u1", Limit: 50, ExcludeSeen: true}, []uint32{5, 40, 299, 24}, []uint32{25, 60, 5, 319, 44}},
		{"excluded", Request{UserID: "u1", Limit: 50, Exclude: []string{"i20", "i21", "nope", "i2"}}, []uint32{5, 40, 299, 24}, []uint32{20, 21, 2}},
		{"session on top", Request{UserID: "u1", Limit: 9, Session: []string{"i70", "nope"}}, []uint32{5, 40, 299, 24, 50}, nil},
		{"session alone", Request{Session: []string{"i70", "i71"}, ExcludeSeen: true}, []uint32{50, 51}, []uint32{70, 71}},
		{"unknown user with a session", Request{UserID: "u9", Session: []string{"i70"}}, []uint32{50}, nil},
	} {
		c.req.Now = 4000
		var weights []float32
		for _, row := range c.rows {
			weights = append(weights, 1)
			for j, code := range s.history[1].Items {
				if c.req.UserID == "u1" && code == row+first {
					weights[len(weights)-1] = s.history[1].Scores[j]
				}
			}
		}
		user := make([]float32, rank)
		if err := model.NewFolder(m).FoldIn(user, c.rows, weights, new(model.Scratch)); err != nil {
			t.Fatal(err)
		}
		out := append(slices.Clone(c.out), 30, 31) // expired at 4000
		var want []Item
		for row := range items {
			if slices.Contains(out, uint32(row+first)) {
				continue
			}
			score := 0.0
			for k := range rank {
				score += float64(user[k]) * float64(m.Items[row*rank+k])
			}
			want = append(want, Item{Code: uint32(row + first), Score: float32(score)})
		}
		slices.SortFunc(want, func(a, b Item) int {
			if a.Score > b.Score {
				return -1
			}
			return 1
		})
		limit := c.req.Limit
		if limit == 0 {
			limit = DefaultLimit
		}
		var resp Response
		if err := e.Recommend(context.Background(), &c.req, &resp); err != nil {
			t.Fatal(err)
		}
		if len(resp.Items) != limit || resp.Source != SourceLive || resp.Reason != "" || !resp.Exact || resp.ModelVersion != "v1" || resp.ModelAge != 3*time.Second {
			t.Errorf("%s: %d items, %+v", c.name, len(resp.Items), resp)
			continue
		}
		for j, it := range resp.Items {
			if it.Code != want[j].Code || it.ID != s.ItemID(it.Code) || math.Abs(float64(it.Score-want[j].Score)) > 1e-5 {
				t.Errorf("%s: rank %d is %+v, want %+v", c.name, j, it, want[j])
				break
			}
		}
	}
}

// TestReasons: who cannot be answered live gets popular items, then the rest
// of the catalogue, and is told why.
func TestReasons(t *testing.T) {
	s := &shop{
		items:   8,
		history: map[uint32]frame.Frame{1: taste(0, 1), 2: taste(7), 3: {}},
		popular: []uint32{6, 1, 4},
		expires: map[uint32]int64{4: 1, 2: 1},
	}
	known := newTestView(t, newModel(4, 4), 0) // knows 0..3
	for _, c := range []struct {
		name   string
		view   *view.View
		req    Request
		source string
		reason string
		codes  []uint32
	}{
		{"nobody", known, Request{}, SourcePopular, ReasonUnknownUser, []uint32{6, 1, 0, 3, 5, 7}},
		{"unknown user", known, Request{UserID: "u77", Limit: 3}, SourcePopular, ReasonUnknownUser, []uint32{6, 1, 0}},
		{"unknown session", known, Request{Session: []string{"i77"}, Limit: 1}, SourcePopular, ReasonUnknownItems, []uint32{6}},
		{"unknown user without a model", nil, Request{UserID: "u77", Limit: 1}, SourcePopular, ReasonUnknownUser, []uint32{6}},
		{"no model", nil, Request{UserID: "u1", Limit: 2}, SourcePopular, ReasonNoModel, []uint32{6, 1}},
		{"seen without a model", nil, Request{UserID: "u1", Limit: 2, ExcludeSeen: true}, SourcePopular, ReasonNoModel, []uint32{6, 3}},
		{"only items unknown to the model", known, Request{UserID: "u2", Limit: 2}, SourcePopular, ReasonColdUser, []uint32{6, 1}},
		{"attributes, but no history", known, Request{UserID: "u3", Limit: 2}, SourcePopular, ReasonUnknownUser, []uint32{6, 1}},
		{"attributes, but no history, without a model", nil, Request{UserID: "u3", Limit: 2}, SourcePopular, ReasonUnknownUser, []uint32{6, 1}},
		{"not personalized", known, Request{UserID: "u1", Limit: 2, NotPersonalized: true, ExcludeSeen: true}, SourcePopular, ReasonNotPersonalized, []uint32{6, 1}},
		{"excluded everywhere", known, Request{UserID: "u77", Exclude: []string{"i6", "i0"}}, SourcePopular, ReasonUnknownUser, []uint32{1, 3, 5, 7}},
		{"the model has nothing left", known, Request{UserID: "u1", Exclude: []string{"i0", "i1", "i3"}}, SourcePopular, ReasonNoCandidates, []uint32{6, 5, 7}},
		{"nothing left at all", known, Request{UserID: "u1", Exclude: []string{"i0", "i1", "i3", "i5", "i6", "i7"}}, SourceEmpty, ReasonNoItems, nil},
		{"nothing left for a stranger", known, Request{Exclude: []string{"i0", "i1", "i3", "i5", "i6", "i7"}}, SourceEmpty, ReasonUnknownUser, nil},
	} {
		e := s.engine()
		if c.view != nil {
			e.Swap(c.view)
		}
		c.req.Now = 100
		resp := Response{ModelVersion: "stale", Exact: true, Items: make([]Item, 3)}
		if err := e.Recommend(context.Background(), &c.req, &resp); err != nil {
			t.Fatal(err)
		}
		if resp.Source != c.source || resp.Reason != c.reason || !slices.Equal(codesOf(&resp), c.codes) {
			t.Errorf("%s: %s (%s) %v, want %s (%s) %v", c.name, resp.Source, resp.Reason, codesOf(&resp), c.source, c.reason, c.codes)
		}
		if resp.ModelVersion != "" || resp.Exact {
			t.Errorf("%s: a model is named: %+v", c.name, resp)
		}
	}
	// A live list is filled up behind the model's items, with score 0.
	e := s.engine()
	e.Swap(known)
	var resp Response
	if err := e.Recommend(context.Background(), &Request{UserID: "u1", Now: 100}, &resp); err != nil {
		t.Fatal(err)
	}
	got := codesOf(&resp)
	if resp.Source != SourceLive || len(got) != 6 || !slices.Equal(got[3:], []uint32{6, 5, 7}) || resp.Items[3].Score != 0 {
		t.Errorf("filled up: %+v", resp)
	}
	slices.Sort(got[:3])
	if !slices.Equal(got[:3], []uint32{0, 1, 3}) {
		t.Errorf("the model's part is %v", got[:3])
	}
	// The popular list itself.
	if err := e.Popular(context.Background(), &ListRequest{Limit: 2, Now: 100}, &resp); err != nil {
		t.Fatal(err)
	}
	if resp.Source != SourcePopular || resp.Reason != ReasonNotPersonalized || !slices.Equal(codesOf(&resp), []uint32{6, 1}) || resp.Items[0].Score != 100 {
		t.Errorf("popular: %+v", resp)
	}
}

// TestItemsWithoutFactorsSayNothing: a visitor who has only met items of which
// training found nothing gets popular items, not the model's rows in order.
func TestItemsWithoutFactorsSayNothing(t *testing.T) {
	m := newModel(6, 4)
	clear(m.Items[5*4:])
	m.ItemScale[5] = 0
	s := &shop{items: 6, popular: []uint32{4, 3}, history: map[uint32]frame.Frame{1: taste(5), 2: taste(5, 2)}}
	e := s.engine()
	e.Swap(newTestView(t, m, 0))
	for user, source := range map[string]string{"u1": SourcePopular, "u2": SourceLive} {
		var resp Response
		if err := e.Recommend(context.Background(), &Request{UserID: user, Limit: 2}, &resp); err != nil {
			t.Fatal(err)
		}
		if resp.Source != source || (source == SourcePopular && (resp.Reason != ReasonColdUser || !slices.Equal(codesOf(&resp), []uint32{4, 3}))) {
			t.Errorf("%s: %+v", user, resp)
		}
	}
}

// TestPopularBeyondTheFirst: when all of the most popular items are taken or
// expired, less popular ones still come before the rest of the catalogue.
func TestPopularBeyondTheFirst(t *testing.T) {
	s := &shop{items: 400, expires: map[uint32]int64{}}
	for j := range uint32(300) {
		s.popular = append(s.popular, 399-j)
		if j < 250 {
			s.expires[399-j] = 1
		}
	}
	var resp Response
	if err := s.engine().Recommend(context.Background(), &Request{Limit: 5, Now: 2, Exclude: []string{"i149"}}, &resp); err != nil {
		t.Fatal(err)
	}
	if got := codesOf(&resp); !slices.Equal(got, []uint32{148, 147, 146, 145, 144}) {
		t.Errorf("got %v", got)
	}
}

// TestExpiry: an expired item is never shown, be the look-up of expiries old
// or new, and the list stays full; one that is put back comes back.
func TestExpiry(t *testing.T) {
	s := &shop{items: 100, history: map[uint32]frame.Frame{1: taste(3, 4)}, expires: map[uint32]int64{}}
	e := s.engine()
	e.Swap(newTestView(t, newModel(100, 8), 0))
	list := func(now int64) []uint32 {
		t.Helper()
		var resp Response
		if err := e.Recommend(context.Background(), &Request{UserID: "u1", Limit: 10, Now: now}, &resp); err != nil {
			t.Fatal(err)
		}
		if len(resp.Items) != 10 || resp.Source != SourceLive {
			t.Fatalf("at %d: %+v", now, resp)
		}
		return codesOf(&resp)
	}
	all := list(10_000)
	set := func(at int64) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, code := range all[:5] {
			s.expires[code] = at
		}
	}
	set(10_500)
	for _, now := range []int64{10_010, 10_499} {
		if got := list(now); !slices.Equal(got, all) {
			t.Errorf("at %d, before the expiry, the list is %v, was %v", now, got, all)
		}
	}
	for _, now := range []int64{10_500, 10_600, 50_000} {
		got := list(now)
		if slices.ContainsFunc(got, func(code uint32) bool { return slices.Contains(all[:5], code) }) || !slices.Equal(got[:5], all[5:]) {
			t.Errorf("at %d, five of %v being expired, the list is %v", now, all, got)
		}
	}
	set(1 << 40)
	if got := list(50_000 + 1000); !slices.Equal(got, all) {
		t.Errorf("put back, the list is %v, before it was %v", got, all)
	}
}

func TestSimilar(t *testing.T) {
	const rank = 8
	m := newModel(50, rank)
	s := &shop{items: 60, popular: []uint32{55, 7}, expires: map[uint32]int64{12: 1}}
	e := s.engine()
	ctx := context.Background()
	var resp Response
	if err := e.Similar(ctx, "nope", 5, 10, &resp); !errors.Is(err, ErrUnknownItem) {
		t.Errorf("unknown item: %v", err)
	}
	if err := e.Similar(ctx, "i7", 2, 10, &resp); err != nil || resp.Reason != ReasonNoModel || !slices.Equal(codesOf(&resp), []uint32{55, 0}) {
		t.Errorf("no model: %v %+v", err, resp)
	}
	e.Swap(newTestView(t, m, 0))
	if err := e.Similar(ctx, "i55", 2, 10, &resp); err != nil || resp.Reason != ReasonColdItem || !slices.Equal(codesOf(&resp), []uint32{7, 0}) {
		t.Errorf("cold item: %v %+v", err, resp)
	}
	if err := e.Similar(ctx, "i7", 100, 10, &resp); err != nil || resp.Source != SourceLive || len(resp.Items) != 48 || resp.ModelVersion != "v1" {
		t.Fatalf("similar: %v %+v", err, resp)
	}
	cosine := func(a, b uint32) float64 {
		var ab, aa, bb float64
		for k := range uint32(rank) {
			x, y := float64(m.Items[a*rank+k]), float64(m.Items[b*rank+k])
			ab, aa, bb = ab+x*y, aa+x*x, bb+y*y
		}
		return ab / math.Sqrt(aa*bb)
	}
	for j, it := range resp.Items {
		if it.Code == 7 || it.Code == 12 || math.Abs(float64(it.Score)-cosine(7, it.Code)) > 1e-5 || j > 0 && it.Score > resp.Items[j-1].Score {
			t.Errorf("rank %d: %+v, cosine %v", j, it, cosine(7, it.Code))
		}
	}
}

func TestCancelled(t *testing.T) {
	s := &shop{items: 5}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var resp Response
	e := s.engine()
	if err := e.Recommend(ctx, &Request{}, &resp); !errors.Is(err, context.Canceled) {
		t.Errorf("recommend: %v", err)
	}
	if err := e.Similar(ctx, "i1", 1, 1, &resp); !errors.Is(err, context.Canceled) {
		t.Errorf("similar: %v", err)
	}
}

// TestSwapUnderLoad: an answer comes from one model, the one it names, while
// models are swapped and items expire.
func TestSwapUnderLoad(t *testing.T) {
	s := &shop{items: 200, history: map[uint32]frame.Frame{1: taste(50, 150)}, expires: map[uint32]int64{}}
	e := s.engine()
	views := make([]*view.View, 2)
	for k := range views {
		views[k] = newTestView(t, newModel(100, 8), uint32(k*100))
		views[k].Version = strconv.Itoa(k)
	}
	e.Swap(views[0])
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			var resp Response
			for now := int64(0); ; now += 300 {
				select {
				case <-done:
					return
				default:
				}
				if err := e.Recommend(context.Background(), &Request{UserID: "u1", Limit: 10, Now: now}, &resp); err != nil {
					t.Error(err)
					return
				}
				for _, it := range resp.Items {
					// Score 0 fills up, when an item was put with an expiry in
					// the past between the search and the last look.
					if it.Score != 0 && strconv.Itoa(int(it.Code/100)) != resp.ModelVersion {
						t.Errorf("item %d in a list of model %s", it.Code, resp.ModelVersion)
						return
					}
				}
			}
		})
	}
	for k := range 40 {
		e.Swap(views[k%2])
		s.mu.Lock()
		s.expires[uint32(k%100*2)] = int64(k) * 100 // the odd ones stay
		s.mu.Unlock()
		time.Sleep(200 * time.Microsecond)
	}
	close(done)
	wg.Wait()
}
