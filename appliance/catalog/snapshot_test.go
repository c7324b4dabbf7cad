package catalog

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"vitrine/appliance/frame"
	"vitrine/bridge/event"
)

// change is one of all kinds that a catalog takes.
func change(rng *rand.Rand, at int) event.Record {
	item, user := fmt.Sprint("i", rng.IntN(5000)), fmt.Sprint("u", rng.IntN(300))
	attributes := []event.Attribute{
		{Name: "brand", Value: event.Value{Kind: event.String, Str: fmt.Sprint("b", rng.IntN(20))}},
		{Name: "price", Value: event.Value{Kind: event.Number, Num: float64(rng.IntN(1000)) / 7}},
		{Name: "sale", Value: event.Value{Kind: event.Bool, Bool: rng.IntN(2) == 0}},
		{Name: "tags", Value: event.Value{Kind: event.Set, Set: []string{"a", fmt.Sprint("t", rng.IntN(9))}}},
	}
	slices.SortFunc(attributes, func(a, b event.Attribute) int { return bytes.Compare([]byte(a.Name), []byte(b.Name)) })
	attributes = attributes[rng.IntN(3):]
	if rng.IntN(30) == 0 {
		attributes = []event.Attribute{{Name: "price", Value: event.Value{Kind: event.String, Str: "dear"}}}
	}
	r := event.Record{
		Kind: event.Kind(2 + rng.IntN(7)),
		Item: event.Item{ID: item, Time: int64(at), Attributes: attributes},
		User: event.User{ID: user, Time: int64(at), Attributes: attributes},
	}
	if rng.IntN(5) == 0 {
		r.Item.ExpiresAt = int64(rng.IntN(5000))
	}
	if r.Kind == event.KindUserMerge {
		r.User.Into = fmt.Sprint("u", rng.IntN(300))
	}
	return r
}

// equal compares all that two catalogs answer from.
func equal(t testing.TB, got, want *Catalog) {
	t.Helper()
	if got.NumItems() != want.NumItems() || got.NumUsers() != want.NumUsers() {
		t.Fatalf("%d items, %d users; want %d, %d", got.NumItems(), got.NumUsers(), want.NumItems(), want.NumUsers())
	}
	for code := range uint32(want.NumItems()) {
		if got.ItemID(code) != want.ItemID(code) {
			t.Fatalf("item %d is %q, want %q", code, got.ItemID(code), want.ItemID(code))
		}
		a, b := got.ofItems.get(code), want.ofItems.get(code)
		if fmt.Sprint(a) != fmt.Sprint(b) {
			t.Fatalf("item %d is %v, want %v", code, a, b)
		}
	}
	for code := range uint32(want.NumUsers()) {
		id := want.UserID(code)
		x, inX := got.Erased(id)
		if y, inY := want.Erased(id); x != y || inX != inY || got.UserID(code) != id {
			t.Fatalf("user %d was erased at %d, want %d", code, x, y)
		}
		if a, b := got.ofUsers.get(code), want.ofUsers.get(code); fmt.Sprint(a) != fmt.Sprint(b) {
			t.Fatalf("user %d is %v, want %v", code, a, b)
		}
	}
	var a, b frame.Frame
	got.Latest(maxLatest, 0, &a)
	want.Latest(maxLatest, 0, &b)
	if !slices.Equal(a.Items, b.Items) || !slices.Equal(a.Scores, b.Scores) {
		t.Fatal("the latest items differ")
	}
	kinds := func(c *Catalog) map[string]event.ValueKind {
		out := map[string]event.ValueKind{}
		for name, col := range c.ofItems.columns.load() {
			out[name] = col.kind
		}
		return out
	}
	if !maps.Equal(kinds(got), kinds(want)) {
		t.Fatalf("columns %v, want %v", kinds(got), kinds(want))
	}
	for _, text := range []string{`brand == "b3" && price < 60`, `sale || "t4" in tags`, `!has(price)`, `price == "dear"`} {
		f, err := got.Filter(text)
		if err != nil {
			t.Fatal(err)
		}
		g, _ := want.Filter(text)
		if !slices.Equal(f.Selection().Words, g.Selection().Words) {
			t.Fatalf("other items pass %s", text)
		}
	}
}

