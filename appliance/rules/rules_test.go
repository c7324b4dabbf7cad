package rules

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"vitrine/appliance/frame"
	"vitrine/internal/expr"
)

// shop has items i0 to i99: brand code%3+1, listed at code days, and filters
// "REST/BY" beside those of expr.
type shop struct{}

type modulo struct{ rest, by uint32 }

func (modulo) Ready(time.Time) bool { return true }

func (m modulo) Selection() *frame.Selection {
	s := &frame.Selection{Words: make([]uint64, 2)}
	for code := m.rest; code < 100; code += m.by {
		s.Words[code/64] |= 1 << (code % 64)
	}
	return s
}

func (shop) Filter(text string) (frame.Filter, error) {
	var m modulo
	if _, err := fmt.Sscanf(text, "%d/%d", &m.rest, &m.by); err == nil {
		return m, nil
	}
	if ids, ok := strings.CutPrefix(text, `item_id in ["i`); ok {
		code, err := strconv.Atoi(ids[:strings.IndexByte(ids, '"')])
		return modulo{uint32(code), 1000}, err
	}
	_, err := expr.Compile(text)
	return modulo{0, 1000}, err
}

type brands struct{}

func (brands) Kind() frame.Kind { return frame.Text }
func (brands) Gather(dst, codes []uint32) {
	for j, code := range codes {
		dst[j] = code%3 + 1
		if code >= 90 {
			dst[j] = 0 // no brand
		}
	}
}

func (shop) Column(_ frame.Scope, name string) frame.Column {
	if name == "brand" {
		return brands{}
	}
	return nil
}

func (shop) ItemCode(id string) (uint32, bool) {
	code, err := strconv.Atoi(strings.TrimPrefix(id, "i"))
	return uint32(code), err == nil && code < 100
}

const day = 24 * 3600 * 1000

func (shop) Listed(item uint32) int64 { return int64(item) * day }

// alike says that items of the same parity are the same thing.
type alike struct{}

func (alike) Cosines(item uint32, others []uint32, dst []float32) {
	for j, other := range others {
		dst[j] = 0
		if (item^other)&1 == 0 {
			dst[j] = 1
		}
	}
}

func scenes() []string { return []string{"home", "cart"} }

func compile(t testing.TB, rules string) *Plans {
	t.Helper()
	list, faults := Parse([]byte(`{"rules":[`+rules+`]}`), scenes())
	plans, err := Compile(list, faults, shop{}, new(Shown))
	if err != nil {
		t.Fatal(err)
	}
	return plans
}

// candidates are items 0 to n-1, the score of an item being n less its code.
func candidates(n int) *frame.Frame {
	f := &frame.Frame{User: 7, Now: 100 * day}
	for code := range n {
		f.Add(uint32(code), float32(n-code))
	}
	return f
}

func sortFrame(f *frame.Frame) {
	order := make([]int, f.Len())
	for j := range order {
		order[j] = j
	}
	slices.SortStableFunc(order, func(a, b int) int { return int(math.Copysign(1, float64(f.Scores[b]-f.Scores[a]))) })
	var g frame.Frame
	for _, j := range order {
		g.Add(f.Items[j], f.Scores[j])
	}
	f.Items, f.Scores, f.Mask = g.Items, g.Scores, g.Mask
}

