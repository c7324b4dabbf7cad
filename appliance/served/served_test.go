package served

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"testing"

	"vitrine/appliance/httpapi"
	"vitrine/bridge/event"
)

// sink takes what is handed in.
type sink struct {
	mu    sync.Mutex
	lists []event.Served
	err   error
}

func (s *sink) submit(_ context.Context, records []event.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	for i := range records {
		s.lists = append(s.lists, *records[i].Served)
	}
	return nil
}

func nobody(string) (int64, bool) { return 0, false }

func logTo(s *sink, share float64, rate int) *Log {
	return New(Options{Share: share, Rate: rate, Submit: s.submit, Erased: nobody, Log: slog.New(slog.DiscardHandler)})
}

// list is one of n items.
func list(id, user string, now int64, n int) httpapi.Served {
	l := &httpapi.List{Source: "live", ModelVersion: "v1"}
	for i := range n {
		l.Picks = append(l.Picks, httpapi.Pick{ItemID: fmt.Sprint("i", i), Score: float32(n - i)})
	}
	return httpapi.Served{RequestID: id, Kind: "recommend", Query: &httpapi.Query{UserID: user, Now: now, Scene: "home"}, List: l}
}

func counts(l *Log) [3]uint64 {
	return [3]uint64{l.logged.Load(), l.thinned.Load(), l.dropped.Load()}
}

func TestWhatIsLogged(t *testing.T) {
	var s sink
	l := logTo(&s, 1, 10)
	l.opt.Rules = func() int { return 4 }
	in := list("r-1", "u1", 5000, 2)
	in.Subject = "i9"
	in.List.Plugins = []httpapi.PluginCall{{Name: "a", Version: "1.0", Status: "ok"}, {Name: "b", Version: "2.0", Status: "failed"}}
	l.Served(in)
	in.List.Picks[0].ItemID = "overwritten" // the list is the request's own
	l.Flush(t.Context())
	want := []event.Served{{
		RequestID: "r-1", UserID: "u1", Time: 5000, List: "recommend", Subject: "i9", Scene: "home", Source: "live", Model: "v1", Rules: 4,
		Plugins: []string{"a@1.0"}, Items: []event.ServedItem{{ID: "i0", Score: 2}, {ID: "i1", Score: 1}},
	}}
	if !reflect.DeepEqual(s.lists, want) {
		t.Errorf("got  %+v\nwant %+v", s.lists, want)
	}
}

func TestSampleAndBounds(t *testing.T) {
	for _, c := range []struct {
		name  string
		share float64
		rate  int
		lists int
		size  int
		err   error
		// least and most are how many are logged; what is not is in the count
		// of those dropped or thinned.
		least, most int
		dropped     bool
	}{
		{"none", 0, 100, 1000, 3, nil, 0, 0, false},
		{"all", 1, 10000, 1000, 3, nil, 1000, 1000, false},
		{"a tenth", 0.1, 10000, 5000, 3, nil, 350, 650, false},
		{"the rate", 1, 100, 1000, 3, nil, 200, 200, false}, // of two seconds
		{"no room", 1, 10000, 2000, 500, nil, 100, 132, true},
		{"refused", 1, 10000, 10, 3, errors.New("the bus is full"), 0, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := sink{err: c.err}
			l := logTo(&s, c.share, c.rate)
			for i := range c.lists {
				l.Served(list(fmt.Sprint("r-", i), "u", int64(1000+i*2000/c.lists), c.size))
			}
			l.Flush(t.Context())
			got := counts(l)
			if n := len(s.lists); n < c.least || n > c.most || uint64(n) != got[0] {
				t.Errorf("%d of %d lists are logged, want %d to %d; counts %v", n, c.lists, c.least, c.most, got)
			}
			if got[0]+got[1]+got[2] != uint64(c.lists) || (got[2] > 0) != c.dropped {
				t.Errorf("counts %v of %d lists", got, c.lists)
			}
		})
	}
}

// TestErased: nothing of a user gets behind his erasure in the log.
func TestErased(t *testing.T) {
	var s sink
	l := logTo(&s, 1, 100)
	l.opt.Erased = func(id string) (int64, bool) { return 2000, id == "gone" }
	l.Served(list("before", "gone", 2000, 1))
	l.Served(list("other", "u", 2000, 1))
	l.Served(list("after", "gone", 2001, 1))
	l.Flush(t.Context())
	if len(s.lists) != 2 || s.lists[0].RequestID != "other" || s.lists[1].RequestID != "after" {
		t.Errorf("logged: %+v", s.lists)
	}
}

// TestStop: what waits is handed in by a clean stop, while others still ask.
func TestStop(t *testing.T) {
	var s sink
	l := logTo(&s, 1, 10000)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	var askers sync.WaitGroup
	for w := range 4 {
		askers.Go(func() {
			for i := range 50 {
				l.Served(list(fmt.Sprint(w, i), "u", 1000, 2))
			}
		})
	}
	askers.Wait()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if len(s.lists) != 200 {
		t.Errorf("%d lists are logged, want 200", len(s.lists))
	}
}

// BenchmarkThinned is what a list costs that is not in the sample, which is
// most of them under load: two atomic adds.
func BenchmarkThinned(b *testing.B) {
	l := logTo(&sink{}, 1, 1)
	in := list("r", "u", 1000, 20)
	b.ReportAllocs()
	for b.Loop() {
		l.Served(in)
	}
}
