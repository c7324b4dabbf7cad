package tables

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"vitrine/als/dataset"
	"vitrine/als/model"
	"vitrine/als/neighbors"
)

// newSet has every source of a shop of six items.
func newSet(tb testing.TB) *Set {
	tb.Helper()
	const items = 6
	var q neighbors.Sequences
	b := dataset.NewBuilder(items)
	for _, s := range [][]uint32{{0, 1, 2}, {0, 1, 3, 1}, {4, 1, 2}, {5, 2}} {
		q.Add(s)
		for item := range uint32(items) {
			if bytes.ContainsRune([]byte{byte(s[0]), byte(s[1])}, rune(item)) {
				if err := b.Add(item, 1); err != nil {
					tb.Fatal(err)
				}
			}
		}
		b.EndRow()
	}
	t := &Set{Items: items, Settings: Settings{
		Decay: .5, KNN: neighbors.KNNOptions{Recent: 7, Before: new(.15)},
		User: Weights{PartFactors: 1, PartSimilar: .5}, Session: Weights{PartSessions: 1}, Like: Weights{PartSimilar: 1},
	}}
	var err error
	if t.Similar, err = neighbors.Similar(tb.Context(), b.Build(), neighbors.SimilarOptions{}); err != nil {
		tb.Fatal(err)
	}
	if t.Transitions, err = neighbors.Transitions(tb.Context(), &q, neighbors.TransitionOptions{Items: items}); err != nil {
		tb.Fatal(err)
	}
	if t.Sessions, err = neighbors.NewSessions(context.Background(), &q, neighbors.SessionOptions{Items: items}); err != nil {
		tb.Fatal(err)
	}
	t.Popular = &neighbors.Ranked{Items: []uint32{1, 2}, Scores: []float32{4, 3}}
	t.Trending = &neighbors.Ranked{Items: []uint32{3}, Scores: []float32{2}}
	return t
}

const prefix = "sources"

// file writes sections, some of them changed, and opens the container.
func file(tb testing.TB, path string, t *Set, change func(name string, data []byte) []byte) *model.File {
	tb.Helper()
	sections, err := t.Sections(prefix)
	if err != nil {
		tb.Fatal(err)
	}
	kept := sections[:0]
	for _, s := range sections {
		if s.Data = change(s.Name, bytes.Clone(s.Data)); s.Data != nil {
			kept = append(kept, s)
		}
	}
	var buf bytes.Buffer
	if err := model.Encode(&buf, kept); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(path, buf.Bytes(), 0o600); err != nil {
		tb.Fatal(err)
	}
	f, err := model.OpenFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

func unchanged(_ string, data []byte) []byte { return data }

func TestRoundTrip(t *testing.T) {
	for name, change := range map[string]func(*Set){
		"full":        func(*Set) {},
		"no sessions": func(s *Set) { s.Sessions = nil },
		"lists alone": func(s *Set) { s.Similar, s.Transitions, s.Sessions = nil, nil, nil },
		"nothing":     func(s *Set) { *s = Set{Items: 6} },
		"empty list":  func(s *Set) { s.Trending = &neighbors.Ranked{Items: []uint32{}, Scores: []float32{}} },
	} {
		want := newSet(t)
		change(want)
		got, err := FromSections(file(t, filepath.Join(t.TempDir(), "x"), want, unchanged), prefix)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", name, got, want)
		}
	}
}

