package catalog

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"vitrine/appliance/frame"
	"vitrine/bridge/event"
)

var _ frame.Columns = (*Catalog)(nil)

func number(name string, v float64) event.Attribute {
	return event.Attribute{Name: name, Value: event.Value{Kind: event.Number, Num: v}}
}

func truth(name string, v bool) event.Attribute {
	return event.Attribute{Name: name, Value: event.Value{Kind: event.Bool, Bool: v}}
}

func set(name string, members ...string) event.Attribute {
	return event.Attribute{Name: name, Value: event.Value{Kind: event.Set, Set: members}}
}

func gone(name string) event.Attribute {
	return event.Attribute{Name: name, Value: event.Value{Kind: event.Removed}}
}

func putItem(c *Catalog, id string, list ...event.Attribute) {
	event.SortAttributes(list)
	c.ApplyItem(&event.Item{ID: id, Attributes: list}, false)
}

func patchItem(c *Catalog, id string, list ...event.Attribute) {
	event.SortAttributes(list)
	c.ApplyItem(&event.Item{ID: id, Attributes: list}, true)
}

// shown renders the values of an item column: numbers, texts as dictionary
// codes, - where absent.
func shown(c *Catalog, name string, codes ...uint32) string {
	col := c.Column(frame.ItemScope, name)
	if col == nil {
		return "none"
	}
	bits := make([]uint32, len(codes))
	col.Gather(bits, codes)
	var out []string
	for _, b := range bits {
		switch v := math.Float32frombits(b); {
		case col.Kind() == frame.Text && b == 0, col.Kind() == frame.Number && v != v:
			out = append(out, "-")
		case col.Kind() == frame.Text:
			out = append(out, fmt.Sprint(b))
		default:
			out = append(out, fmt.Sprint(v))
		}
	}
	return strings.Join(out, " ")
}