// TestFrozenIsOfOneMoment writes a catalog while it goes on, and compares what
// was written with one that stopped at that moment.
func TestFrozenIsOfOneMoment(t *testing.T) {
	running, stopped := New(), New()
	rng := rand.New(rand.NewPCG(4, 4))
	all := make([]event.Record, 12_000)
	for i := range all {
		all[i] = change(rng, i)
	}
	half := len(all) / 2
	running.Apply(1, all[:half])
	stopped.Apply(1, all[:half])
	frozen := running.Freeze(func(uint32, string, int64) bool { return false })
	restored := New()
	restored.Reserve(frozen.Items(), frozen.Users())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := frozen.Write(restored.Restore); err != nil {
			t.Error(err)
		}
	})
	running.Apply(2, all[half:])
	running.InternItem("from a model")
	wg.Wait()
	equal(t, restored, stopped)
	restored.Apply(2, all[half:])
	stopped.Apply(2, all[half:])
	equal(t, restored, stopped)
}

func FuzzRestore(f *testing.F) {
	c := New()
	rng := rand.New(rand.NewPCG(5, 5))
	for i := range 100 {
		c.Apply(1, []event.Record{change(rng, i)})
	}
	var blocks [][]byte
	if err := c.Freeze(func(uint32, string, int64) bool { return false }).Write(func(b []byte) error { blocks = append(blocks, bytes.Clone(b)); return nil }); err != nil {
		f.Fatal(err)
	}
	for _, b := range blocks {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, block []byte) {
		// Alone, and behind the ids.
		for _, before := range [][][]byte{nil, blocks[:2]} {
			c := New()
			for _, b := range before {
				if err := c.Restore(b); err != nil {
					t.Fatal(err)
				}
			}
			if c.Restore(block) != nil {
				continue
			}
			again := New()
			if err := c.Freeze(func(uint32, string, int64) bool { return false }).Write(again.Restore); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestForgottenUser: an erased user's id is not in a copy once he is to be
// forgotten; codes stay what they are, and his name is a new one's afterwards.
func TestForgottenUser(t *testing.T) {
	c := New()
	for _, id := range []string{"ann", "bob", "carl"} {
		c.Apply(1, []event.Record{{Kind: event.KindUserPut, User: event.User{ID: id, Time: 1, Attributes: []event.Attribute{{Name: "n", Value: event.Value{Kind: event.Number, Num: 1}}}}}})
	}
	c.Apply(2, []event.Record{{Kind: event.KindUserErase, User: event.User{ID: "ann", Time: 5}}, {Kind: event.KindUserErase, User: event.User{ID: "bob", Time: 6}}})
	restored := New()
	err := c.Freeze(func(user uint32, id string, at int64) bool { return user == 0 && id == "ann" && at == 5 }).Write(func(block []byte) error {
		if bytes.Contains(block, []byte("ann")) {
			t.Errorf("a block holds the id: %q", block)
		}
		return restored.Restore(block)
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, known := restored.UserCode("ann"); known || restored.NumUsers() != 3 || restored.UserID(0) != "" {
		t.Errorf("ann is known: %v, %d users, %q", known, restored.NumUsers(), restored.UserID(0))
	}
	if code, _ := restored.UserCode("carl"); code != 2 {
		t.Errorf("carl is %d", code)
	}
	if at, ok := restored.Erased("bob"); !ok || at != 6 {
		t.Errorf("bob was erased at %d, %v", at, ok)
	}
	if code := restored.InternUser("ann"); code != 3 {
		t.Errorf("a new ann is %d", code)
	}
}
