package sdk

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"vitrine/sdk/abi"
)

// everything is a plugin that uses every kind of column and key.
type everything struct {
	price       Column[float32]
	brand       Column[uint32]
	age         UserColumn[float32]
	home        UserColumn[uint32]
	out, in     Column[float32]
	outI, inI   Column[int32]
	outU, inU   Column[uint8]
	factor      *float64
	wanted      *string
	code        uint32
	configured  int
	onScore     func(b *Batch)
	onConfigure func() error
}

func (e *everything) define(p *Plugin) {
	p.Describe("everything", "1.0.0", "reads and writes every kind of column")
	e.outU, e.outI, e.out = p.WriteU8("u"), p.WriteI32("i"), p.WriteF32("f") // writes may come before reads
	e.price, e.brand = p.ItemF32("price"), p.ItemCode("brand")
	e.age, e.home = p.UserF32("age"), p.UserCode("home")
	e.inU, e.inI, e.in = p.FeatureU8("u"), p.FeatureI32("i"), p.FeatureF32("f")
	e.factor = p.Number("factor", 2, "")
	e.wanted = p.Text("wanted", "acme", "")
	p.Fuel(1000, 50)
	p.OnConfigure(func() error {
		e.configured++
		e.code = p.Code(e.brand, *e.wanted)
		if e.onConfigure != nil {
			return e.onConfigure()
		}
		return nil
	})
	p.Feature(func(b *Batch) {
		for i, x := range e.price.Of(b) {
			e.out.Of(b)[i] = x * float32(*e.factor)
			e.outI.Of(b)[i] = int32(i)
			e.outU.Of(b)[i] = uint8(2 * i)
		}
	})
	p.Scorer(func(b *Batch) {
		if e.onScore != nil {
			e.onScore(b)
			return
		}
		for i := range b.Scores() {
			b.Scores()[i] += e.in.Of(b)[i] + float32(e.inI.Of(b)[i]) + float32(e.inU.Of(b)[i])
		}
	})
	p.Filter(func(b *Batch) {
		for i, c := range e.brand.Of(b) {
			if c != e.code && c != e.home.Of(b) {
				b.Drop(i)
			}
		}
	})
}

