package recommend

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"vitrine/appliance/frame"
	"vitrine/appliance/rules"
)

// kinds is a shop whose items have a kind of few values.
type kinds struct {
	*shop
	values uint32
}

func (k *kinds) Column(frame.Scope, string) frame.Column { return k }
func (*kinds) Kind() frame.Kind                          { return frame.Text }

func (k *kinds) kind(code uint32) uint32 { return code*2654435761>>16%k.values + 1 }

func (k *kinds) Gather(dst, codes []uint32) {
	for j, code := range codes {
		dst[j] = k.kind(code)
	}
}

// hostile is a request, and what stands in its way, made at random.
type hostile struct {
	shop    *kinds
	engine  *Engine
	req     Request
	rules   []string
	dropped func(code uint32) bool // by rules, plugins and time
	most    int                    // of a kind, 0 for no quota
	pinned  uint32
	slot    int // 0 for no pin
}

func newHostile(t *testing.T, random *rand.Rand) *hostile {
	t.Helper()
	known := []int{50, 900, 6000}[random.IntN(3)]
	s := &kinds{shop: &shop{
		items: known + random.IntN(100), history: map[uint32]frame.Frame{}, expires: map[uint32]int64{}, filters: map[string]*modulo{},
	}, values: 1 + uint32(random.IntN(12))}
	for range random.IntN(60) {
		s.popular = append(s.popular, uint32(random.IntN(s.items)))
	}
	slices.Sort(s.popular)
	s.popular = slices.Compact(s.popular)
	var seen frame.Frame
	for j := range random.IntN(30) {
		seen.Add(uint32(j*s.items/30), 1)
	}
	s.history[1] = seen
	e := New(Deps{History: s, Popularity: s, Codes: s, Shelf: s, Filters: s})
	m := newModel(known, 4)
	if random.IntN(2) == 0 {
		e.Swap(newBlendedView(t, m, 0, newSet(t, known, 2*known), nil))
	} else {
		e.Swap(newTestView(t, m, 0))
	}
	h := &hostile{shop: s, engine: e, req: Request{UserID: "u1", Limit: 1 + random.IntN(60), Now: 5000}}
	var drops []func(code uint32) bool
	some := func() bool { return random.IntN(3) == 0 }
	part := func() (text string, passes func(code uint32) bool) {
		by := []uint32{2, 3, 10, uint32(max(2, s.items/5))}[random.IntN(4)]
		rest := uint32(random.IntN(int(by)))
		return fmt.Sprintf("%d/%d", rest, by), func(code uint32) bool { return code%by == rest }
	}
	not := func(passes func(uint32) bool) func(uint32) bool {
		return func(code uint32) bool { return !passes(code) }
	}
	add := func(format string, args ...any) { h.rules = append(h.rules, fmt.Sprintf(format, args...)) }
	if some() {
		text, passes := part()
		h.req.Filter = text
		drops = append(drops, not(passes))
	}
	if some() {
		text, passes := part()
		add(`{"action":"exclude","filter":%q}`, text)
		drops = append(drops, passes)
	}
	if some() {
		text, _ := part()
		add(`{"action":"bury","filter":%q}`, text)
	}
	if some() {
		text, _ := part()
		add(`{"action":"boost","filter":%q,"factor":%d}`, text, 2+random.IntN(50))
	}
	if some() {
		text, _ := part()
		add(`{"action":"promote","filter":%q,"percent":%d}`, text, 10+random.IntN(90))
	}
	if some() {
		add(`{"action":"diversity","strength":0.5}`)
	}
	if some() {
		h.most = 1 + random.IntN(4)
		add(`{"action":"quota","attribute":"kind","most":%d}`, h.most)
	}
	if some() {
		h.pinned, h.slot = uint32(random.IntN(s.items)), 1+random.IntN(80)
		add(`{"action":"pin","item_id":"i%d","slot":%d}`, h.pinned, h.slot)
	}
	if some() {
		add(`{"action":"cap","times":1,"window":"1h"}`)
	}
	if some() {
		text, passes := part()
		var bits [2]uint32
		_, _ = fmt.Sscanf(text, "%d/%d", &bits[0], &bits[1])
		e.deps.Plugins = &stages{depth: 1 + random.IntN(300), rank: func(f *frame.Frame, tr *frame.Trace) {
			for j, item := range f.Items {
				f.Mask[j] = f.Mask[j] && passes(item)
				f.Scores[j] += float32(item % 7)
			}
			tr.Calls = append(tr.Calls, frame.Call{Name: "p", Status: "ok"})
		}}
		drops = append(drops, func(code uint32) bool { return !passes(code) && (h.slot == 0 || code != h.pinned) })
	}
	if some() {
		for range random.IntN(s.items) {
			s.expires[uint32(random.IntN(s.items))] = 10
		}
		drops = append(drops, func(code uint32) bool { return s.expires[code] > 0 })
	}
	if some() {
		h.req.ExcludeSeen = true
		drops = append(drops, func(code uint32) bool { return slices.Contains(seen.Items, code) })
	}
	if some() {
		h.req.Exclude = []string{"i1", "i5", "i30"}
		drops = append(drops, func(code uint32) bool { return code == 1 || code == 5 || code == 30 })
	}
	h.dropped = func(code uint32) bool {
		return slices.ContainsFunc(drops, func(drop func(uint32) bool) bool { return drop(code) })
	}
	switch random.IntN(6) {
	case 0:
		s.history[1], seen = frame.Frame{}, frame.Frame{} // nothing is known of him
	case 1, 2, 3:
		h.req.Session = []string{"i7", "i9"}
		h.req.Scene = []string{SceneHome, SceneProduct, SceneCart, SceneTrending}[random.IntN(4)]
		if random.IntN(2) == 0 {
			h.req.UserID = ""
			s.history[1], seen = frame.Frame{}, frame.Frame{}
		}
		drops = append(drops, func(code uint32) bool {
			both := h.req.ExcludeSeen || h.req.Scene == SceneCart
			return code == 9 && (both || h.req.Scene == SceneProduct) || code == 7 && both
		})
	}
	parsed, faults := rules.Parse([]byte(`{"rules":[`+strings.Join(h.rules, ",")+`]}`), e.SceneNames())
	plans, err := rules.Compile(parsed, faults, s, new(rules.Shown))
	if err != nil {
		t.Fatal(err)
	}
	e.SetRules(plans)
	return h
}

