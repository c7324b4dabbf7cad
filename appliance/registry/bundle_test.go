package registry

import (
	"bytes"
	"errors"
	"flag"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"vitrine/als/model"
	"vitrine/als/neighbors"
	"vitrine/als/neighbors/tables"
)

var update = flag.Bool("update", false, "write the golden files anew")

func randomModel(users, items, rank int, seed uint64) *model.Model {
	rng := rand.New(rand.NewPCG(seed, 1))
	m := &model.Model{
		Rank: rank, NumUsers: users, NumItems: items,
		Users: make([]float32, users*rank), Items: make([]float32, items*rank),
		ItemScale: make([]float32, items),
		Params:    model.Params{Alpha0: 0.1, Lambda: 0.05, Nu: 1, FrequencyPower: 0.5},
	}
	for _, v := range [][]float32{m.Users, m.Items, m.ItemScale} {
		for i := range v {
			v[i] = rng.Float32() + 0.1
		}
	}
	return m
}

// newBundle makes a bundle whose user and item counts tell its version, and
// whose time of creation grows with the version's number.
func newBundle(version string, users, items int) *Bundle {
	n, _ := strconv.Atoi(strings.TrimLeft(version, "v"))
	b := &Bundle{
		Version: version, Parent: "v0",
		Created:  time.Date(2026, 1, 1, 0, n, 0, 0, time.UTC),
		Position: math.MaxUint64, Reference: 1_700_000_000_123,
		Model: randomModel(users, items, 4, uint64(n)), Evaluated: randomModel(users, items, 4, 99),
		Metrics: []Metric{{"als", "ndcg@10", 0.25, 0.2, 0.3}, {"popularity", "ndcg@10", 0.1, 0.05, 0.15}},
		Gate:    Gate{Passed: true, Reason: "0.25 against 0.10 of popularity"},
		Users:   users, Items: items, Interactions: 17,
		Seconds: map[string]float64{"train": 1.5},
	}
	for i := range users {
		b.UserIDs = append(b.UserIDs, "user-"+strconv.Itoa(i))
	}
	for i := range items {
		b.ItemIDs = append(b.ItemIDs, "\u00e9-item-"+strconv.Itoa(i))
		b.ItemWeight = append(b.ItemWeight, float32(i))
	}
	return b
}

// newSources has a transition of every item to the next one, and a list.
func newSources(t testing.TB, items int) *tables.Set {
	t.Helper()
	var q neighbors.Sequences
	for i := range uint32(items - 1) {
		q.Add([]uint32{i, i + 1})
	}
	next, err := neighbors.Transitions(t.Context(), &q, neighbors.TransitionOptions{Items: items})
	if err != nil {
		t.Fatal(err)
	}
	return &tables.Set{
		Items: items, Transitions: next, Popular: &neighbors.Ranked{Items: []uint32{0}, Scores: []float32{2}},
		Settings: tables.Settings{User: tables.Weights{tables.PartTransitions: 1, tables.PartFactors: .5}},
	}
}

func write(t testing.TB, path string, b *Bundle) string {
	t.Helper()
	if err := Write(path, b); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBundleRoundTrip(t *testing.T) {
	for name, change := range map[string]func(b *Bundle){
		"full":         func(*Bundle) {},
		"no evaluated": func(b *Bundle) { b.Evaluated = nil },
		"sources":      func(b *Bundle) { b.Sources = newSources(t, 7) },
		"bare":         func(b *Bundle) { b.Parent, b.Metrics, b.Seconds, b.Gate = "", nil, nil, Gate{} },
		"empty": func(b *Bundle) {
			b.Model, b.Evaluated = randomModel(0, 0, 4, 1), nil
			b.UserIDs, b.ItemIDs, b.ItemWeight = []string{}, []string{}, []float32{}
		},
	} {
		want := newBundle("v1", 5, 7)
		change(want)
		path := write(t, filepath.Join(t.TempDir(), "x"), want)
		got, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", name, got, want)
		}
		want.Evaluated = nil
		if got, err = loadServing(path); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s, for serving: %+v, %v", name, got, err)
		}
	}
}

