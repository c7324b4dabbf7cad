package signal

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vitrine/bridge/event"
)

func mustNew(tb testing.TB, c Config) *Signal {
	tb.Helper()
	s, err := New(c)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func TestConfigReportsAllFaults(t *testing.T) {
	_, err := New(Config{
		Types:    map[string]float64{"remove": 1, "": 1, "bad": -1, "nan": math.NaN(), "huge": 1e9, "fine": 3},
		HalfLife: -time.Hour, MaxItems: -1, MaxEvents: 1 << 30, Alpha: math.Inf(1),
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"remove", `""`, `"bad"`, `"nan"`, `"huge"`, "half-life", "-1", "1073741824", "alpha"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not mention %s:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "fine") {
		t.Errorf("a good type is reported:\n%v", err)
	}
	many := map[string]float64{}
	for j := range 250 {
		many[strings.Repeat("x", 1+j%60)+string(rune('a'+j/60))] = 1
	}
	if _, err := New(Config{Types: many}); err == nil {
		t.Error("more types than codes were accepted")
	}
}

func TestTypes(t *testing.T) {
	s := mustNew(t, Config{Types: map[string]float64{"wish": 3, "download": 2, "cart": 5, "seen": 0}})
	for _, c := range []struct {
		name   string
		enters bool
		weight float64
	}{
		{"view", true, 1},
		{"click", true, 1},
		{"favorite", true, 2},
		{"cart", true, 5},
		{"purchase", true, 8},
		{"impression", false, 0},
		{"remove", true, 0},
		{"wish", true, 3},
		{"download", true, 2},
		{"seen", false, 0},
	} {
		code, ok := s.TypeCode(c.name)
		if !ok || !s.Known(c.name) || s.TypeName(code) != c.name {
			t.Fatalf("%s: code %d, known %v, name %q", c.name, code, ok, s.TypeName(code))
		}
		if s.Enters(code) != c.enters {
			t.Errorf("%s enters: %v", c.name, !c.enters)
		}
		in := Interaction{Type: code, Value: noValue()}
		if got := s.Strength(&in); got != c.weight {
			t.Errorf("%s: strength %v, want %v", c.name, got, c.weight)
		}
	}
	if s.Known("nope") || s.Enters(200) || s.TypeName(200) != "" {
		t.Error("an unknown type is known")
	}
	if code, _ := s.TypeCode("download"); code != 8 {
		t.Errorf("further types must follow in name order, download has %d", code)
	}
	if _, ok := s.Interaction(&event.Event{Type: "impression"}, 1); ok {
		t.Error("an impression entered the history")
	}
	in, ok := s.Interaction(&event.Event{Type: "purchase", Time: 7, Value: 1e300, HasValue: true}, 3)
	if !ok || in.Item != 3 || in.Time != 7 || math.IsInf(float64(in.Value), 0) {
		t.Errorf("interaction %+v", in)
	}
}

type step struct {
	typ   string
	item  uint32
	value float64 // NaN: none
	day   int
}

const day = int64(24 * time.Hour / time.Millisecond)

func history(t *testing.T, s *Signal, steps []step) []Interaction {
	t.Helper()
	var h []Interaction
	for _, st := range steps {
		e := event.Event{Type: st.typ, Time: int64(st.day) * day, Value: st.value, HasValue: st.value == st.value}
		in, ok := s.Interaction(&e, st.item)
		if !ok {
			t.Fatalf("%s does not enter", st.typ)
		}
		h = append(h, in)
	}
	return h
}

func TestWeigh(t *testing.T) {
	none := math.NaN()
	s := mustNew(t, Config{HalfLife: 10 * 24 * time.Hour, Alpha: 2})
	for _, c := range []struct {
		name  string
		steps []step
		now   int
		want  map[uint32]float64 // sums
	}{
		{"empty", nil, 0, nil},
		{"types add up", []step{{"view", 1, none, 0}, {"purchase", 1, none, 0}, {"cart", 2, none, 0}}, 0, map[uint32]float64{1: 9, 2: 4}},
		{"value multiplies as log2(1+v)", []step{{"purchase", 1, 3, 0}, {"purchase", 2, 1, 0}, {"purchase", 3, 0, 0}}, 0, map[uint32]float64{1: 16, 2: 8}},
		{"decay", []step{{"view", 1, none, 0}, {"view", 2, none, 10}, {"view", 3, none, 20}}, 20, map[uint32]float64{1: .25, 2: .5, 3: 1}},
		{"the future has age 0", []step{{"view", 1, none, 30}}, 20, map[uint32]float64{1: 1}},
		{"rating by value", []step{{"rating", 1, 4, 0}, {"rating", 2, none, 0}}, 0, map[uint32]float64{1: 4}},
		{"remove takes all", []step{{"purchase", 1, 12, 0}, {"view", 1, none, 1}, {"remove", 1, none, 1}, {"view", 2, none, 1}}, 1, map[uint32]float64{2: 1}},
		{"remove spares what follows", []step{{"purchase", 1, 12, 0}, {"remove", 1, none, 0}, {"cart", 1, none, 0}}, 0, map[uint32]float64{1: 4}},
		{"remove of a part scales", []step{{"purchase", 1, 3, 0}, {"purchase", 1, 1, 0}, {"remove", 1, 1, 0}}, 0, map[uint32]float64{1: 18}},
		{"removed in parts", []step{{"purchase", 1, .3, 0}, {"remove", 1, .1, 0}, {"remove", 1, .1, 0}, {"remove", 1, .1, 0}}, 0, nil},
		{"remove of more than there is", []step{{"purchase", 1, 3, 0}, {"remove", 1, 5, 0}}, 0, nil},
		{"remove of a value where none was given", []step{{"purchase", 1, none, 0}, {"remove", 1, 5, 0}}, 0, nil},
		{"remove of nothing", []step{{"purchase", 1, none, 0}, {"remove", 1, 0, 0}}, 0, map[uint32]float64{1: 8}},
		{"a view is no amount", []step{{"view", 1, none, 0}, {"purchase", 1, 1, 0}, {"remove", 1, 1, 0}}, 0, nil},
		{"a rating is no amount", []step{{"purchase", 1, 1, 0}, {"rating", 1, 5, 0}, {"remove", 1, 1, 0}}, 0, nil},
		{"remove of an unknown item", []step{{"remove", 1, none, 0}}, 0, nil},
	} {
		got := s.Weigh(history(t, s, c.steps), int64(c.now)*day, nil)
		if len(got) != len(c.want) {
			t.Errorf("%s: %v, want sums %v", c.name, got, c.want)
			continue
		}
		for _, w := range got {
			want := math.Log1p(2 * c.want[w.Item] / 8)
			if math.Abs(float64(w.Weight)-want) > 1e-5 {
				t.Errorf("%s: item %d has %v, want %v", c.name, w.Item, w.Weight, want)
			}
		}
		if !slices.IsSortedFunc(got, func(a, b Weighted) int { return int(a.Item) - int(b.Item) }) {
			t.Errorf("%s: not sorted by item: %v", c.name, got)
		}
	}
}

func TestTrim(t *testing.T) {
	s := mustNew(t, Config{MaxItems: 3, MaxEvents: 6})
	for _, c := range []struct{ items, want string }{
		{"", ""},
		{"abc", "abc"},
		{"abcd", "bcd"},
		{"abcabd", "abd"}, // c is the fourth item from the end
		{"aaaaaaaa", "aaaaaa"},
		{"abababab", "ababab"},
		{"dcab", "cab"},
		{"dabcabc", "abcabc"},
	} {
		h := make([]Interaction, len(c.items))
		for j := range h {
			h[j] = Interaction{Time: int64(j), Item: uint32(c.items[j])}
		}
		var got []byte
		for _, in := range s.Trim(h) {
			got = append(got, byte(in.Item))
		}
		if string(got) != c.want {
			t.Errorf("trim %s: %s, want %s", c.items, got, c.want)
		}
	}
}

// TestTrimIsStable is what lets the profile trim as it goes: trimming on the
// way changes nothing.
func TestTrimIsStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, err := New(Config{MaxItems: rapid.IntRange(1, 6).Draw(t, "items"), MaxEvents: rapid.IntRange(1, 12).Draw(t, "events")})
		if err != nil {
			t.Fatal(err)
		}
		items := rapid.SliceOfN(rapid.Uint32Range(0, 9), 0, 60).Draw(t, "history")
		var all, kept []Interaction
		for j, item := range items {
			in := Interaction{Time: int64(j), Item: item}
			all, kept = append(all, in), append(slices.Clone(kept), in)
			if rapid.Bool().Draw(t, "trim now") {
				kept = s.Trim(kept)
			}
		}
		if want, got := s.Trim(all), s.Trim(kept); !slices.Equal(got, want) {
			t.Fatalf("trimmed on the way %v, at the end %v", got, want)
		}
	})
}