func start(t *testing.T, e *everything, config map[string]any, texts ...string) *Harness {
	t.Helper()
	h, err := NewHarness(e.define, config, texts...)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestAFeatureIsReadByTheScorer(t *testing.T) {
	h := start(t, new(everything), map[string]any{"factor": 10})
	request := Rows{Item: map[string]any{"price": []float32{1, Absent(), 3}}}
	features, err := h.Features(request)
	if err != nil {
		t.Fatal(err)
	}
	f := features["f"].([]float32)
	if f[0] != 10 || !IsAbsent(f[1]) || f[2] != 30 {
		t.Errorf("f is %v", f)
	}
	f[1] = 0
	request.Feature = features
	scores, err := h.Score(request)
	if err != nil {
		t.Fatal(err)
	}
	if want := []float32{11, 4, 37}; !reflect.DeepEqual(scores, want) {
		t.Errorf("scores %v, want %v", scores, want)
	}
}

func TestWrittenColumnsFollowThoseReadInTheTable(t *testing.T) {
	h := start(t, new(everything), nil)
	if _, err := h.Features(Rows{Item: map[string]any{"price": []float32{1, 2}}}); err != nil {
		t.Fatal(err)
	}
	table, columns := h.plugin.manifest.Columns(), h.plugin.batch.layout.Columns
	for i, c := range table[len(table)-3:] {
		at := columns[len(table)-3+i]
		var got float32
		switch c.Name {
		case "f":
			got = rows[float32](&h.plugin.batch, at)[1]
		case "i":
			got = float32(rows[int32](&h.plugin.batch, at)[1])
		case "u":
			got = float32(rows[uint8](&h.plugin.batch, at)[1])
		}
		if want := map[string]float32{"f": 4, "i": 1, "u": 2}[c.Name]; got != want {
			t.Errorf("column %s holds %v, want %v", c.Name, got, want)
		}
	}
}

func TestAFilterCannotBringBack(t *testing.T) {
	define := func(p *Plugin) {
		p.Describe("all", "1.0.0", "")
		p.Filter(func(b *Batch) {
			for i := range b.Mask() {
				b.Mask()[i] = 1
			}
		})
	}
	h, err := NewHarness(define, nil)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := h.Filter(Rows{Dropped: []bool{true, false}})
	if err != nil || kept[0] || !kept[1] {
		t.Errorf("kept %v, %v", kept, err)
	}
}

func TestTextsAreCodes(t *testing.T) {
	h := start(t, new(everything), nil, "acme")
	request := Rows{
		Item:    map[string]any{"brand": []string{"acme", "other", "", "north", "acme"}},
		Dropped: []bool{false, false, false, false, true},
		User:    map[string]any{"home": "north"},
	}
	kept, err := h.Filter(request)
	if err != nil {
		t.Fatal(err)
	}
	if want := []bool{true, false, false, true, false}; !reflect.DeepEqual(kept, want) {
		t.Errorf("kept %v, want %v", kept, want)
	}
}

func TestTheHeaderIsTheRequest(t *testing.T) {
	e := new(everything)
	var rows, show int
	var now int64
	var seed uint64
	var known bool
	var age float32
	var items []uint32
	e.onScore = func(b *Batch) {
		rows, show, now, seed, age = b.Len(), b.Show(), b.Now(), b.Seed(), e.age.Of(b)
		_, known = b.User()
		items = append(items[:0], b.Items()...)
	}
	h := start(t, e, nil)
	if _, err := h.Score(Rows{Items: []uint32{7, 9}, Now: 5, Seed: 6, Show: 3, User: map[string]any{"age": 40}}); err != nil {
		t.Fatal(err)
	}
	if rows != 2 || show != 3 || now != 5 || seed != 6 || !known || age != 40 || items[1] != 9 {
		t.Errorf("rows %d show %d now %d seed %d known %v age %v items %v", rows, show, now, seed, known, age, items)
	}
	if _, err := h.Score(Rows{Items: []uint32{7}}); err != nil {
		t.Fatal(err)
	}
	if known || !IsAbsent(age) {
		t.Errorf("an unknown visitor has age %v, known %v", age, known)
	}
}

func TestPaddingIsZeroAfterALongerCall(t *testing.T) {
	e := &everything{onScore: func(*Batch) {}}
	h := start(t, e, nil)
	long := make([]float32, 30)
	for i := range long {
		long[i] = 9
	}
	if _, err := h.Score(Rows{Scores: long, Item: map[string]any{"price": long}}); err != nil {
		t.Fatal(err)
	}
	e.onScore = func(b *Batch) {
		for _, column := range [][]float32{b.Scores(), e.price.Of(b)} {
			if cap(column) != 3 {
				t.Errorf("a view of 3 rows has capacity %d", cap(column))
			}
			for i, v := range unsafe.Slice(&column[0], 16)[3:] {
				if v != 0 {
					t.Errorf("padding row %d is %v", 3+i, v)
				}
			}
		}
	}
	if _, err := h.Score(Rows{Item: map[string]any{"price": long[:3]}}); err != nil {
		t.Fatal(err)
	}
}

func TestBadOutputsAreFound(t *testing.T) {
	for want, score := range map[string]func(b *Batch){
		"score of row 1 is NaN":  func(b *Batch) { b.Scores()[1] = Absent() },
		"score of row 0 is +Inf": func(b *Batch) { b.Scores()[0] = float32(math.Inf(1)) },
		"mask of row 2 is 7":     func(b *Batch) { b.Mask()[2] = 7 },
		"frame's header":         func(b *Batch) { b.header.N = 1 },
	} {
		e := &everything{onScore: score}
		_, err := start(t, e, nil).Score(Rows{Scores: []float32{1, 2, 3}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	e := &everything{onScore: func(b *Batch) { b.Scores()[1] = Absent() }}
	if _, err := start(t, e, nil).Score(Rows{Scores: []float32{1, 2}, Dropped: []bool{false, true}}); err != nil {
		t.Errorf("the score of a dropped row: %v", err)
	}
	if _, err := start(t, new(everything), nil).Features(Rows{Item: map[string]any{"price": []float32{float32(math.Inf(1))}}}); err == nil {
		t.Error("took an infinite feature")
	}
}

func TestRowsMustAgree(t *testing.T) {
	h := start(t, new(everything), nil)
	for name, r := range map[string]Rows{
		"lengths":  {Scores: []float32{1}, Item: map[string]any{"price": []float32{1, 2}}},
		"type":     {Item: map[string]any{"price": []float64{1}}},
		"too many": {Scores: make([]float32, abi.MaxRows+1)},
	} {
		if _, err := h.Score(r); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if scores, err := h.Score(Rows{}); err != nil || len(scores) != 0 {
		t.Errorf("no rows: %v, %v", scores, err)
	}
}

func TestConfiguration(t *testing.T) {
	if _, err := NewHarness(new(everything).define, map[string]any{"facto": 1}); err == nil || !strings.Contains(err.Error(), `"facto"`) {
		t.Errorf("an unknown key: %v", err)
	}
	if _, err := NewHarness(new(everything).define, map[string]any{"factor": "x"}); err == nil || !strings.Contains(err.Error(), "key factor") {
		t.Errorf("a wrong type: %v", err)
	}
	e := &everything{onConfigure: func() error { return errors.New("no such weather") }}
	if _, err := NewHarness(e.define, nil); err == nil || !strings.Contains(err.Error(), "no such weather") {
		t.Errorf("a refusal: %v", err)
	}
	needs := func(p *Plugin) {
		new(everything).define(p)
		p.Required("wanted")
	}
	if _, err := NewHarness(needs, nil); err == nil || !strings.Contains(err.Error(), "must be given") {
		t.Errorf("a key that is missing: %v", err)
	}
}

func TestACodeIsAskedForAgainWhenTheTextAppears(t *testing.T) {
	e := new(everything)
	h := start(t, e, nil)
	if e.code != 0 {
		t.Fatalf("acme has code %d before anyone has it", e.code)
	}
	want := h.code("acme")
	if h.plugin.setUp(h.plugin.memory); e.code != want || e.configured != 2 {
		t.Errorf("code %d after %d configurations, want %d after 2", e.code, e.configured, want)
	}
}

func TestCallsThatMustFail(t *testing.T) {
	h := start(t, new(everything), nil)
	if code := h.Call(abi.Scorer); code != abi.NotReady {
		t.Errorf("before reserve: %d", code)
	}
	if err := h.Fill(abi.Scorer, Rows{Scores: []float32{1}}); err != nil {
		t.Fatal(err)
	}
	other := *h.header
	if code := h.plugin.call(abi.Scorer, &other); code != abi.NotReady {
		t.Errorf("another frame: %d", code)
	}
	h.header.N = h.header.Cap + 1
	if code := h.Call(abi.Scorer); code != abi.NotReady {
		t.Errorf("more rows than reserved: %d", code)
	}
	bare := newPlugin(func(p *Plugin) { p.Describe("bare", "1.0.0", "") }, h)
	if code := bare.call(abi.Filter, nil); code != abi.NoSuchKind {
		t.Errorf("a kind that is not there: %d", code)
	}
	if bare.reserve(0) != nil || bare.reserve(abi.MaxRows+1) != nil {
		t.Error("reserved a size that the contract forbids")
	}
	if _, err := NewHarness(func(p *Plugin) { p.Describe("bare", "1.0.0", "") }, nil); err == nil {
		t.Error("a plugin without kinds passed")
	}
}

func TestCallsAllocateNothing(t *testing.T) {
	h := start(t, new(everything), nil)
	request := Rows{
		Item: map[string]any{"price": make([]float32, 200), "brand": make([]string, 200)},
		User: map[string]any{"age": 40, "home": "north"},
	}
	for k := abi.Feature; k <= abi.Filter; k++ {
		if err := h.Fill(k, request); err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(100, func() { h.Call(k) }); n != 0 {
			t.Errorf("%s: %v allocations a call", k, n)
		}
	}
}

func TestAColumnAskedForTwiceIsOne(t *testing.T) {
	p := newPlugin(func(p *Plugin) {
		first, again, user := p.ItemF32("a"), p.ItemF32("a"), p.UserF32("a")
		if first != again || user.index == first.index {
			t.Error("columns are mixed up")
		}
	}, nil)
	if len(p.manifest.Reads) != 2 {
		t.Errorf("reads %v", p.manifest.Reads)
	}
}

// BenchmarkScorer is 200 candidates times 16 columns of float32, 13 KB read
// and 13 KB of scores updated from the first-level cache: the limit is about
// 1 us, one multiply-add a row and column at one a cycle.
func BenchmarkScorer(b *testing.B) {
	define := func(p *Plugin) {
		p.Describe("sum", "1.0.0", "")
		var columns [16]Column[float32]
		for i := range columns {
			columns[i] = p.ItemF32("c" + string(rune('a'+i)))
		}
		p.Scorer(func(b *Batch) {
			scores := b.Scores()
			for _, c := range columns {
				x := c.Of(b)[:len(scores)]
				for i := range scores {
					scores[i] += 0.5 * x[i]
				}
			}
		})
	}
	h, err := NewHarness(define, nil)
	if err != nil {
		b.Fatal(err)
	}
	if err := h.Fill(abi.Scorer, Rows{Scores: make([]float32, 200)}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		h.Call(abi.Scorer)
	}
}
