package catalog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vitrine/appliance/frame"
	"vitrine/bridge/event"
	"vitrine/internal/expr"
)

var filterTexts = []string{
	`price < 10`, `price >= 9.99 && price <= 20.5`, `brand == "b1"`, `brand != "b1"`, `!(brand in ["b1","b2"]) && price > 3`,
	`"sale" in tags`, `!has(tags)`, `has(brand) && has(price)`, `new`, `!new`, `new == true`, `brand.startsWith("b")`,
	`price == stock`, `price < stock || brand == "b3"`, `nothing == 1`, `!has(nothing)`, `item_id in ["i3","i5","i77"]`,
	`item_id.startsWith("i1") && price > 2`, `listed > timestamp("2026-01-15")`, `mixed == 7`, `mixed == "x"`, `true`, `false`,
	`brand == "b1" || brand == "b2" || price == 3 || price == 4`, `brand in ["b0","b1","b2","b3","b4","b5","b6","b7","b8"]`,
}

// randomItem has some of the attributes, sometimes of another type.
func randomItem(rng *rand.Rand) []event.Attribute {
	var at []event.Attribute
	add := func(a event.Attribute) {
		if rng.IntN(4) > 0 {
			at = append(at, a)
		}
	}
	add(text("brand", fmt.Sprintf("b%d", rng.IntN(5))))
	add(text("listed", fmt.Sprintf("2026-01-%02dT00:00:00Z", 1+rng.IntN(30))))
	if rng.IntN(2) == 0 {
		add(text("mixed", "x"))
	} else {
		add(number("mixed", 7))
	}
	add(truth("new", rng.IntN(2) == 0))
	add(number("price", float64(rng.IntN(2500))/100))
	add(number("stock", float64(rng.IntN(5))))
	add(set("tags", []string{"sale", "old", "eco"}[rng.IntN(3):]...))
	return at
}

// TestFilters: what columns and changes give is what looking at each item
// gives, after every kind of change.
func TestFilters(t *testing.T) {
	c := New()
	rng := rand.New(rand.NewPCG(1, 2))
	var known []frame.Filter
	for round := range 6 {
		for range []int{400, 3, 1, 0, 300, 2}[round] {
			id := fmt.Sprintf("i%d", rng.IntN(500))
			if rng.IntN(2) == 0 {
				putItem(c, id, randomItem(rng)...)
			} else {
				patchItem(c, id, append(randomItem(rng)[:0], number("price", float64(rng.IntN(20))))...)
			}
		}
		c.InternItem(fmt.Sprintf("bare%d", round))
		for j, text := range filterTexts {
			if round == 0 {
				f, err := c.Filter(text)
				if err != nil {
					t.Fatal(text, err)
				}
				known = append(known, f)
			}
			program, err := expr.Compile(text)
			if err != nil {
				t.Fatal(err)
			}
			own := newFilter(c, program)
			got := known[j].Selection()
			for code := range uint32(c.NumItems()) {
				if want := own.passes(code); got.Has(code) != want {
					t.Fatalf("round %d: %s: %s: %v, by itself %v", round, text, c.ItemID(code), got.Has(code), want)
				}
			}
			if got.Has(uint32(c.NumItems())) {
				t.Errorf("%s holds for an item that is not there", text)
			}
			if again := known[j].Selection(); again != got {
				t.Errorf("%s: nothing changed, yet there is another selection", text)
			}
		}
	}
	var fault *expr.SyntaxError
	if _, err := c.Filter(`price <`); !errors.As(err, &fault) || fault.Character != 8 {
		t.Errorf("%v", err)
	}
}

// TestManyChanges: a filter that was not asked for longer than changes are kept
// looks at everything again.
// TestUnknownNames: a filter tells which attributes no item has, as of now.
func TestUnknownNames(t *testing.T) {
	c := New()
	putItem(c, "a", text("brand", "x"))
	f, err := c.Filter(`brand == "x" && (colour == "red" || item_id == "a") && has(size)`)
	if err != nil {
		t.Fatal(err)
	}
	unknown := func() []string { return f.(interface{ Unknown() []string }).Unknown() }
	if got := unknown(); !slices.Equal(got, []string{"colour", "size"}) {
		t.Errorf("unknown: %q", got)
	}
	putItem(c, "b", text("colour", "red"))
	if got := unknown(); !slices.Equal(got, []string{"size"}) {
		t.Errorf("unknown after a put: %q", got)
	}
}

func TestManyChanges(t *testing.T) {
	c := New()
	f, err := c.Filter(`price > 5`)
	if err != nil {
		t.Fatal(err)
	}
	putItem(c, "a", number("price", 1))
	first := f.Selection()
	for j := range keptChanges + 10 {
		putItem(c, "a", number("price", float64(j)))
	}
	if first.Has(0) || !f.Selection().Has(0) {
		t.Error("the change was lost")
	}
}

// TestFiltersAreBounded: unused filters are forgotten, used ones stay.
func TestFiltersAreBounded(t *testing.T) {
	c := New()
	often, err := c.Filter(`price > 0`)
	if err != nil {
		t.Fatal(err)
	}
	for j := range 3 * maxFilters {
		if _, err := c.Filter(fmt.Sprintf("price > %d", 10+j)); err != nil {
			t.Fatal(err)
		}
		if again, _ := c.Filter(`price > 0`); again != often {
			t.Fatal("a filter in use was forgotten")
		}
	}
	if n := len(c.filters.byText); n > maxFilters {
		t.Errorf("%d filters are remembered", n)
	}
}