// TestWeighAgainstMap compares the hash table and the radix sort with the
// obvious way, over sizes and codes that take every path.
func TestWeighAgainstMap(t *testing.T) {
	s := mustNew(t, Config{MaxItems: 5000, MaxEvents: 20000})
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 63, 64, 65, 500, 5000} {
		for _, codes := range []uint32{1, 200, 70_000, 1 << 31} {
			h := make([]Interaction, n)
			sums := map[uint32]float64{}
			for j := range h {
				h[j] = Interaction{Time: int64(j), Item: rng.Uint32N(codes), Value: noValue()}
				sums[h[j].Item]++
			}
			got := s.Weigh(h, 0, nil)
			if len(got) != len(sums) {
				t.Fatalf("%d events of %d codes: %d items, want %d", n, codes, len(got), len(sums))
			}
			for j, w := range got {
				if want := float32(math.Log1p(sums[w.Item] / 8)); math.Abs(float64(w.Weight-want)) > 1e-4 {
					t.Fatalf("item %d: %v, want %v", w.Item, w.Weight, want)
				}
				if j > 0 && got[j-1].Item >= w.Item {
					t.Fatal("not sorted")
				}
			}
		}
	}
}

func TestScratchGenerationWraps(t *testing.T) {
	var set itemSet
	set.reset(4)
	set.slot(9)
	set.gen = ^uint32(0)
	set.reset(4)
	if slot, fresh := set.slot(9); slot != 0 || !fresh {
		t.Errorf("after the wrap item 9 has slot %d, fresh %v", slot, fresh)
	}
	if _, fresh := set.slot(9); fresh {
		t.Error("item 9 is new twice")
	}
}

