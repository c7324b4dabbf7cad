package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"vitrine/appliance/httpapi/adminapi"
	"vitrine/appliance/httpapi/publicapi"
	"vitrine/bridge/event"
)

func TestArticleRecommend(t *testing.T) {
	live, unknown := newShop().list, List{Picks: []Pick{{ItemID: "p1", Score: 1}}, Source: SourcePopular, Reason: ReasonUnknownUser}
	brief := live
	brief.Reason = "overload"
	tests := []struct {
		do     string
		cfg    Config
		list   List
		body   string
		source string
		reason string
	}{
		{"GET /recommend?user_id=u1", Config{}, live, `{"recommendations":["i1","i2"]}`, "live", ""},
		{"GET /recommend?user_id=u1", Config{}, brief, `{"recommendations":["i1","i2"]}`, "live", "overload"},
		{"GET /recommend", Config{}, live, `{}`, "empty", "no_user"},
		{"GET /recommend?user_id=", Config{}, live, `{}`, "empty", "no_user"},
		{"GET /recommend?user_id=u1&utm=x", Config{}, live, `{"recommendations":["i1","i2"]}`, "live", ""},
		{"GET /recommend?user_id=x", Config{}, unknown, `{"recommendations":["p1"]}`, "popular", "unknown_user"},
		{"GET /recommend?user_id=x", Config{EmptyForUnknown: true}, unknown, `{}`, "empty", "unknown_user"},
		{"GET /recommend?user_id=u1", Config{EmptyForUnknown: true}, live, `{"recommendations":["i1","i2"]}`, "live", ""},
		{"GET /recommend?user_id=u1", Config{}, List{Source: SourceEmpty, Reason: "no_items"}, `{"recommendations":[]}`, "empty", "no_items"},
	}
	for _, tt := range tests {
		s := newShop()
		s.list = tt.list
		srv, _ := serverOf(t, s, tt.cfg)
		w := call{do: tt.do}.to(srv.API())
		if w.Code != 200 || strings.TrimSpace(w.Body.String()) != tt.body {
			t.Errorf("%s: %d %s, want %s", tt.do, w.Code, w.Body, tt.body)
		}
		if got := w.Header().Get("X-Vitrine-Source"); got != tt.source {
			t.Errorf("%s: source %q, want %q", tt.do, got, tt.source)
		}
		if got := w.Header().Get("X-Vitrine-Reason"); got != tt.reason {
			t.Errorf("%s: reason %q, want %q", tt.do, got, tt.reason)
		}
	}
}

func TestQueriesReachTheRecommender(t *testing.T) {
	const now = 1790000000000
	tests := []struct {
		call
		cfg  Config
		want Query
	}{
		{call{do: "GET /recommend?user_id=u1"}, Config{}, Query{UserID: "u1", Limit: 20, Now: now}},
		{call{do: "GET /recommend?user_id=u1"}, Config{Limit: 7, ExcludeSeen: true}, Query{UserID: "u1", Limit: 7, ExcludeSeen: true, Now: now}},
		{
			call{do: "GET /v1/recommend?user_id=%E4%BD%A0%2F%20&session=a,b&session=c&limit=500&exclude=x&exclude_seen=true"},
			Config{},
			Query{UserID: "你/ ", Session: []string{"a", "b", "c"}, Exclude: []string{"x"}, Limit: 500, ExcludeSeen: true, Now: now},
		},
		{call{do: "GET /v1/recommend?personalized=false"}, Config{}, Query{Limit: 20, NotPersonalized: true, Now: now}},
		{call{do: "GET /v1/recommend?user_id=u&exclude_seen=false"}, Config{ExcludeSeen: true}, Query{UserID: "u", Limit: 20, Now: now}},
		{
			call{do: "POST /v1/recommend", body: `{"user_id":"u","session":["a"],"limit":1,"exclude":["b"],"exclude_seen":true,"personalized":true}`},
			Config{},
			Query{UserID: "u", Session: []string{"a"}, Exclude: []string{"b"}, Limit: 1, ExcludeSeen: true, Now: now},
		},
	}
	for _, tt := range tests {
		s := newShop()
		srv, _ := serverOf(t, s, tt.cfg)
		// Twice: the second answer uses the scratch of the first.
		for range 2 {
			if w := tt.to(srv.API()); w.Code != 200 {
				t.Fatalf("%s: %d %s", tt.do, w.Code, w.Body)
			}
			if s.query.RequestID == "" {
				t.Errorf("%s: the list has no name", tt.do)
			}
			s.query.RequestID = ""
			if strings.Contains(tt.do, "/v1/") {
				tt.want.Explain = ExplainNone
			}
			if !reflect.DeepEqual(s.query, tt.want) {
				t.Errorf("%s: %+v, want %+v", tt.do, s.query, tt.want)
			}
		}
	}
}