func TestNoTablesAreNoFault(t *testing.T) {
	f := file(t, filepath.Join(t.TempDir(), "x"), newSet(t), func(string, []byte) []byte { return nil })
	if got, err := FromSections(f, prefix); got != nil || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestCorruptSectionsAreNamed(t *testing.T) {
	remove := func([]byte) []byte { return nil }
	set := func(at int, v byte) func([]byte) []byte {
		return func(d []byte) []byte { d[at] = v; return d }
	}
	text := func(s string) func([]byte) []byte { return func([]byte) []byte { return []byte(s) } }
	for name, c := range map[string]struct {
		section string // damaged, and named by the error
		damage  func([]byte) []byte
		named   string // where it is another one
	}{
		"no JSON":            {"tables", text("{"), ""},
		"long head":          {"tables", func([]byte) []byte { return make([]byte, maxHead+1) }, ""},
		"huge items":         {"tables", text(`{"items":9223372036854775807}`), ""},
		"negative items":     {"tables", text(`{"items":-1}`), ""},
		"huge sessions":      {"tables", text(`{"items":6,"sessions":9223372036854775807}`), ""},
		"huge popular":       {"tables", text(`{"items":6,"popular":4611686018427387904,"sessions":-1,"trending":-1}`), "popular/items"},
		"unknown part":       {"tables", text(`{"items":6,"sessions":-1,"popular":-1,"trending":-1,"settings":{"user":{"astrology":1}}}`), ""},
		"negative weight":    {"tables", text(`{"items":6,"sessions":-1,"popular":-1,"trending":-1,"settings":{"like":{"als":-1}}}`), ""},
		"decay":              {"tables", text(`{"items":6,"sessions":-1,"popular":-1,"trending":-1,"settings":{"decay":7}}`), ""},
		"recent":             {"tables", text(`{"items":6,"sessions":-1,"popular":-1,"trending":-1,"settings":{"knn":{"Recent":-7}}}`), ""},
		"missing start":      {"similar/start", remove, ""},
		"missing items":      {"similar/items", remove, ""},
		"short scores":       {"similar/scores", func(d []byte) []byte { return d[4:] }, ""},
		"NaN score":          {"similar/scores", func(d []byte) []byte { copy(d, []byte{0, 0, 0xc0, 0x7f}); return d }, ""},
		"cut start":          {"transitions/start", func(d []byte) []byte { return d[:len(d)-3] }, ""},
		"first start":        {"transitions/start", set(0, 1), "transitions: "},
		"falling start":      {"transitions/start", set(9, 0xff), "transitions: "},
		"negative end":       {"transitions/start", func(d []byte) []byte { d[len(d)-1] = 0x80; return d }, "transitions/items"},
		"huge end":           {"transitions/start", func(d []byte) []byte { d[len(d)-1] = 0x70; return d }, "transitions/items"},
		"neighbour":          {"transitions/items", set(0, 6), "transitions: "},
		"session item":       {"sessions/items", set(0, 6), "sessions: "},
		"session number":     {"sessions/session", set(0, 200), "sessions: "},
		"session order":      {"sessions/session", func(d []byte) []byte { copy(d, []byte{3, 0, 0, 0, 1, 0, 0, 0}); return d }, "sessions: "},
		"missing posting":    {"sessions/posting", remove, ""},
		"popular item":       {"popular/items", set(3, 1), "popular: "},
		"popular order":      {"popular/scores", set(3, 0), "popular: "},
		"trending too short": {"trending/scores", text(""), ""},
	} {
		f := file(t, filepath.Join(t.TempDir(), "x"), newSet(t), func(section string, data []byte) []byte {
			if section == prefix+"/"+c.section {
				return c.damage(data)
			}
			return data
		})
		named := c.named
		if named == "" {
			named = c.section
		}
		_, err := FromSections(f, prefix)
		var corrupt *model.CorruptError
		if !errors.As(err, &corrupt) || !strings.Contains(corrupt.Reason, "section "+prefix+"/"+named) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzFromSections changes the sections that carry structure. Nothing may
// panic, not even a query, and memory stays in proportion to the file.
func FuzzFromSections(f *testing.F) {
	set := newSet(f)
	sections, err := set.Sections(prefix)
	if err != nil {
		f.Fatal(err)
	}
	byName := map[string][]byte{}
	for _, s := range sections {
		byName[s.Name] = s.Data
	}
	changed := []string{"tables", "similar/start", "sessions/start", "sessions/posting", "sessions/session"}
	data := func(n int) []byte { return byName[prefix+"/"+changed[n]] }
	f.Add(data(0), data(1), data(2), data(3), data(4))
	f.Add([]byte(`{"items":0,"sessions":0,"popular":-1,"trending":-1}`), data(1), data(2)[:8], data(3)[:8], []byte{})
	path := filepath.Join(f.TempDir(), "x")
	f.Fuzz(func(t *testing.T, head, similar, start, posting, session []byte) {
		with := map[string][]byte{}
		for n, data := range [][]byte{head, similar, start, posting, session} {
			with[prefix+"/"+changed[n]] = append([]byte{}, data...)
		}
		opened := file(t, path, set, func(section string, data []byte) []byte {
			if other, ok := with[section]; ok {
				return other
			}
			return data
		})
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got, err := FromSections(opened, prefix)
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 100*uint64(info.Size())+128<<10 {
			t.Errorf("%d bytes allocated for a file of %d", used, info.Size())
		}
		if err != nil {
			return
		}
		sources, err := got.Sources()
		if err != nil {
			t.Fatalf("checked, but: %v", err)
		}
		all := Weights{}
		for _, name := range Parts() {
			all[name] = 1
		}
		var s neighbors.Scratch
		sources.Blend(all, nil).Rank(neighbors.Query{History: []uint32{0, 5, 1, 9}, K: 3}, nil, &s)
	})
}

func TestWeights(t *testing.T) {
	for name, c := range map[string]struct {
		weights Weights
		good    bool
		alone   bool
	}{
		"als":      {Weights{PartFactors: 1}, true, true},
		"als, 0":   {Weights{PartFactors: 1, PartSimilar: 0}, true, true},
		"both":     {Weights{PartFactors: 1, PartSimilar: .1}, true, false},
		"none":     {nil, true, false},
		"unknown":  {Weights{"as": 1}, false, false},
		"NaN":      {Weights{PartSimilar: float32(math.NaN())}, false, false},
		"negative": {Weights{PartSimilar: -1}, false, false},
		"infinite": {Weights{PartSimilar: float32(math.Inf(1))}, false, false},
	} {
		if err := c.weights.Check(); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
		if c.good && c.weights.FactorsAlone() != c.alone {
			t.Errorf("%s: factors alone is not %v", name, c.alone)
		}
	}
	if got := (Weights{PartFactors: 1, PartTransitions: .35, PartPopular: 0}).String(); got != "transitions 0.35, als 1" {
		t.Error(got)
	}
}

// TestBlendLeavesOutWhatIsNotThere: a weight of a source that was not built
// must not stop the others.
func TestBlendLeavesOutWhatIsNotThere(t *testing.T) {
	set := newSet(t)
	set.Sessions = nil
	sources, err := set.Sources()
	if err != nil {
		t.Fatal(err)
	}
	blend := sources.Blend(Weights{PartSessions: 1, PartTransitions: 1, PartFactors: 1}, nil)
	if len(blend.Sources) != 1 || blend.FactorWeight != 0 {
		t.Fatalf("blend %+v", blend)
	}
	var s neighbors.Scratch
	hits := blend.Rank(neighbors.Query{History: []uint32{0}, K: 1}, nil, &s)
	if len(hits) != 1 || hits[0].Row != 1 || hits[0].Score != 1 {
		t.Errorf("got %v", hits)
	}
}
