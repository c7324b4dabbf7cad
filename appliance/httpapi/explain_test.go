package httpapi

import (
	"strings"
	"testing"
)

func TestListParameters(t *testing.T) {
	s := newShop()
	s.list.Picks[0].Reasons = []Reason{{"item", "i\"9", 0.25}, {"rule", "sale", -1}}
	srv, _ := serverOf(t, s, Config{})
	for _, do := range []string{
		"GET /v1/recommend?user_id=u1&scene=cart&filter=price+%3C+9&after=r-0&explain=items&session=a&exclude=b",
		`POST /v1/recommend {"user_id":"u1","scene":"cart","filter":"price < 9","after":"r-0","explain":"items","session":["a"],"exclude":["b"]}`,
	} {
		w := parted(do, "X-Request-ID: r-1").to(srv.API())
		q := s.query
		if w.Code != 200 || q.Scene != "cart" || q.Filter != "price < 9" || q.After != "r-0" || q.Explain != ExplainItems || q.RequestID != "r-1" ||
			strings.Join(q.Session, " ") != "a" || strings.Join(q.Exclude, " ") != "b" {
			t.Errorf("%s: %d %+v", do, w.Code, q)
		}
		if want := `"reasons":[{"kind":"item","name":"i\"9","change":0.25},{"kind":"rule","name":"sale","change":-1}]`; !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %s", do, w.Body)
		}
	}
	for do, code := range map[string]string{
		"GET /v1/recommend?user_id=u1&explain=all":                             "invalid_explain",
		"GET /v1/recommend?user_id=u1&scene=" + strings.Repeat("x", 300):       "invalid_scene",
		"GET /v1/recommend?user_id=u1&after=%01":                               "invalid_after",
		"GET /v1/recommend?scene=home":                                         "missing_user_id",
		"GET /v1/explain?user_id=u1":                                           "missing_item_id",
		"GET /v1/explain?item_id=i1":                                           "missing_user_id",
		"GET /v1/explain?user_id=u1&item_id=i1&fields=a":                       "unknown_parameter",
		`POST /v1/rank {"user_id":"u1","items":[]}`:                            "invalid_items",
		`POST /v1/rank {"user_id":"u1","items":["a"],"limit":3}`:               "invalid_json",
		`POST /v1/rank {"user_id":"u1","items":[` + manyIDs(MaxLimit+1) + `]}`: "invalid_items",
	} {
		w := parted(do, "").to(srv.API())
		if w.Code != 400 || !strings.Contains(w.Body.String(), `"code":"`+code+`"`) {
			t.Errorf("%.80s: %d %s", do, w.Code, w.Body)
		}
	}
	if w := (call{do: "GET /v1/recommend?after=r-0"}).to(srv.API()); w.Code != 200 {
		t.Errorf("a next page without a user: %d %s", w.Code, w.Body)
	}
	if w := parted(`POST /v1/rank {"user_id":7,"items":["b",1]}`, "").to(srv.API()); w.Code != 200 || !strings.Contains(w.Body.String(), `"item_id":"1"`) || s.query.UserID != "7" {
		t.Errorf("rank: %d %s", w.Code, w.Body)
	}
}

// parted is a call whose body stands behind the path.
func parted(do, headers string) call {
	method, rest, _ := strings.Cut(do, " ")
	path, body, _ := strings.Cut(rest, " ")
	return call{do: method + " " + path, headers: headers, body: body}
}

func manyIDs(n int) string { return strings.TrimSuffix(strings.Repeat(`"i",`, n), ",") }

func TestExplain(t *testing.T) {
	s := newShop()
	srv, _ := serverOf(t, s, Config{})
	w := call{do: "GET /v1/explain?user_id=u1&item_id=i2&exclude_seen=true"}.to(srv.API())
	want := `{"user_id":"u1","item_id":"i2","shown":false,"stage":"seen","detail":"was seen","model":{"score":2,"rank":3},"reasons":[{"kind":"item","name":"i2","change":0.5}],"source":"live"}`
	if w.Code != 200 || strings.TrimSpace(w.Body.String()) != want || !s.query.ExcludeSeen {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := (call{do: "GET /v1/explain?user_id=u1&item_id=nothing"}).to(srv.API()); w.Code != 404 {
		t.Errorf("an unknown item: %d", w.Code)
	}
}

func TestRules(t *testing.T) {
	srv, _ := serverOf(t, newShop(), Config{})
	rules := `{"rules":[{"action":"bury","filter":"stock == 0"}]}`
	for _, c := range []struct {
		do, want string
		code     int
	}{
		{"GET /v1/rules", `{"rules":[]}`, 200},
		{"PUT /v1/rules?check=true " + rules, `"version":1`, 200},
		{"GET /v1/rules", `{"rules":[]}`, 200},
		{"PUT /v1/rules " + rules, `"version":1`, 200},
		{"GET /v1/rules", `"filter":"stock == 0"`, 200},
		{"PUT /v1/rules {", `"faults":[{"detail":"no","field":"slot","rule":1}]`, 400},
		{"GET /v1/rules?version=1", `"version":1`, 200},
		{"GET /v1/rules?version=2", "unknown_version", 404},
		{"GET /v1/rules?version=0", "invalid_version", 400},
		{"GET /v1/rules?version=x", "invalid_version", 400},
		{"PUT /v1/rules?check=maybe " + rules, "invalid_check", 400},
		{"PUT /v1/rules?dry=1 " + rules, "unknown_parameter", 400},
	} {
		w := parted(c.do, "").to(srv.Socket())
		if w.Code != c.code || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s: %d %s", c.do, w.Code, w.Body)
		}
	}
	for _, c := range []struct {
		do, condition string
		code          int
		tag           string
	}{
		{"GET /v1/rules", "", 200, `"1"`},
		{"PUT /v1/rules?check=true " + rules, `If-Match: "1"`, 200, `"1"`},
		{"PUT /v1/rules?check=true " + rules, `If-Match: "7"`, 412, ""},
		{"PUT /v1/rules " + rules, `If-Match: "0", "1"`, 200, `"2"`},
		{"PUT /v1/rules " + rules, `If-Match: "1"`, 412, ""},
		{"PUT /v1/rules " + rules, "If-Match: *", 200, `"3"`},
		{"GET /v1/rules?version=1", "", 200, `"3"`},
	} {
		w := parted(c.do, c.condition).to(srv.Socket())
		if w.Code != c.code || w.Header().Get("ETag") != c.tag || c.code == 412 && !strings.Contains(w.Body.String(), "precondition_failed") {
			t.Errorf("%s, %s: %d %q %s", c.do, c.condition, w.Code, w.Header().Get("ETag"), w.Body)
		}
	}
}
