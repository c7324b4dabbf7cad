package recommend

import (
	"context"
	"slices"
	"testing"
	"time"

	"vitrine/appliance/frame"
)

// news are fixed lists; item 7 came at time 7000.
type news struct{ trending, latest []uint32 }

func (n news) Trending(most int, dst *frame.Frame) {
	for j, item := range n.trending[:min(most, len(n.trending))] {
		dst.Add(item, float32(9-j))
	}
}

func (n news) Latest(most int, since int64, dst *frame.Frame) {
	for _, item := range n.latest[:min(most, len(n.latest))] {
		if int64(item)*1000 >= since {
			dst.Add(item, float32(item))
		}
	}
}

// Within stands for windows: the hours are the best item, one more when it is
// rising.
func (s *shop) Within(window time.Duration, rising bool, n int, dst *frame.Frame) {
	if s.items == 0 {
		return
	}
	best := uint32(window.Hours())
	if rising {
		best++
	}
	dst.Add(best, 2)
	dst.Add(7, 1)
}

func TestTrendingAndLatest(t *testing.T) {
	s := &shop{items: 30, popular: []uint32{2, 9}, expires: map[uint32]int64{4: 1}}
	engine := func(n news) *Engine {
		return New(Deps{History: s, Popularity: s, Trends: n, News: n, Codes: s, Shelf: s})
	}
	e := engine(news{trending: []uint32{4, 6, 5}, latest: []uint32{12, 11, 10}})
	bare := engine(news{})
	e.deps.Windows, bare.deps.Windows = s, &shop{}
	for name, c := range map[string]struct {
		ask    func(context.Context, *ListRequest, *Response) error
		req    ListRequest
		want   []uint32
		source string
		reason string
	}{
		"popular":           {e.Popular, ListRequest{Limit: 2, Now: 5}, []uint32{2, 9}, SourcePopular, ReasonNotPersonalized},
		"trending":          {e.Trending, ListRequest{Now: 5}, []uint32{6, 5}, SourceLive, ""},
		"one":               {e.Trending, ListRequest{Limit: 1, Now: 5}, []uint32{6}, SourceLive, ""},
		"popular of a day":  {e.Popular, ListRequest{Window: 24 * time.Hour, Now: 5}, []uint32{24, 7}, SourcePopular, ReasonNotPersonalized},
		"trending of a day": {e.Trending, ListRequest{Window: 24 * time.Hour, Now: 5}, []uint32{25, 7}, SourceLive, ""},
		"a quiet day":       {bare.Popular, ListRequest{Limit: 2, Window: 24 * time.Hour, Now: 5}, []uint32{2, 9}, SourcePopular, ReasonNothingNew},
		"nothing rises":     {bare.Trending, ListRequest{Limit: 2, Now: 5}, []uint32{2, 9}, SourcePopular, ReasonNoTrend},
		"latest":            {e.Latest, ListRequest{Now: 13000}, []uint32{12, 11, 10}, SourceLive, ""},
		"window":            {e.Latest, ListRequest{Window: 2 * time.Second, Now: 13000}, []uint32{12, 11}, SourceLive, ""},
		"nothing is new":    {e.Latest, ListRequest{Limit: 2, Window: time.Second / 2, Now: 13000}, []uint32{2, 9}, SourcePopular, ReasonNothingNew},
	} {
		var resp Response
		if err := c.ask(context.Background(), &c.req, &resp); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(codesOf(&resp), c.want) || resp.Source != c.source || resp.Reason != c.reason || resp.ModelVersion != "" {
			t.Errorf("%s: %s %s %v", name, resp.Source, resp.Reason, codesOf(&resp))
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := e.Latest(ctx, &ListRequest{}, new(Response)); err == nil {
		t.Error("cancelled: no error")
	}
}