func TestColumns(t *testing.T) {
	c := New()
	if c.Column(frame.ItemScope, "price") != nil || c.Code(frame.ItemScope, "brand", "x") != 0 {
		t.Error("an attribute that nothing has is known")
	}
	putItem(c, "a", number("price", 9.5), truth("new", true), text("brand", "x"), set("tags", "q"))
	putItem(c, "b", truth("new", false), text("brand", "y"))
	putItem(c, "c", number("price", 0), text("brand", "x"))
	c.InternItem("d")
	all := []uint32{0, 1, 2, 3, frame.NoUser}
	check := func(what string, want map[string]string) {
		t.Helper()
		for name, values := range want {
			if got := shown(c, name, all...); got != values {
				t.Errorf("%s: %s is %s, want %s", what, name, got, values)
			}
		}
	}
	check("put", map[string]string{"price": "9.5 - 0 - -", "new": "1 0 - - -", "brand": "1 2 1 - -", "tags": "none"})
	for text, want := range map[string]uint32{"x": 1, "y": 2, "z": 0} {
		if got := c.Code(frame.ItemScope, "brand", text); got != want {
			t.Errorf("%s has code %d, want %d", text, got, want)
		}
	}
	if c.Code(frame.ItemScope, "price", "x") != 0 || c.Code(frame.UserScope, "brand", "x") != 0 {
		t.Error("a text has a code where it never came up")
	}
	patchItem(c, "b", number("price", -1), text("brand", "z"))
	patchItem(c, "c", gone("brand"))
	putItem(c, "a", number("price", 1e300))
	check("patch", map[string]string{"price": "3.4028235e+38 -1 0 - -", "new": "- 0 - - -", "brand": "- 3 - - -"})
	putItem(c, "a", text("price", "cheap"))
	putItem(c, "d", set("price", "1"), number("new", 1), text("brand", strings.Repeat("x", maxTextBytes+1)))
	check("other types", map[string]string{"price": "- -1 0 - -", "new": "- 0 - - -", "brand": "- 3 - - -"})
	if got, want := c.ColumnStats(frame.ItemScope), (ColumnStats{Columns: 4, Mistyped: 3, Unlisted: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := c.ColumnStats(frame.UserScope); got != (ColumnStats{}) {
		t.Errorf("users: %+v", got)
	}
}

func TestUserColumns(t *testing.T) {
	c := New()
	c.InternUser("someone else")
	c.Apply(1, []event.Record{
		{Kind: event.KindUserPut, User: event.User{ID: "u", Time: 5, Attributes: []event.Attribute{number("age", 41), text("region", "north")}}},
		{Kind: event.KindUserPatch, User: event.User{ID: "u", Time: 6, Attributes: []event.Attribute{gone("age"), truth("vip", true)}}},
		{Kind: event.KindUserPut, User: event.User{ID: "v"}},
	})
	code, _ := c.UserCode("u")
	u, ok := c.User(code)
	if want := (event.User{ID: "u", Time: 6, Attributes: []event.Attribute{text("region", "north"), truth("vip", true)}}); !ok || fmt.Sprint(u) != fmt.Sprint(want) {
		t.Errorf("%+v, want %+v", u, want)
	}
	if _, ok := c.User(0); ok {
		t.Error("a user without attributes has some")
	}
	if v, _ := c.UserCode("v"); v != 2 {
		t.Errorf("v has code %d", v)
	}
	var bits [1]uint32
	c.Column(frame.UserScope, "region").Gather(bits[:], []uint32{code})
	if bits[0] == 0 || bits[0] != c.Code(frame.UserScope, "region", "north") {
		t.Errorf("region is %d", bits[0])
	}
	c.Column(frame.UserScope, "age").Gather(bits[:], []uint32{code})
	if v := math.Float32frombits(bits[0]); v == v {
		t.Errorf("age is %v after it was removed", v)
	}
	if c.NumItems() != 0 || c.Column(frame.ItemScope, "region") != nil {
		t.Error("attributes of users are among those of items")
	}
}

func TestColumnBounds(t *testing.T) {
	c := New()
	for j := range maxColumns + 10 {
		putItem(c, "a", number(fmt.Sprintf("n%03d", j), 1))
	}
	if c.Column(frame.ItemScope, fmt.Sprintf("n%03d", maxColumns-1)) == nil || c.Column(frame.ItemScope, fmt.Sprintf("n%03d", maxColumns)) != nil {
		t.Errorf("the columns do not end at %d", maxColumns)
	}
	if got := c.ColumnStats(frame.ItemScope); got.Columns != maxColumns || got.Crowded != 10 {
		t.Errorf("%+v", got)
	}
	if it, _ := c.Item(0); len(it.Attributes) != 1 {
		t.Errorf("the attribute itself is lost: %+v", it)
	}
	c = New()
	c.ofItems.columns.mostTexts = 3
	for j := range 5 {
		putItem(c, fmt.Sprint(j), text("brand", fmt.Sprint(j)))
	}
	putItem(c, "1", text("brand", "0"))
	if got := shown(c, "brand", 0, 1, 2, 3, 4); got != "1 1 3 - -" {
		t.Errorf("beyond the last code: %s", got)
	}
	if got := c.ColumnStats(frame.ItemScope); got.Unlisted != 2 {
		t.Errorf("%+v", got)
	}
}

// TestOneDictionary: a text has one code in every column of both scopes, so
// that a plugin may compare a user's region with an item's.
func TestOneDictionary(t *testing.T) {
	c := New()
	putItem(c, "i", text("brand", "oak"), text("region", "south"))
	putItem(c, "j", text("region", "north"))
	c.ApplyUser(&event.User{ID: "u", Attributes: []event.Attribute{text("region", "north")}}, false)
	var item, user [1]uint32
	c.Column(frame.ItemScope, "region").Gather(item[:], []uint32{1})
	c.Column(frame.UserScope, "region").Gather(user[:], []uint32{0})
	if item != user || item[0] == 0 || c.Code(frame.UserScope, "region", "north") != item[0] {
		t.Errorf("north is %d for the item, %d for the user", item[0], user[0])
	}
}

// TestPatchesAreBounded lays patch on patch with ever new names.
func TestPatchesAreBounded(t *testing.T) {
	c := New()
	for j := range event.MaxAttributes - 1 {
		patchItem(c, "a", number(fmt.Sprintf("n%02d", j), 1))
	}
	patchItem(c, "a", number("a", 2), number("b", 2), number("n00", 2), number("z", 2))
	it, _ := c.Item(0)
	if len(it.Attributes) != event.MaxAttributes || it.Validate() != nil || c.Surplus() != 2 {
		t.Errorf("%d attributes, %d left out: %v", len(it.Attributes), c.Surplus(), it.Validate())
	}
	if got := shown(c, "a", 0) + shown(c, "b", 0) + shown(c, "n00", 0); got != "2none2" {
		t.Errorf("of the new names not the first stayed: %s", got)
	}
	patchItem(c, "a", gone("n01"), number("z", 2))
	if got := shown(c, "n01", 0) + shown(c, "z", 0); got != "-2" || c.Surplus() != 2 {
		t.Errorf("one for another: %s, %d left out", got, c.Surplus())
	}
}

// TestColumnsFollowAttributes makes changes at random and holds all columns
// against the attributes.
func TestColumnsFollowAttributes(t *testing.T) {
	c := New()
	rng := rand.New(rand.NewPCG(1, 2))
	const items = 3 * columnSize
	names := []string{"a", "b", "c", "d"}
	for range 20_000 {
		var list []event.Attribute
		patch := rng.IntN(2) == 0
		for j, name := range names {
			switch rng.IntN(4) {
			case 0:
				list = append(list, []event.Attribute{
					number(name, float64(rng.IntN(5))), truth(name, rng.IntN(2) == 0), text(name, fmt.Sprint(rng.IntN(9))), set(name, "x"),
				}[j])
			case 1:
				if patch {
					list = append(list, gone(name))
				}
			}
		}
		c.ApplyItem(&event.Item{ID: fmt.Sprint(rng.IntN(items)), Attributes: list}, patch)
	}
	for code := range uint32(c.NumItems()) {
		want := map[string]string{"a": "-", "b": "-", "c": "-", "d": "none"}
		it, _ := c.Item(code)
		for _, at := range it.Attributes {
			switch v := &at.Value; v.Kind {
			case event.Number:
				want[at.Name] = fmt.Sprint(v.Num)
			case event.Bool:
				want[at.Name] = map[bool]string{false: "0", true: "1"}[v.Bool]
			case event.String:
				want[at.Name] = fmt.Sprint(c.Code(frame.ItemScope, at.Name, v.Str))
			}
		}
		for name, values := range want {
			if got := shown(c, name, code); got != values {
				t.Fatalf("item %d: %s is %s, want %s", code, name, got, values)
			}
		}
	}
}

// TestColumnReadersAndWriter is for the race detector: while items and
// columns grow, a reader sees of every item no value or one of its own.
func TestColumnReadersAndWriter(t *testing.T) {
	c := New()
	const items, rounds = 5000, 3
	var done atomic.Bool
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			codes := make([]uint32, 200)
			bits := make([]uint32, len(codes))
			for seed := uint64(0); !done.Load(); seed++ {
				rng := rand.New(rand.NewPCG(seed, 1))
				for j := range codes {
					codes[j] = uint32(rng.IntN(items + 10))
				}
				if col := c.Column(frame.ItemScope, "price"); col != nil {
					col.Gather(bits, codes)
					for j, code := range codes {
						v := math.Float32frombits(bits[j])
						if v == v && uint32(v)%items != code {
							t.Errorf("item %d has the price %v", code, v)
							return
						}
					}
				}
				if col := c.Column(frame.ItemScope, "name"); col != nil {
					col.Gather(bits, codes)
					for j, code := range codes {
						// Texts are numbered in the order of the codes.
						if bits[j] != 0 && bits[j] != code+1 {
							t.Errorf("item %d has the name %d", code, bits[j])
							return
						}
					}
				}
				c.Code(frame.ItemScope, "name", fmt.Sprint(codes[0]))
			}
		})
	}
	for round := range rounds {
		for j := range items {
			id := fmt.Sprint(j)
			putItem(c, id, number("price", float64(j+round*items)), text("name", id), truth("x"+fmt.Sprint(j%300), true))
			if j%7 == 0 {
				patchItem(c, id, gone("price"))
			}
		}
	}
	done.Store(true)
	wg.Wait()
	if got := c.ColumnStats(frame.ItemScope); got.Columns != maxColumns {
		t.Errorf("%+v", got)
	}
}

