package signal

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestSequence(t *testing.T) {
	s := mustNew(t, Config{})
	code := func(name string) uint8 { c, _ := s.TypeCode(name); return c }
	view, purchase, remove := code("view"), code("purchase"), code("remove")
	at := int64(0)
	ev := func(item uint32, kind uint8, value float64) Interaction {
		at++
		return Interaction{Time: at, Item: item, Type: kind, Value: float32(value)}
	}
	nan := math.NaN()
	for name, c := range map[string]struct {
		history []Interaction
		most    int
		want    []uint32
	}{
		"nothing":              {nil, 9, nil},
		"plain":                {[]Interaction{ev(1, view, nan), ev(2, view, nan), ev(1, view, nan)}, 9, []uint32{1, 2, 1}},
		"repeats in a row":     {[]Interaction{ev(1, view, nan), ev(1, purchase, 2), ev(2, view, nan)}, 9, []uint32{1, 2}},
		"the newest":           {[]Interaction{ev(1, view, nan), ev(2, view, nan), ev(3, view, nan)}, 2, []uint32{2, 3}},
		"none wanted":          {[]Interaction{ev(1, view, nan)}, 0, nil},
		"a purchase of none":   {[]Interaction{ev(1, view, nan), ev(2, purchase, 0)}, 9, []uint32{1}},
		"taken back":           {[]Interaction{ev(1, view, nan), ev(2, view, nan), ev(1, remove, nan)}, 9, []uint32{2}},
		"taken back, again":    {[]Interaction{ev(1, view, nan), ev(1, remove, nan), ev(2, view, nan), ev(1, view, nan)}, 9, []uint32{1, 2, 1}},
		"taken back in part":   {[]Interaction{ev(1, purchase, 4), ev(2, view, nan), ev(1, remove, 3)}, 9, []uint32{1, 2}},
		"taken back in parts":  {[]Interaction{ev(1, purchase, 4), ev(2, view, nan), ev(1, remove, 3), ev(1, remove, 1)}, 9, []uint32{2}},
		"between, taken back":  {[]Interaction{ev(1, view, nan), ev(2, view, nan), ev(1, view, nan), ev(2, remove, nan)}, 9, []uint32{1}},
		"something to nothing": {[]Interaction{ev(3, remove, nan)}, 9, nil},
	} {
		got := s.Sequence(c.history, c.most, []Interaction{ev(77, view, nan)})
		var items []uint32
		for _, in := range got[1:] {
			items = append(items, in.Item)
		}
		if got[0].Item != 77 || !slices.Equal(items, c.want) {
			t.Errorf("%s: %v, want %v", name, items, c.want)
		}
	}
}

// TestSequenceHasWhatWeighs: the items of a sequence are those that Weigh
// finds something for.
func TestSequenceHasWhatWeighs(t *testing.T) {
	s := mustNew(t, Config{})
	random := rand.New(rand.NewPCG(2, 2))
	kinds := []string{"view", "purchase", "remove", "rating"}
	for range 300 {
		var h []Interaction
		for n := range 30 {
			code, _ := s.TypeCode(kinds[random.IntN(len(kinds))])
			value := float32(math.NaN())
			if random.IntN(2) == 0 {
				value = float32(random.IntN(4))
			}
			h = append(h, Interaction{Time: int64(n), Item: uint32(random.IntN(8)), Type: code, Value: value})
		}
		var want, got []uint32
		for _, w := range s.Weigh(h, 30, nil) {
			want = append(want, w.Item)
		}
		for _, in := range s.Sequence(h, len(h), nil) {
			got = append(got, in.Item)
		}
		slices.Sort(got)
		if got = slices.Compact(got); !slices.Equal(got, want) {
			t.Fatalf("%v\nsequence of %v, weights of %v", h, got, want)
		}
	}
}
