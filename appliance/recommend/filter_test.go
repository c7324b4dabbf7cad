package recommend

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"vitrine/appliance/frame"
)

// modulo is a filter as the test shop has them: "7/100" passes items whose code
// leaves 7 when divided by 100.
type modulo struct {
	rest, by uint32
	last     *frame.Selection
	items    int
	slow     bool // takes longer than anybody waits
}

func (m *modulo) Selection() *frame.Selection {
	if m.last != nil {
		return m.last
	}
	m.last = &frame.Selection{Filter: uint64(m.by)<<32 | uint64(m.rest), Words: make([]uint64, (m.items+63)/64)}
	for code := m.rest; int(code) < m.items; code += m.by {
		m.last.Words[code/64] |= 1 << (code % 64)
	}
	return m.last
}

func (m *modulo) Ready(by time.Time) bool { return by.IsZero() || !m.slow }

func (s *shop) Filter(text string) (frame.Filter, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.filters[text]; f != nil {
		return f, nil
	}
	f := &modulo{items: s.items}
	if _, err := fmt.Sscanf(text, "%d/%d", &f.rest, &f.by); err != nil {
		return nil, errors.New("bad filter")
	}
	if s.filters == nil {
		s.filters = map[string]*modulo{}
	}
	s.filters[text] = f
	return f, nil
}

// TestFilter: every item passes, the list is as long as the catalogue allows,
// and the model's part of it is the model's own order of what passes.
func TestFilter(t *testing.T) {
	const items = 1000
	s := &shop{items: items + 50, history: map[uint32]frame.Frame{1: taste(50, 150)}, popular: []uint32{1, 2, 1007, 3, 4, 17}}
	e := s.engine()
	e.Swap(newTestView(t, newModel(items, 8), 0))
	ask := func(req Request) []uint32 {
		t.Helper()
		var resp Response
		if err := e.Recommend(context.Background(), &req, &resp); err != nil {
			t.Fatal(err)
		}
		return codesOf(&resp)
	}
	all := ask(Request{UserID: "u1", Limit: items})
	for _, filter := range []string{"7/10", "7/100", "0/1", "999/1000", "1007/2000"} {
		f, _ := s.Filter(filter)
		var want []uint32
		for _, code := range all {
			if f.Selection().Has(code) {
				want = append(want, code)
			}
		}
		for range 2 { // the second time from memory
			got := ask(Request{UserID: "u1", Limit: 500, Filter: filter})
			if n := min(len(want), len(got)); !slices.Equal(got[:n], want[:n]) {
				t.Errorf("%s: %v, want %v first", filter, got, want)
			}
			if n := min(500, countOf(f.Selection(), s.items)); len(got) != n {
				t.Errorf("%s: %d items of %d", filter, len(got), n)
			}
		}
	}
	if got := ask(Request{Limit: 3, Filter: "7/10"}); !slices.Equal(got, []uint32{1007, 17, 7}) {
		t.Errorf("a stranger gets %v", got)
	}
	if got := ask(Request{UserID: "u1", Filter: "5000/6000"}); len(got) != 0 {
		t.Errorf("nothing passes, yet there is %v", got)
	}
	var fault *FilterError
	if err := e.Recommend(context.Background(), &Request{Filter: "?"}, new(Response)); !errors.As(err, &fault) {
		t.Errorf("%v", err)
	}
}

func countOf(s *frame.Selection, items int) (n int) {
	for code := range uint32(items) {
		if s.Has(code) {
			n++
		}
	}
	return n
}

// TestFilterChanges: a filter's next selection takes the place of the one
// before.
func TestFilterChanges(t *testing.T) {
	s := &shop{items: 200, history: map[uint32]frame.Frame{1: taste(50, 150)}}
	e := s.engine()
	e.Swap(newTestView(t, newModel(200, 8), 0))
	f, _ := s.Filter("3/10")
	for _, rest := range []uint32{3, 4, 4, 9} {
		f.(*modulo).last = nil
		f.Selection() // of filter 3/10, under the name of which others follow
		next := *(&modulo{rest: rest, by: 10, items: 200}).Selection()
		next.Filter = 3
		f.(*modulo).last = &next
		var resp Response
		if err := e.Recommend(context.Background(), &Request{UserID: "u1", Limit: 100, Filter: "3/10"}, &resp); err != nil {
			t.Fatal(err)
		}
		if len(resp.Items) != 20 || slices.ContainsFunc(codesOf(&resp), func(c uint32) bool { return c%10 != rest }) {
			t.Errorf("rest %d: %v", rest, codesOf(&resp))
		}
	}
}

// TestSlowFilter: a filter that takes too long ends a request that has a
// deadline, also in a batch, and no other.
func TestSlowFilter(t *testing.T) {
	s := &shop{items: 200, history: map[uint32]frame.Frame{1: taste(50)}}
	e := s.engine()
	e.Swap(newTestView(t, newModel(200, 4), 0))
	f, _ := s.Filter("3/10")
	f.(*modulo).slow = true
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	reqs := []Request{{UserID: "u1", Filter: "3/10"}, {UserID: "u1", Filter: "4/10"}}
	b := e.Batch(ctx, reqs)
	defer b.End()
	var resp Response
	for i, req := range reqs {
		want := req.Filter == "3/10"
		if err := e.Recommend(ctx, &req, &resp); errors.Is(err, context.DeadlineExceeded) != want {
			t.Errorf("%s: %v", req.Filter, err)
		}
		if err := b.List(ctx, i, &resp); errors.Is(err, context.DeadlineExceeded) != want {
			t.Errorf("%s in a batch: %v", req.Filter, err)
		}
	}
	if err := e.Recommend(t.Context(), &reqs[0], &resp); err != nil || len(resp.Items) != 20 {
		t.Errorf("without a deadline: %v, %d items", err, len(resp.Items))
	}
}

// TestFewOpenByPopularity: where a filter leaves few items, they come in the
// order of their popularity however unpopular they are, then the others.
func TestFewOpenByPopularity(t *testing.T) {
	const items = 20_000
	s := &shop{items: items}
	for j := range uint32(items / 2) {
		s.popular = append(s.popular, items-1-2*j) // only odd ones
	}
	e := s.engine()
	for _, filter := range []string{"3/5000", "2/5000", "1/3"} {
		var by, rest uint32
		_, _ = fmt.Sscanf(filter, "%d/%d", &rest, &by)
		var want []uint32
		for _, code := range s.popular {
			if code%by == rest {
				want = append(want, code)
			}
		}
		for code := rest; code < items; code += by {
			if code%2 == 0 {
				want = append(want, code)
			}
		}
		limit := min(300, len(want))
		var resp Response
		if err := e.Recommend(t.Context(), &Request{Limit: 300, Filter: filter}, &resp); err != nil || !slices.Equal(codesOf(&resp), want[:limit]) {
			t.Errorf("%s: %v\n%v, want\n%v", filter, err, codesOf(&resp), want[:limit])
		}
	}
}