func gatherBench(b *testing.B, items int) {
	c := New()
	for j := range items {
		putItem(c, fmt.Sprint(j), number("price", float64(j)))
	}
	codes := make([]uint32, 200)
	for j := range codes {
		codes[j] = uint32(j * 7919 % items)
	}
	dst := make([]uint32, len(codes))
	col := c.Column(frame.ItemScope, "price")
	b.ReportAllocs()
	for b.Loop() {
		col.Gather(dst, codes)
	}
}

// BenchmarkGather reads one attribute of 200 items out of a demo shop, which
// lies in the nearest cache, and out of a million. The floor is three loads a
// code: 200 x 1 ns, and beyond the cache one miss a code.
func BenchmarkGather(b *testing.B) {
	for _, items := range []int{2000, 1_000_000} {
		b.Run(fmt.Sprint(items), func(b *testing.B) { gatherBench(b, items) })
	}
}

// BenchmarkColumn finds a column by its name, as a plugin does in every call.
func BenchmarkColumn(b *testing.B) {
	c := New()
	putItem(c, "a", number("price", 1), text("brand", "x"))
	b.ReportAllocs()
	for b.Loop() {
		if c.Column(frame.ItemScope, "price") == nil || c.Code(frame.ItemScope, "brand", "x") != 1 {
			b.Fatal("lost")
		}
	}
}

// BenchmarkApplyItem is what a start pays for every item change in the
// archive: copies of seven attributes and as many map look-ups.
func BenchmarkApplyItem(b *testing.B) {
	c := New()
	it := event.Item{Attributes: []event.Attribute{
		text("brand", "x"), text("category", "y"), text("material", "z"), text("name", "lamp"),
		number("price", 1), number("stock", 1), text("style", "w"),
	}}
	ids := make([]string, 10_000)
	for j := range ids {
		ids[j] = fmt.Sprint(j)
	}
	b.ReportAllocs()
	for j := 0; b.Loop(); j++ {
		it.ID, it.Attributes[4].Value.Num = ids[j%len(ids)], float64(j)
		c.ApplyItem(&it, false)
	}
}