func TestFiltersBesideAWriter(t *testing.T) {
	c := New()
	var wg sync.WaitGroup
	done := make(chan struct{})
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				f, err := c.Filter(`price > 5 && "x" in tags`)
				if err != nil {
					t.Error(err)
					return
				}
				f.Selection()
			}
		})
	}
	for j := range 3000 {
		putItem(c, fmt.Sprintf("i%d", j%700), number("price", float64(j%10)), set("tags", "x"))
	}
	close(done)
	wg.Wait()
	f, _ := c.Filter(`price > 5 && "x" in tags`)
	for code := range uint32(c.NumItems()) {
		it, _ := c.Item(code)
		if want := it.Attributes[0].Value.Num > 5; f.Selection().Has(code) != want {
			t.Fatalf("%s: %v", it.ID, !want)
		}
	}
}

func TestWindow(t *testing.T) {
	c := New()
	putItem(c, "a", text(event.AvailableFrom, "2026-06-01T00:00:00Z"))
	putItem(c, "b", number(event.AvailableFrom, 1780272000000))
	putItem(c, "c", text(event.AvailableFrom, "soon"))
	putItem(c, "e", number(event.AvailableFrom, 1780272000)) // as files have it: seconds
	june := int64(1780272000000)
	for _, x := range []struct {
		code   uint32
		now    int64
		hidden bool
	}{{0, june - 1, true}, {0, june, false}, {1, june - 1, true}, {1, june, false}, {2, 0, false}, {3, june - 1, true}, {3, june, false}} {
		if got := c.Expired(x.code, x.now); got != x.hidden {
			t.Errorf("item %d at %d: hidden %v", x.code, x.now, got)
		}
	}
	c.ApplyItem(&event.Item{ID: "d", Time: 50}, false)
	c.ApplyItem(&event.Item{ID: "d", Time: 90}, false)
	if code, _ := c.ItemCode("d"); c.Listed(code) != 50 || c.Listed(99) != 0 {
		t.Errorf("listed at %d", c.Listed(code))
	}
}

// TestLookInSteps: a look at all items that ends for want of time goes on where
// it was, and what changed meanwhile is looked at again.
func TestLookInSteps(t *testing.T) {
	c := New()
	rng := rand.New(rand.NewPCG(3, 5))
	for j := range 20_000 {
		putItem(c, fmt.Sprintf("i%d", j), randomItem(rng)...)
	}
	text := `price < stock || brand == "b3" && "sale" in tags` + strings.Repeat(` || brand.startsWith("z")`, 50)
	got, err := c.Filter(text)
	if err != nil {
		t.Fatal(err)
	}
	f, steps, over := got.(*filter), 0, time.Unix(1, 0)
	for done := 0; !f.Ready(over); steps++ {
		if steps == 0 && f.look == nil {
			t.Fatal("nothing was begun")
		}
		// Time is over at the first look at the clock, so the steps are made here.
		f.look.step()
		if f.look.done <= done {
			t.Fatalf("a step leaves %d words done", f.look.done)
		}
		if done = f.look.done; done == len(f.look.words) {
			break
		}
		putItem(c, fmt.Sprintf("i%d", steps*7), number("price", float64(steps)), number("stock", 2))
	}
	if steps < 3 || !f.Ready(over) {
		t.Errorf("not ready after %d steps", steps)
	}
	program, _ := expr.Compile(text)
	one, s := newFilter(c, program), f.Selection()
	for code := range uint32(c.NumItems()) {
		if s.Has(code) != one.passes(code) {
			t.Fatalf("%s: %v", c.ItemID(code), s.Has(code))
		}
	}
}

// BenchmarkFilter is a filter's first look at 100k items, by a text and a
// number; then the next look, after one change. Reading the columns alone
// (12 bytes an item) would take 60 us.
func BenchmarkFilter(b *testing.B) {
	c := New()
	for j := range 100_000 {
		c.ApplyItem(&event.Item{ID: fmt.Sprintf("i%d", j), Attributes: []event.Attribute{
			text("category", fmt.Sprintf("c%d", j%50)), text("name", fmt.Sprintf("name %d", j)), number("price", float64(j%1000)+.99), number("stock", float64(j%77)),
		}}, false)
	}
	long := strings.Repeat(`category == "none" || price == 7.5 || `, 499) + `category == "c3"`
	var pairs, names strings.Builder
	for j := range 200 {
		fmt.Fprintf(&pairs, `(price < stock || price > %d) && `, j)
		fmt.Fprintf(&names, `name.startsWith("zq%d") || `, j)
	}
	for name, text := range map[string]string{
		"two": `category == "c3" && price < 500`, "thousand": long, "pairs": pairs.String() + "true", "names": names.String() + "false",
	} {
		program, err := expr.Compile(text)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name+"/first", func(b *testing.B) {
			for b.Loop() {
				newFilter(c, program).Selection()
			}
		})
		b.Run(name+"/changed", func(b *testing.B) {
			f := newFilter(c, program)
			f.Selection()
			for b.Loop() {
				c.changes.add(5)
				f.Selection()
			}
		})
	}
}