func TestRecommendationsEnvelope(t *testing.T) {
	s := newShop()
	s.list.Picks = []Pick{{ItemID: "i1", Score: 0.1}, {ItemID: "a\"b\n", Score: float32(math.Inf(1))}}
	srv, _ := serverOf(t, s, Config{})
	w := call{do: "GET /v1/recommend?user_id=u1&fields=title,nope&fields=price,title", headers: "X-Request-ID: r-1"}.to(srv.API())
	want := `{"request_id":"r-1","user_id":"u1","items":[` +
		`{"item_id":"i1","score":0.1,"rank":1,"fields":{"title":"A \"quoted\" <title>","price":9.5}},` +
		`{"item_id":"a\"b\n","score":3.4028235e+38,"rank":2,"fields":{}}],` +
		`"source":"live","reason":"","model":{"version":"20260101-000000","age_seconds":90},"plugins":[],"exact":true}` + "\n"
	if w.Body.String() != want {
		t.Errorf("got  %s\nwant %s", w.Body, want)
	}
	w = call{do: "GET /v1/popular?limit=1"}.to(srv.API())
	var list publicapi.Recommendations
	if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil || len(list.Items) != 1 || list.Model != nil {
		t.Errorf("%v %s", err, w.Body)
	}
	if w.Header().Get("X-Vitrine-Reason") != "not_personalized" || list.Reason != "not_personalized" {
		t.Errorf("popular gives no reason: %v", w.Header())
	}
}

func TestPutThenGetItem(t *testing.T) {
	s := newShop()
	srv, _ := serverOf(t, s, Config{})
	for _, id := range []string{"sku 1", "a/b", "100%", "100%25", "你好", "x?y&z", ":id", "+"} {
		target := "/v1/items/" + url.PathEscape(id)
		w := call{do: "PUT " + target, body: `{"attributes":{"b":"x","a":1.5,"gone":null},"expires_at":1790000000500}`}.to(srv.API())
		var item publicapi.Item
		if err := json.Unmarshal(w.Body.Bytes(), &item); err != nil || item.ItemID != id {
			t.Errorf("put %q: %d %s", id, w.Code, w.Body)
		}
		if got := (call{do: "GET " + target}).to(srv.API()); got.Code != 200 || got.Body.String() != w.Body.String() {
			t.Errorf("get %q: %d %s, put answered %s", id, got.Code, got.Body, w.Body)
		}
		if got := (call{do: "GET " + target + "/similar"}).to(srv.API()); got.Code != 200 || s.query.UserID != id {
			t.Errorf("similar to %q: %d, asked for %q", id, got.Code, s.query.UserID)
		}
	}
	want := event.Record{
		Kind: event.KindItemPut, Source: event.Source{Name: "http"},
		Item: event.Item{ID: "sku 1", Time: 1790000000000, ExpiresAt: 1790000000500, Attributes: []event.Attribute{
			{Name: "a", Value: event.Value{Kind: event.Number, Num: 1.5}}, {Name: "b", Value: event.Value{Kind: event.String, Str: "x"}},
		}},
	}
	if !reflect.DeepEqual(s.records[0], want) {
		t.Errorf("logged %+v\nwant %+v", s.records[0], want)
	}
	body := call{do: "GET /v1/items/i1"}.to(srv.API()).Body.String()
	if want := `{"item_id":"i1","attributes":{"price":9.5,"tags":["a","b"],"title":"A \"quoted\" <title>","vegan":true},"expires_at":"2026-09-21T14:13:20.5Z"}` + "\n"; !json.Valid([]byte(body)) || body != want {
		t.Errorf("got %s want %s", body, want)
	}
}