// What version 1 of the program wrote stays readable for ever.
func TestBundleGoldenFileStaysReadable(t *testing.T) {
	golden := filepath.Join("testdata", "bundle-v1.bundle")
	want := newBundle("v1", 3, 2)
	if *update {
		write(t, golden, want)
	}
	got, err := Load(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
}

func TestBundleKeepsWhatWasNotMeasured(t *testing.T) {
	b := newBundle("v1", 1, 1)
	b.Metrics = []Metric{{"als", "ndcg@10", 0.5, math.NaN(), math.Inf(1)}}
	got, err := Load(write(t, filepath.Join(t.TempDir(), "x"), b))
	if err != nil {
		t.Fatal(err)
	}
	if m := got.Metrics[0]; m.Value != 0.5 || !math.IsNaN(m.Lo) || !math.IsNaN(m.Hi) {
		t.Errorf("got %+v", m)
	}
}

func TestWriteRefuses(t *testing.T) {
	nan := float32(math.NaN())
	for name, damage := range map[string]func(b *Bundle){
		"no version":       func(b *Bundle) { b.Version = "" },
		"path as version":  func(b *Bundle) { b.Version = "../v1" },
		"hidden version":   func(b *Bundle) { b.Version = ".v1" },
		"long version":     func(b *Bundle) { b.Version = strings.Repeat("v", 65) },
		"bad parent":       func(b *Bundle) { b.Parent = "a/b" },
		"no model":         func(b *Bundle) { b.Model = nil },
		"broken model":     func(b *Bundle) { b.Model.Rank++ },
		"users":            func(b *Bundle) { b.UserIDs = b.UserIDs[1:] },
		"items":            func(b *Bundle) { b.ItemIDs = append(b.ItemIDs, "x") },
		"empty id":         func(b *Bundle) { b.ItemIDs[1] = "" },
		"long id":          func(b *Bundle) { b.ItemIDs[1] = strings.Repeat("x", 257) },
		"id not UTF-8":     func(b *Bundle) { b.UserIDs[1] = "\xff" },
		"weights":          func(b *Bundle) { b.ItemWeight = nil },
		"negative weight":  func(b *Bundle) { b.ItemWeight[1] = -1 },
		"NaN weight":       func(b *Bundle) { b.ItemWeight[1] = nan },
		"broken evaluated": func(b *Bundle) { b.Evaluated.Items = nil },
		"larger evaluated": func(b *Bundle) { b.Evaluated = randomModel(3, 4, 4, 1) },
		"other sources":    func(b *Bundle) { b.Sources = newSources(t, 4) },
		"broken sources":   func(b *Bundle) { b.Sources = newSources(t, 3); b.Sources.Popular.Items[0] = 3 },
		"NaN seconds":      func(b *Bundle) { b.Seconds["x"] = math.NaN() },
		"huge head":        func(b *Bundle) { b.Gate.Reason = strings.Repeat("x", maxHead) },
	} {
		b := newBundle("v1", 3, 3)
		damage(b)
		path := filepath.Join(t.TempDir(), "x")
		if err := Write(path, b); err == nil {
			t.Errorf("%s: written", name)
		}
		if left, _ := os.ReadDir(filepath.Dir(path)); len(left) > 0 {
			t.Errorf("%s: left %v", name, left)
		}
	}
}

// put writes a file without syncing it, which fuzzing has no time for.
func put(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// damaged encodes a bundle with one of its sections changed, or left out when
// damage returns nil, and right checksums: what a hostile writer would do.
func damaged(t testing.TB, b *Bundle, damage func(section string, data []byte) []byte) []byte {
	t.Helper()
	sections, err := b.sections()
	if err != nil {
		t.Fatal(err)
	}
	var out []model.Section
	for _, s := range sections {
		if s.Data = damage(s.Name, bytes.Clone(s.Data)); s.Data != nil {
			out = append(out, s)
		}
	}
	var buf bytes.Buffer
	if err := model.Encode(&buf, out); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestLoadRefuses(t *testing.T) {
	remove := func([]byte) []byte { return nil }
	set := func(at int, v byte) func([]byte) []byte {
		return func(d []byte) []byte { d[at] = v; return d }
	}
	for name, c := range map[string]struct {
		section string
		damage  func([]byte) []byte
	}{
		"no head":           {sectionHead, remove},
		"broken head":       {sectionHead, func(d []byte) []byte { return d[1:] }},
		"huge head":         {sectionHead, func([]byte) []byte { return make([]byte, maxHead+1) }},
		"version is a path": {sectionHead, func([]byte) []byte { return []byte(`{"version":"../x"}`) }},
		"missing evaluated": {sectionHead, func([]byte) []byte { return []byte(`{"version":"x","evaluated":true}`) }},
		"no user ids":       {sectionUsers, remove},
		"short table":       {sectionUsers, func([]byte) []byte { return []byte{3} }},
		"other count":       {sectionUsers, set(0, 4)},
		"huge count":        {sectionUsers, set(3, 0xff)},
		"empty id":          {sectionUsers, set(4, 0)},
		"falling ends":      {sectionUsers, set(8, 1)},
		"end outside":       {sectionUsers, set(12, 200)},
		"long text":         {sectionUsers, func(d []byte) []byte { return append(d, 'x') }},
		"not UTF-8":         {sectionUsers, set(16, 0xff)},
		"cut character":     {sectionItems, set(4, 1)},
		"short weights":     {sectionWeight, func(d []byte) []byte { return d[4:] }},
		"negative weight":   {sectionWeight, set(7, 0xbf)},
		"NaN weight":        {sectionWeight, func(d []byte) []byte { copy(d, []byte{0, 0, 0xc0, 0x7f}); return d }},
		"no model":          {"live/model", remove},
		"broken model":      {"live/items", func(d []byte) []byte { return d[16:] }},
	} {
		b := newBundle("v1", 3, 3)
		b.Evaluated = nil
		path := filepath.Join(t.TempDir(), "x")
		data := damaged(t, b, func(section string, data []byte) []byte {
			if section == c.section {
				return c.damage(data)
			}
			return data
		})
		put(t, path, data)
		var corrupt *model.CorruptError
		if _, err := Load(path); !errors.As(err, &corrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCorruptTableIsNamed: a version whose tables are damaged is refused as a
// whole, and the error says where.
func TestCorruptTableIsNamed(t *testing.T) {
	b := newBundle("v1", 3, 3)
	b.Sources = newSources(t, 3)
	path := filepath.Join(t.TempDir(), "x")
	put(t, path, damaged(t, b, func(section string, data []byte) []byte {
		if section == "sources/transitions/items" {
			data[0] = 200
		}
		return data
	}))
	var corrupt *model.CorruptError
	if _, err := loadServing(path); !errors.As(err, &corrupt) || !strings.Contains(corrupt.Reason, "section sources/transitions: ") {
		t.Error(err)
	}
}

// FuzzLoad changes the sections that carry structure and keeps the checksums
// right. Nothing may panic, memory stays in proportion to the file, and what
// loads can be written and loaded again.
func FuzzLoad(f *testing.F) {
	b := newBundle("v1", 3, 3)
	b.Evaluated = nil
	users, err := encodeIDs(sectionUsers, b.UserIDs)
	if err != nil {
		f.Fatal(err)
	}
	head, err := b.encodeHead()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(head, users.Data, []byte(`{"rank":4,"users":3,"items":3}`))
	f.Add([]byte(`{"version":"a","metrics":[{},{},{}]}`), []byte{0, 0, 0, 0}, []byte(`{"rank":4,"users":0,"items":3}`))
	dir := f.TempDir()
	path, again := filepath.Join(dir, "x"), filepath.Join(dir, "y")
	f.Fuzz(func(t *testing.T, head, users, meta []byte) {
		changed := map[string][]byte{sectionHead: head, sectionUsers: users, "live/model": meta}
		put(t, path, damaged(t, b, func(section string, data []byte) []byte {
			if other, ok := changed[section]; ok {
				return append([]byte{}, other...)
			}
			return data
		}))
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got, err := Load(path)
		runtime.ReadMemStats(&after)
		// JSON costs most: three bytes of it can become a metric of 56.
		if used := after.TotalAlloc - before.TotalAlloc; used > 100*uint64(info.Size())+128<<10 {
			t.Errorf("%d bytes allocated for a file of %d", used, info.Size())
		}
		if err != nil {
			return
		}
		put(t, again, damaged(t, got, func(_ string, data []byte) []byte { return append([]byte{}, data...) }))
		if _, err := Load(again); err != nil {
			t.Fatalf("written but not loadable: %v", err)
		}
	})
}

// BenchmarkLoad reads a bundle of 1M users, 100k items and rank 16: 90 MB. The
// limit is that of BenchmarkOpenFile in als/model plus a string header per id.
func BenchmarkLoad(b *testing.B) {
	bundle := newBundle("v1", 1_000_000, 100_000)
	bundle.Model, bundle.Evaluated = randomModel(1_000_000, 100_000, 16, 1), nil
	path := write(b, filepath.Join(b.TempDir(), "x"), bundle)
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(info.Size())
	for b.Loop() {
		if _, err := Load(path); err != nil {
			b.Fatal(err)
		}
	}
}