// room is how many items a page can have after the pages before.
func (h *hostile) room(before []uint32) int {
	counts := map[uint32]int{}
	n := 0
	if at := h.slot - len(before); at > 0 && at <= h.req.Limit && !h.dropped(h.pinned) && !slices.Contains(before, h.pinned) {
		counts[h.shop.kind(h.pinned)]++ // its place is sure
	}
	for code := range uint32(h.shop.items) {
		if h.dropped(code) || slices.Contains(before, code) {
			continue
		}
		kind := h.shop.kind(code)
		pin := h.slot > 0 && code == h.pinned
		if h.most > 0 && !pin && counts[kind] >= h.most {
			continue
		}
		if !pin {
			counts[kind]++
		}
		n++
	}
	return min(n, h.req.Limit)
}

// TestFullWhateverStandsInTheWay: whatever filters, exclusions, rules, plugins
// and pages before leave of a catalogue, an answer has as many items as were
// asked for, or all that are left, each once.
func TestFullWhateverStandsInTheWay(t *testing.T) {
	seeds := uint64(100)
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		h := newHostile(t, rand.New(rand.NewPCG(seed, 77)))
		var before []uint32
		req := h.req
		for page := range 3 {
			req.RequestID = fmt.Sprint("r", page)
			var resp Response
			if err := h.engine.Recommend(context.Background(), &req, &resp); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			got := codesOf(&resp)
			if want := h.room(before); len(got) != want {
				t.Errorf("seed %d, page %d: %d items, want %d\n%+v\nrules %s\nplugins %v, %d items, %d kinds, history %v", seed, page, len(got), want,
					req, strings.Join(h.rules, "\n      "), h.engine.deps.Plugins != nil, h.shop.items, h.shop.values, h.shop.history[1].Items)
			}
			for j, code := range got {
				if h.dropped(code) || slices.Contains(before, code) || slices.Contains(got[:j], code) {
					t.Errorf("seed %d, page %d: item %d is not to be shown", seed, page, code)
				}
			}
			before = append(before, got...)
			req.After = req.RequestID
		}
	}
}