func TestHeadAsksLikeGet(t *testing.T) {
	srv, _ := serverOf(t, newShop(), Config{})
	ts := httptest.NewServer(srv.API())
	defer ts.Close()
	for _, path := range []string{"/livez", "/recommend?user_id=u"} {
		r, err := http.Head(ts.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != 200 {
			t.Errorf("HEAD %s: %d", path, r.StatusCode)
		}
	}
}

func TestImportFailuresKeepTheCounts(t *testing.T) {
	counts := adminapi.ImportResult{Read: 10, Accepted: 9, Rejected: 1}
	for _, tt := range []struct {
		err    error
		status int
		code   string
	}{
		{&Problem{Status: 422, Code: "truncated", Detail: "x.csv.gz is truncated"}, 422, "truncated"},
		{fmt.Errorf("submit: %w", ErrBusy), 503, "bus_full"},
	} {
		srv, _ := serverOf(t, newShop(), Config{})
		srv.deps.Importer = importFails{counts, tt.err}
		w := call{do: "POST /v1/import?name=x.csv.gz", body: "x"}.to(srv.Socket())
		p := problemOf(t, w)
		if w.Code != tt.status || p.Code != tt.code || p.Counts == nil || *p.Counts != counts {
			t.Errorf("%d %+v", w.Code, p)
		}
		if strings.Contains(p.Detail, "nothing") {
			t.Errorf("says that nothing was kept: %s", p.Detail)
		}
	}
	s := newShop()
	s.rollback = ErrNotFound
	srv, _ := serverOf(t, s, Config{})
	w := call{do: "POST /v1/models/rollback"}.to(srv.Socket())
	if p := problemOf(t, w); w.Code != 409 || p.Code != "no_previous_model" {
		t.Errorf("%d %+v", w.Code, p)
	}
}

func TestNewNamesWhatIsMissing(t *testing.T) {
	_, err := New(Config{Limit: 501, MaxBody: -1}, Deps{}, nil)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"Ingester", "Readiness", "limit is 501", "max body"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	if errors.Unwrap(err) != nil {
		t.Error("one error hides the others")
	}
}

// TestServedLists: the log of lists is told of each that is answered, under the
// request id that stands in the answer; each list of a batch has its own.
func TestServedLists(t *testing.T) {
	s := newShop()
	srv, _ := serverOf(t, s, Config{})
	for _, c := range []struct {
		call
		want []string
	}{
		{call{do: "GET /recommend?user_id=u1"}, []string{"recommend  R u1 2"}},
		{call{do: "GET /recommend"}, nil},
		{call{do: "GET /v1/recommend?user_id=u1"}, []string{"recommend  R u1 2"}},
		{call{do: "GET /v1/recommend?user_id=u1&limit=0"}, nil},
		{call{do: "POST /v1/recommend:batch", body: `{"requests":[{"user_id":"u1"},{"session":["i1"]}]}`}, []string{"recommend  R-0 u1 2", "recommend  R-1  2"}},
		{call{do: "GET /v1/items/i1/similar"}, []string{"similar i1 R  2"}},
		{call{do: "GET /v1/popular"}, []string{"popular  R  2"}},
		{call{do: "GET /v1/trending"}, []string{"trending  R  2"}},
		{call{do: "GET /v1/latest"}, []string{"latest  R  2"}},
		{call{do: "POST /v1/rank", body: `{"user_id":"u1","items":["i1","i2"]}`}, []string{"rank  R u1 2"}},
		{call{do: "GET /v1/explain?user_id=u1&item_id=i1"}, nil},
	} {
		s.served = nil
		c.headers = "X-Request-Id: R"
		w := c.to(srv.API())
		if !slices.Equal(s.served, c.want) {
			t.Errorf("%s: %d, told of %q, want %q", c.do, w.Code, s.served, c.want)
		}
		for _, line := range s.served {
			if id := strings.Split(line, " ")[2]; c.do != "GET /recommend?user_id=u1" && !strings.Contains(w.Body.String(), `"request_id":"`+id+`"`) {
				t.Errorf("%s: no list %s in %s", c.do, id, w.Body)
			}
		}
	}
}

// TestRecommendBatch: a list for each request, in order; one at fault is named.
func TestRecommendBatch(t *testing.T) {
	srv, _ := serverOf(t, newShop(), Config{})
	w := call{do: "POST /v1/recommend:batch", body: `{"requests":[{"user_id":"u1","limit":1},{"user_id":7}]}`}.to(srv.API())
	var got struct {
		Lists []struct {
			UserID string `json:"user_id"`
			Items  []any
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 || len(got.Lists) != 2 || got.Lists[0].UserID != "u1" || got.Lists[1].UserID != "7" || len(got.Lists[1].Items) != 2 {
		t.Errorf("%v: %d %s", err, w.Code, w.Body)
	}
	many := `{"requests":[` + strings.Repeat(`{"user_id":"u"},`, maxLists) + `{"user_id":"u"}]}`
	long := `{"requests":[` + strings.Repeat(`{"user_id":"u","limit":500},`, 200) + `{"user_id":"u","limit":1}]}`
	for body, want := range map[string]string{
		`{"requests":[{"user_id":"u"},{"user_id":"u","limit":0}]}`: "requests[1]: limit", `{"requests":[{}]}`: "requests[0]: there is neither",
		`{"requests":[]}`: "1 to 1000", `{}`: "1 to 1000", many: "not 1001", long: "more than 100000 items",
	} {
		if w := (call{do: "POST /v1/recommend:batch", body: body}).to(srv.API()); w.Code != 400 || !strings.Contains(problemOf(t, w).Detail, want) {
			t.Errorf("%.60s: %d %s", body, w.Code, w.Body)
		}
	}
}

// TestBatchKeepsItsFields: whoever asks while a batch is made does not change
// the attributes that its lists have.
func TestBatchKeepsItsFields(t *testing.T) {
	s := newShop()
	srv, _ := serverOf(t, s, Config{})
	s.recommend = func(q *Query) error {
		if q.UserID == "u1" {
			(call{do: "GET /v1/recommend?user_id=u2&fields=title"}).to(srv.API())
			(call{do: "POST /v1/recommend", body: `{"user_id":"u2","fields":["title"]}`}).to(srv.API())
		}
		return nil
	}
	w := call{do: "POST /v1/recommend:batch", body: `{"requests":[{"user_id":"u1","fields":["price"]}]}`}.to(srv.API())
	if body := w.Body.String(); w.Code != 200 || !strings.Contains(body, `"fields":{"price":9.5}`) || strings.Contains(body, "title") {
		t.Errorf("%d %s", w.Code, body)
	}
}