func bench500() []Interaction {
	rng := rand.New(rand.NewPCG(3, 4))
	h := make([]Interaction, 1000)
	for j := range h {
		h[j] = Interaction{Time: -int64(1000-j) * 3_600_000, Item: rng.Uint32N(100_000), Value: 3, Type: uint8(j % 5)}
	}
	return h
}

// A history at the cap: the floor is one exp2 and one log2 per event and one
// log1p per item, about 10 ns each.
func BenchmarkWeigh500(b *testing.B) {
	s := mustNew(b, Config{})
	h := s.Trim(bench500())
	dst := s.Weigh(h, 0, nil)
	b.ReportAllocs()
	for b.Loop() {
		dst = s.Weigh(h, 0, dst)
	}
}

func BenchmarkTrim1000(b *testing.B) {
	s := mustNew(b, Config{})
	h := bench500()
	b.ReportAllocs()
	for b.Loop() {
		s.Trim(h)
	}
}

// TestMeasuresOfRatings: counts are counts, the newest rating is the rating, and
// neither age nor the type's weight changes them.
func TestMeasuresOfRatings(t *testing.T) {
	day := int64(24 * time.Hour / time.Millisecond)
	type ev struct {
		kind  string
		value float64 // NaN is none
	}
	nan := math.NaN()
	for name, c := range map[string]struct {
		events          []ev
		ratings, counts float64 // 0 is no cell
	}{
		"nothing rated":           {[]ev{{"view", nan}, {"purchase", 3}, {"cart", nan}}, 3, 3},
		"rated":                   {[]ev{{"view", nan}, {"rating", 4}}, 4, 2},
		"rated again":             {[]ev{{"rating", 5}, {"rating", 2}, {"view", nan}}, 2, 3},
		"rated 0":                 {[]ev{{"rating", 0}}, leastRating, 1},
		"rated without measure":   {[]ev{{"rating", 1e300}}, maxRating, 1},
		"rating without a value":  {[]ev{{"rating", nan}}, 0, 1},
		"taken back":              {[]ev{{"rating", 5}, {"purchase", nan}, {"remove", nan}}, 0, 0},
		"half of it taken back":   {[]ev{{"purchase", 4}, {"purchase", 4}, {"remove", 4}}, 1, 1},
		"rated after a take-back": {[]ev{{"purchase", nan}, {"remove", nan}, {"rating", 3}}, 3, 1},
	} {
		for measure, want := range map[Measure]float64{Ratings: c.ratings, Counts: c.counts} {
			s := mustNew(t, Config{Measure: measure, HalfLife: time.Hour})
			var h []Interaction
			for n, e := range c.events {
				in, ok := s.Interaction(&event.Event{Type: e.kind, Value: e.value, HasValue: e.value == e.value, Time: int64(n) * day}, 7)
				if !ok {
					t.Fatalf("%s: %s does not enter", name, e.kind)
				}
				h = append(h, in)
			}
			got := s.Weigh(s.Trim(h), 1000*day, nil)
			switch {
			case want == 0 && len(got) == 0:
			case want == 0 || len(got) != 1 || math.Abs(float64(got[0].Weight)-want) > 1e-6:
				t.Errorf("%s by %s: %v, want %v", name, measure, got, want)
			}
		}
	}
	confident := mustNew(t, Config{Measure: Ratings}).As("")
	if confident.Measure() != Confidence || !slices.Equal(confident.Weigh([]Interaction{confident.View(3, 0)}, 0, nil), mustNew(t, Config{}).Weigh([]Interaction{confident.View(3, 0)}, 0, nil)) {
		t.Error("As is not the same as a signal of that measure")
	}
	starsOnly := mustNew(t, Config{Measure: Ratings, Types: map[string]float64{"view": 0}})
	if got := starsOnly.Weigh([]Interaction{starsOnly.View(3, 0)}, 0, nil); len(got) != 0 {
		t.Errorf("a session's view where views weigh nothing: %v", got)
	}
	if _, err := New(Config{Measure: "stars"}); err == nil || !strings.Contains(err.Error(), `"stars"`) {
		t.Errorf("unknown measure: %v", err)
	}
}