func TestRules(t *testing.T) {
	for name, c := range map[string]struct {
		rules string
		page  Page
		want  string
	}{
		"nothing in force":      {`{"action":"boost","filter":"9/10","factor":2,"until":"1970-01-02T00:00:00Z"}`, Page{Limit: 3}, "0 1 2"},
		"another scene":         {`{"action":"boost","filter":"9/10","factor":2,"scene":"cart"},{"action":"pin","item_id":"i50","slot":1}`, Page{Limit: 2}, "50 0"},
		"boost":                 {`{"action":"boost","filter":"9/10","factor":2}`, Page{Limit: 3}, "9 0 1"},
		"boost down":            {`{"action":"boost","filter":"0/1","factor":0.5},{"action":"boost","item_id":"i0","factor":0.1}`, Page{Limit: 2}, "1 2"},
		"bury":                  {`{"action":"bury","filter":"0/2"}`, Page{Limit: 16}, "1 3 5 7 9 11 13 15 17 19 21 23 25 27 29 0"},
		"pins":                  {`{"action":"pin","item_id":"i77","slot":3},{"action":"pin","item_id":"i66","slot":1},{"action":"pin","item_id":"i55","slot":1}`, Page{Limit: 4}, "66 0 77 1"},
		"a pin beyond the page": {`{"action":"pin","item_id":"i77","slot":5}`, Page{Limit: 4}, "0 1 2 3"},
		"a pin of a next page":  {`{"action":"pin","item_id":"i77","slot":5}`, Page{Limit: 4, Offset: 3}, "0 77 1 2"},
		"quota":                 {`{"action":"quota","attribute":"brand","most":1}`, Page{Limit: 10}, "0 1 2"},
		"quota of no attribute": {`{"action":"quota","attribute":"size","most":1}`, Page{Limit: 2}, "0 1"},
		"quota and a pin":       {`{"action":"quota","attribute":"brand","most":1},{"action":"pin","item_id":"i60","slot":3}`, Page{Limit: 4}, "1 2 60"},
		"quota and later pins":  {`{"action":"quota","attribute":"brand","most":1},{"action":"pin","item_id":"i60","slot":5}`, Page{Limit: 4}, "0 1 2"},
		"promote":               {`{"action":"promote","filter":"29/100","percent":25}`, Page{Limit: 4}, "0 1 2 29"},
		"promote fifty":         {`{"action":"promote","filter":"9/10","percent":50}`, Page{Limit: 4}, "0 9 1 19"},
		"promote over a quota":  {`{"action":"promote","filter":"0/3","percent":100},{"action":"quota","attribute":"brand","most":1}`, Page{Limit: 3}, "0 1 2"},
		"promote the buried":    {`{"action":"promote","filter":"0/2","percent":100},{"action":"bury","filter":"0/2"}`, Page{Limit: 3}, "1 3 5"},
		"promote what is there": {`{"action":"promote","filter":"0/2","percent":50}`, Page{Limit: 3}, "0 1 2"},
		"freshness":             {`{"action":"freshness","strength":10,"half_life":"1d"}`, Page{Limit: 2}, "0 1"},
		"diversity":             {`{"action":"diversity","strength":0.5}`, Page{Limit: 4, Likeness: alike{}}, "0 1 2 3"},
		"diversity, strong":     {`{"action":"diversity","strength":0.9},{"action":"boost","filter":"0/2","factor":2}`, Page{Limit: 3, Likeness: alike{}}, "0 1 2"},
	} {
		plan := compile(t, c.rules).For("home")
		f := candidates(30)
		c.page.Pins = plan.Pins(f.Now, nil)
		if plan != nil {
			plan.Score(f, nil)
			sortFrame(f)
			plan.Arrange(f, c.page, new(Scratch))
		}
		f.Items = f.Items[:min(len(f.Items), c.page.Limit)]
		if got := strings.Trim(fmt.Sprint(f.Items), "[]"); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// TestFreshness: with the strength of one, an item listed today counts twice,
// one of a half-life ago half as much again.
func TestFreshness(t *testing.T) {
	plan := compile(t, `{"action":"freshness","strength":1,"half_life":"10d"}`).For("home")
	f := &frame.Frame{Now: 90 * day}
	f.Add(90, 8)
	f.Add(80, 8)
	f.Add(95, -8) // listed tomorrow
	plan.Score(f, nil)
	if fmt.Sprint(f.Scores) != "[16 12 0]" {
		t.Error(f.Scores)
	}
}

func TestRotate(t *testing.T) {
	plan := compile(t, `{"action":"rotate","every":"1h","strength":0.5}`).For("home")
	list := func(user uint32, now int64) string {
		f := candidates(30)
		f.User, f.Now = user, now
		plan.Score(f, nil)
		for j, s := range f.Scores {
			if base := float32(30 - j); s < base/2 || s > base*1.5 {
				t.Errorf("%v became %v", base, s)
			}
		}
		sortFrame(f)
		return fmt.Sprint(f.Items)
	}
	const hour = 3600 * 1000
	if list(1, 0) != list(1, hour-1) || list(1, 0) == list(1, hour) || list(1, 0) == list(2, 0) {
		t.Error("lists do not last for their hour and user")
	}
}

// angles likens items by their codes as directions, seven of them in a circle.
type angles struct{}

func (angles) Cosines(item uint32, others []uint32, dst []float32) {
	for j, other := range others {
		dst[j] = float32(math.Cos(2 * math.Pi / 7 * (float64(item) - float64(other))))
	}
}

// TestDiversityIsMMR holds the page against maximal marginal relevance written
// down: of what is left the best by score less the likeness to the nearest of
// those before it.
func TestDiversityIsMMR(t *testing.T) {
	for _, strength := range []float64{.2, .5, .8, 1} {
		f := candidates(20)
		left, scores := slices.Clone(f.Items), slices.Clone(f.Scores)
		low, high := float64(scores[len(scores)-1]), float64(scores[0])
		var want []uint32
		for len(want) < 10 {
			best, top := 0, math.Inf(-1)
			for j, item := range left {
				nearest := 0.
				for _, before := range want {
					var one [1]float32
					angles{}.Cosines(before, []uint32{item}, one[:])
					nearest = max(nearest, float64(one[0]))
				}
				if value := (1-strength)*(float64(scores[j])-low)/(high-low) - strength*nearest; value > top {
					best, top = j, value
				}
			}
			want = append(want, left[best])
			left, scores = slices.Delete(left, best, best+1), slices.Delete(scores, best, best+1)
		}
		plan := compile(t, fmt.Sprintf(`{"action":"diversity","strength":%v}`, strength)).For("home")
		plan.Arrange(f, Page{Limit: 10, Likeness: angles{}}, new(Scratch))
		if !slices.Equal(f.Items, want) {
			t.Errorf("strength %v: %v, want %v", strength, f.Items, want)
		}
	}
}

func TestCap(t *testing.T) {
	plan := compile(t, `{"action":"cap","times":2,"window":"1h","filter":"0/2"}`).For("home")
	page := func(user uint32, now int64) string {
		f := candidates(6)
		f.User, f.Now = user, now
		plan.Arrange(f, Page{Limit: 3}, new(Scratch))
		plan.Served(f)
		return fmt.Sprint(f.Items)
	}
	const hour = 3600 * 1000
	for j, want := range []string{"[0 1 2]", "[0 1 2]", "[1 3 4]", "[1 3 4]", "[1 3 5]"} {
		if got := page(1, int64(j)); got != want {
			t.Errorf("list %d: %s, want %s", j+1, got, want)
		}
	}
	if got := page(2, 5); got != "[0 1 2]" {
		t.Errorf("another user: %s", got)
	}
	if got := page(frame.NoUser, 5) + page(frame.NoUser, 5) + page(frame.NoUser, 5); got != "[0 1 2][0 1 2][0 1 2]" {
		t.Errorf("nobody: %s", got)
	}
	if got := page(1, hour+10); got != "[0 1 2]" {
		t.Errorf("an hour later: %s", got)
	}
}

// TestCapsOfSeveralSpans: a cap for an hour holds in every hour, whatever longer
// cap there is beside it, in its scene or another one.
func TestCapsOfSeveralSpans(t *testing.T) {
	const minute = 60 * 1000
	plans := compile(t, `{"action":"cap","times":1,"window":"1h"},{"action":"cap","times":3,"window":"24h","scene":"cart"}`)
	shown := func(scene string, now int64) int {
		f := candidates(1)
		f.User, f.Now = 1, now
		plan := plans.For(scene)
		plan.Arrange(f, Page{Limit: 1}, new(Scratch))
		plan.Served(f)
		return f.Len()
	}
	for _, c := range []struct {
		scene   string
		minutes int64
		want    int
	}{
		{"cart", 0, 1},
		{"cart", 30, 0},
		{"cart", 60, 1}, // the second hour
		{"cart", 61, 0},
		{"cart", 119, 0},
		{"home", 120, 1}, // the third
		{"cart", 121, 0},
		{"cart", 180, 1}, // the fourth, and the third time in the cart
		{"cart", 240, 0},
		{"home", 240, 1}, // of the cart alone was it too much
		{"cart", 24*60 + 1, 1},
	} {
		if got := shown(c.scene, c.minutes*minute); got != c.want {
			t.Errorf("%s after %d minutes: %d items, want %d", c.scene, c.minutes, got, c.want)
		}
	}
}

func TestNotes(t *testing.T) {
	plan := compile(t, `{"action":"boost","name":"sale","filter":"1/100","factor":3},{"action":"quota","attribute":"brand","most":1}`).For("home")
	f := candidates(9)
	var notes Notes
	plan.Score(f, &notes)
	sortFrame(f)
	plan.Arrange(f, Page{Limit: 9, Notes: &notes}, new(Scratch))
	var got []string
	for _, n := range notes.List {
		got = append(got, fmt.Sprintf("%d %s %v %v", n.Item, n.Rule, n.Change, n.Dropped))
	}
	if want := "1 sale 16 false"; got[0] != want || len(got) != 7 || got[1] != "3 quota (rule 2) 0 true" {
		t.Errorf("%q", got)
	}
}

// TestFaults: all of them in one answer, with their places.
func TestFaults(t *testing.T) {
	body := `{"rules":[
		{"action":"pn"}, {"slot":3}, {"action":"pin","item_id":"i1","slot":0}, {"action":"pin","slot":"1","itemid":"x"},
		{"action":"boost","filter":"price <","factor":2}, {"action":"boost","filter":"a == 1","item_id":"i2","factor":-1},
		{"action":"quota","attribute":"","most":2}, {"action":"cap","times":1,"window":"soon"},
		{"action":"bury","filter":"x == 1","scene":"hom","from":"2026-02-01T00:00:00Z","until":"2026-01-01T00:00:00Z"},
		{"action":"freshness"}, {"action":"promote","filter":"x == 1","percent":101}, {"action":"diversity","strength":2}
	]}`
	list, faults := Parse([]byte(body), scenes())
	_, err := Compile(list, faults, shop{}, nil)
	if !errors.As(err, &faults) {
		t.Fatal(err)
	}
	for _, want := range []string{
		`rule 1: action: there is no action "pn"; did you mean pin?`, "rule 2: action: is missing", "rule 3: slot: must be more than 0",
		"rule 4: itemid: pin has no such field; did you mean item_id?", "rule 4: item_id: pin needs it", "rule 4: slot: must be a whole number, not string",
		"rule 5: filter: at character 8", "rule 6: give one of filter", "rule 6: factor: must be more than 0", "rule 7: attribute: is empty",
		"rule 8: window: must be a span", `rule 9: scene: there is no scene "hom"`, "rule 9: until: is not after from", "rule 10: freshness needs",
		"rule 11: percent: must be", "rule 12: strength: must be",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	if at := slices.IndexFunc(faults, func(f Fault) bool { return f.Rule == 5 }); faults[at].Position != 8 || faults[at].Field != "filter" {
		t.Errorf("%+v", faults[at])
	}
	for _, body := range []string{``, `[]`, `{}`, `{"rules":null}`, `{"rules":[]} x`, `{"rules":[],"more":1}`, `{"rules":[` + strings.Repeat(`{},`, MaxRules) + `{}]}`} {
		if _, faults := Parse([]byte(body), scenes()); len(faults) != 1 || faults[0].Rule != 0 {
			t.Errorf("%.40s: %v", body, faults)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`{"rules":[{"action":"pin","item_id":"i1","slot":3},{"action":"cap","times":1,"window":"1h"},{"action":"freshness","percent":5}]}`)
	f.Add(`{"rules":[{"action":"boost","filter":"1/2","factor":2},{"action":"rotate","every":"1s","strength":1},{"action":"quota","attribute":"brand","most":1}]}`)
	f.Add(`{"rules":[{"action":"diversity","strength":1},{"action":"promote","item_ids":["i1"],"percent":50},{"action":"bury","filter":"a == 1"}]}`)
	f.Fuzz(func(t *testing.T, body string) {
		list, faults := Parse([]byte(body), scenes())
		plans, err := Compile(list, faults, shop{}, new(Shown))
		if err != nil {
			return
		}
		plan := plans.For("home")
		if plan == nil {
			return
		}
		fr := candidates(40)
		plan.Score(fr, nil)
		plan.Arrange(fr, Page{Limit: 10, Pins: plan.Pins(fr.Now, nil), Likeness: alike{}}, new(Scratch))
		plan.Served(fr)
		seen := map[uint32]bool{}
		for _, item := range fr.Items {
			if seen[item] && len(plan.of(Pin)) == 0 {
				t.Fatalf("item %d twice", item)
			}
			seen[item] = true
		}
		if fr.Len() > 10 {
			t.Fatalf("%d items", fr.Len())
		}
	})
}

func TestStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "rules")
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if set, err := s.Load(); err != nil || set.Version != 0 || len(set.Rules) != 0 {
		t.Errorf("%+v, %v", set, err)
	}
	for j := range keptVersions + 5 {
		set, err := s.Save([]Rule{{Action: Pin, ItemID: fmt.Sprint("i", j), Slot: 1}}, time.Now())
		if err != nil || set.Version != j+1 {
			t.Fatal(set, err)
		}
	}
	set, err := s.Load()
	if err != nil || set.Version != keptVersions+5 || set.Rules[0].ItemID != fmt.Sprint("i", keptVersions+4) {
		t.Errorf("%+v, %v", set, err)
	}
	if set, err := s.At(6); err != nil || set.Version != 6 || set.Rules[0].ItemID != "i5" {
		t.Errorf("%+v, %v", set, err)
	}
	for _, version := range []int{-1, 0, 5, keptVersions + 6} {
		if set, err := s.At(version); !errors.Is(err, ErrNoVersion) {
			t.Errorf("version %d: %+v, %v", version, set, err)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != keptVersions {
		t.Errorf("%d files", len(entries))
	}
	if err := os.WriteFile(filepath.Join(dir, "99.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(); err == nil || !strings.Contains(err.Error(), "99.json") {
		t.Errorf("%v", err)
	}
}
