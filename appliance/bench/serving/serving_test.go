package serving

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vitrine/als/model"
	"vitrine/appliance/bench/load"
)

func answer(source string, items ...string) []byte {
	var list []string
	for _, it := range items {
		list = append(list, fmt.Sprintf(`{"item_id":%q}`, it))
	}
	return fmt.Appendf(nil, `{"items":[%s],"source":%q,"reason":"","model":null}`, strings.Join(list, ","), source)
}

func TestTally(t *testing.T) {
	var c tally
	for _, a := range []struct {
		load.Answer
		right bool
	}{
		{load.Answer{Status: 200, Body: answer("live"), Response: inTime, Counts: true}, true},
		{load.Answer{Status: 200, Body: answer("live"), Response: inTime + 1, Counts: true}, true},
		{load.Answer{Status: 200, Body: answer("popular"), Counts: true}, true},
		{load.Answer{Status: 200, Body: answer("last_good"), Counts: true}, true},
		{load.Answer{Status: 503, Counts: true}, true},
		{load.Answer{Status: 500, Counts: true}, false},
		{load.Answer{Status: 200, Body: answer("empty"), Counts: true}, false},
		{load.Answer{Status: 500}, true}, // of the warm-up
	} {
		if got := c.judge(a.Answer); got != a.right {
			t.Errorf("%+v: %v", a.Answer, got)
		}
	}
	for name, n := range map[string]*atomic.Int64{"live": &c.live, "late": &c.late, "popular": &c.popular, "last good": &c.lastGood, "refused": &c.refused} {
		if n.Load() != 1 {
			t.Errorf("%s: %d", name, n.Load())
		}
	}
	if c.other.Load() != 2 {
		t.Errorf("other: %d", c.other.Load())
	}
}

// TestKnee: the highest rate is found to within a step's half, and a single try
// that something else spoils does not end the search.
func TestKnee(t *testing.T) {
	const first = 100
	for _, c := range []struct {
		name    string
		holds   float64 // up to here
		spoilt  int     // one of so many tries is not held all the same
		atLeast float64
	}{
		{"nothing is held", 61, 0, 0},
		{"less than the first", 99, 0, 99 / math.Sqrt(kneeStep)},
		{"much less", 70, 0, 70 / math.Sqrt(kneeStep)},
		{"the first only", 101, 0, 100},
		{"half a step", 106, 0, 104},
		{"some steps", 150, 0, 150 / math.Sqrt(kneeStep)},
		{"every third try is spoilt", 150, 3, 150 / math.Sqrt(kneeStep)},
		{"more than is looked for", 1e6, 0, first * math.Pow(kneeStep, kneeSteps-0.5)},
	} {
		tries := 0
		got, err := knee(first, func(rate float64) (bool, error) {
			tries++
			return rate <= c.holds && (c.spoilt == 0 || tries%c.spoilt > 0), nil
		})
		if err != nil || got > c.holds || got < c.atLeast-1e-9 {
			t.Errorf("%s: %v %v, want %v to %v", c.name, got, err, c.atLeast, c.holds)
		}
	}
	if _, err := knee(first, func(float64) (bool, error) { return false, context.Canceled }); err != context.Canceled {
		t.Errorf("of a search that ended: %v", err)
	}
}

func TestDisjoint(t *testing.T) {
	a := [][]byte{answer("live", "i1", "i2"), answer("live", "i1", "i2")}
	b := [][]byte{answer("live", "i3", "i2"), answer("live", "i3", "i4")}
	paths, first, second := disjoint([]string{"/0", "/1"}, a, b)
	if !slices.Equal(paths, []string{"/1"}) || len(first) != 1 || len(second) != 1 || string(second[0]) != string(b[1]) {
		t.Errorf("%v %s %s", paths, first, second)
	}
}

func TestMisordered(t *testing.T) {
	scores := []float64{3, 2, 2 + gainPrecision, 1}
	for _, c := range []struct {
		order        []int
		pairs, wrong int
	}{
		{[]int{0, 2, 1, 3}, 2, 0},
		{[]int{0, 1, 2, 3}, 2, 0}, // too close to tell
		{[]int{0, 3, 1, 2}, 2, 1},
	} {
		if pairs, wrong := misordered(c.order, scores); pairs != c.pairs || wrong != c.wrong {
			t.Errorf("%v: %d of %d", c.order, wrong, pairs)
		}
	}
}

// The dense solve ranks as the model's own fold-in does.
func TestSolver(t *testing.T) {
	const items, rank = 60, 8
	rng := rand.New(rand.NewPCG(1, 12))
	m := &model.Model{
		Rank: rank, NumItems: items, Items: make([]float32, items*rank), ItemScale: make([]float32, items),
		Params: model.Params{Alpha0: 0.1, Lambda: 0.05, Nu: 0.5},
	}
	for i := range m.Items {
		m.Items[i] = float32(rng.NormFloat64())
	}
	for i := range m.ItemScale {
		m.ItemScale[i] = 0.5 + rng.Float32()
	}
	scores, err := newSolver(m).scores([]int{3, 7}, 2)
	if err != nil {
		t.Fatal(err)
	}
	vector := make([]float32, rank)
	if err := model.NewFolder(m).FoldIn(vector, []uint32{3, 7}, []float32{2, 2}, new(model.Scratch)); err != nil {
		t.Fatal(err)
	}
	order, ours := make([]int, items), make([]float64, items)
	for j := range order {
		order[j] = j
		for i, x := range vector {
			ours[j] += float64(x) * float64(m.Items[j*rank+i])
		}
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(ours[j], ours[i]) })
	if pairs, wrong := misordered(order, scores); wrong > 0 || pairs < items/2 {
		t.Errorf("%d of %d pairs", wrong, pairs)
	}
}

// An answer that never changes is an event without effect.
func TestEffect(t *testing.T) {
	var posted atomic.Bool
	var stuck bool
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost:
			posted.Store(true)
			w.WriteHeader(http.StatusAccepted)
		case posted.Load() && !stuck:
			w.Write(answer("live", "i2")) //nolint:errcheck // a test's server
		default:
			w.Write(answer("popular", "i1")) //nolint:errcheck // a test's server
		}
	}))
	defer s.Close()
	shop := &Shop{Address: strings.TrimPrefix(s.URL, "http://")}
	if took, err := shop.effect(t.Context(), "u1", "i2"); err != nil || took <= 0 || took > time.Minute {
		t.Errorf("%s, %v", took, err)
	}
	stuck = true
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := shop.effect(ctx, "u1", "i2"); err == nil {
		t.Error("an event without effect goes unnoticed")
	}
}
