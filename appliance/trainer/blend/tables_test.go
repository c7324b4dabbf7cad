package blend

import (
	"context"
	"math"
	"reflect"
	"testing"

	"vitrine/als/dataset"
	"vitrine/appliance/signal"
)

// histories are data by user.
type histories [][]signal.Interaction

func (h histories) Of(user int, part Span, dst []signal.Interaction) []signal.Interaction {
	lo, hi := part(user)
	return append(dst[:0], h[user][lo:hi]...)
}

func (h histories) Matrix(context.Context, int64, Span) (*dataset.CSR, error) { return nil, nil }
func (h histories) Newest(Span) int64                                         { return 0 }
func (h histories) whole(user int) (lo, hi int)                               { return 0, len(h[user]) }

// TestSequences: sessions end after half an hour, unless that would leave
// hardly anything but single items.
func TestSequences(t *testing.T) {
	sig, err := signal.New(signal.Config{})
	if err != nil {
		t.Fatal(err)
	}
	visit := func(item uint32, kind string, minute int64) signal.Interaction {
		code, _ := sig.TypeCode(kind)
		return signal.Interaction{Item: item, Time: minute * 60_000, Type: code, Value: float32(math.NaN())}
	}
	in := func(i signal.Interaction, session uint16) signal.Interaction { i.Session = session; return i }
	for name, c := range map[string]struct {
		data histories
		want [][]uint32
	}{
		"sessions": {
			histories{
				{visit(1, "view", 0), visit(2, "view", 29), visit(2, "cart", 30), visit(3, "view", 90)},
				{visit(4, "view", 1), visit(5, "view", 25)},
				{},
			},
			[][]uint32{{4, 5}, {1, 2}, {3}},
		},
		"told apart": {
			histories{{in(visit(1, "view", 0), 7), in(visit(2, "view", 50), 7), in(visit(3, "view", 51), 8), visit(4, "view", 52)}},
			[][]uint32{{1, 2}, {3, 4}},
		},
		"single items": {
			histories{{visit(1, "view", 0), visit(2, "view", 60), visit(3, "view", 200)}, {visit(4, "view", 0)}},
			[][]uint32{{4}, {1, 2, 3}},
		},
		"taken back": {
			histories{{visit(1, "view", 0), visit(2, "view", 1), visit(3, "view", 2), visit(2, "remove", 3)}},
			[][]uint32{{1, 3}},
		},
	} {
		b := &Builder{Data: c.data, Signal: sig, Users: len(c.data), Items: 6}
		s := b.count(Part{Span: c.data.whole, Newest: 200 * 60_000})
		var got [][]uint32
		for n := range s.sequences.Len() {
			got = append(got, s.sequences.At(n))
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		if !(s.long[1] > 0 && s.short[1] > 0 && s.short[1] < s.long[1]) || s.long[0] != 0 {
			t.Errorf("%s: popularity %v, %v", name, s.long, s.short)
		}
	}
}

// TestRowLimitKeepsToTheBudget: a few users with very long rows must not make
// item-to-item quadratic.
func TestRowLimitKeepsToTheBudget(t *testing.T) {
	indptr := []int64{0}
	for range 40_000 {
		indptr = append(indptr, indptr[len(indptr)-1]+400)
	}
	limit := rowLimit(&dataset.CSR{Rows: 40_000, Indptr: indptr})
	if pairs := 40_000 * float64(limit) * float64(limit); pairs > pairBudget || pairs < pairBudget/4 {
		t.Errorf("limit %d: %g pairs", limit, pairs)
	}
	if limit := rowLimit(&dataset.CSR{Rows: 1, Indptr: indptr[:2]}); limit != 500 {
		t.Errorf("a small shop has %d", limit)
	}
}
