package view

import (
	"math/rand/v2"
	"testing"
	"time"

	"vitrine/als/model"
	"vitrine/appliance/frame"
)

// newView has random factors, and row r is the item of code r.
func newView(tb testing.TB, items, rank int) *View {
	tb.Helper()
	random := rand.New(rand.NewPCG(uint64(items), uint64(rank)))
	m := &model.Model{Rank: rank, NumItems: items, Items: make([]float32, items*rank), ItemScale: make([]float32, items)}
	codes := make([]uint32, items)
	for row := range codes {
		codes[row] = uint32(row)
		for k := range rank {
			m.Items[row*rank+k] = float32(random.NormFloat64())
		}
	}
	v, err := New(Spec{Version: "v1", Created: time.UnixMilli(1000), Model: m, Codes: codes})
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

func TestNewRefuses(t *testing.T) {
	for name, codes := range map[string][]uint32{"too few": {1, 2}, "twice": {1, 2, 1}} {
		m := &model.Model{Rank: 2, NumItems: 3, Items: make([]float32, 6), ItemScale: make([]float32, 3)}
		if _, err := New(Spec{Version: "v", Model: m, Codes: codes}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestFiltersAreBounded(t *testing.T) {
	v := newView(t, 200, 4)
	for id := range uint64(2 * maxPassing) {
		v.pass(&frame.Selection{Filter: id, Words: []uint64{1 << (id % 64)}})
	}
	if n := len(v.passing.byFilter); n > maxPassing {
		t.Errorf("%d filters are remembered", n)
	}
}

// shop has one new item, and its items have a category by their code.
type shop struct{ looks int }

func (s *shop) Latest(_ int, _ int64, dst *frame.Frame) {
	s.looks++
	dst.Add(905, 1)
}

func (*shop) Column(_ frame.Scope, name string) frame.Column {
	if name == "category" {
		return tens{}
	}
	return nil
}

func (*shop) Code(frame.Scope, string, string) uint32 { return 0 }

// Expired tells of every tenth item.
func (*shop) Expired(item uint32, _ int64) bool { return item%10 == 0 }

type tens struct{}

func (tens) Kind() frame.Kind { return frame.Text }

func (tens) Gather(dst, codes []uint32) {
	for j, code := range codes {
		dst[j] = code%10 + 1
	}
}

// A view that follows one which was asked for new items has looked for them
// before its first request.
func TestFollow(t *testing.T) {
	s := new(shop)
	old, next := newView(t, 900, 4), newView(t, 900, 4)
	next.Follow(old, s, s)
	if s.looks != 0 {
		t.Error("new items are looked for that nobody asks for")
	}
	old.Newcomers(s, s, 1000)
	next.Follow(old, s, s)
	if items := next.Newcomers(s, s, 1000).Items; s.looks != 2 || len(items) != 1 || items[0] != 905 {
		t.Errorf("%d looks, new items %v", s.looks, items)
	}
}

// BenchmarkExpired100k is what a request pays at most once a second: the expiry
// of all rows, a random access each.
func BenchmarkExpired100k(b *testing.B) {
	v, s := newView(b, 100_000, 8), new(shop)
	b.ReportAllocs()
	for now := int64(0); b.Loop(); now += hiddenFor {
		v.Expired(s, now, false)
	}
}

// TestLiftIsMadeOnceASecond: while items change all the time there is none, and
// a list of boosts that was not asked for before has one at once.
func TestLiftIsMadeOnceASecond(t *testing.T) {
	v := newView(t, 200, 4)
	selection := func(filter, words uint64) []Boost {
		return []Boost{{&frame.Selection{Filter: filter, Words: []uint64{words}}, 1.5}}
	}
	first := selection(1, 3)
	made := v.Lift(first, 10_000)
	if made == nil || v.Lift(first, 10_100) != made {
		t.Fatal("the same boosts have another lift")
	}
	// A newer selection of the same memory passes the same rows.
	if again := []Boost{{&frame.Selection{Filter: 1, Words: first[0].Selection.Words}, 1.5}}; v.Lift(again, 10_200) != made {
		t.Error("a selection that passes the same rows has another lift")
	}
	changed := selection(1, 5)
	if v.Lift(changed, 10_900) != nil {
		t.Error("a lift was made twice in a second")
	}
	if next := v.Lift(changed, 11_000); next == nil || next == made {
		t.Error("a second later the lift is not made anew")
	}
	if v.Lift(selection(2, 3), 11_001) == nil {
		t.Error("the first lift of other boosts waits")
	}
	if v.Lift(selection(1, 9), 9_000) == nil {
		t.Error("a clock that was set back leaves none")
	}
}

// TestGroups: rows of one value have one group, those without none, and groups
// are made anew when they are doubted, once a second.
func TestGroups(t *testing.T) {
	v := newView(t, 1500, 4)
	groups := v.Groups("category", tens{}, 10_000)
	of := map[uint16]uint32{}
	for at, row := range v.Index.Rows() {
		group := groups.Of[at]
		if value, known := of[group]; group == 0 || known && value != row%10 {
			t.Fatalf("row %d is of group %d, that of %d", row, group, value)
		}
		of[group] = row % 10
	}
	if len(of) != 10 {
		t.Errorf("%d groups", len(of))
	}
	if v.Groups("category", tens{}, 90_000) != groups {
		t.Error("groups that nobody doubts are made anew")
	}
	groups.Doubt()
	if v.Groups("category", tens{}, 10_900) != groups {
		t.Error("groups are made twice in a second")
	}
	if v.Groups("category", tens{}, 11_000) == groups || v.Groups("brand", tens{}, 11_000) == v.Groups("category", tens{}, 11_000) {
		t.Error("doubted groups stay, or those of another attribute are the same")
	}
}
