package httpapi

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
)

var update = flag.Bool("update", false, "write openapi.json")

func loadDocument(t testing.TB) *openapi3.T {
	t.Helper()
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(loader.Context); err != nil {
		t.Fatal(err)
	}
	return doc
}

// TestDocumentJSON keeps the served form equal to the written one.
func TestDocumentJSON(t *testing.T) {
	raw, err := loadDocument(t).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	if err := json.Indent(&want, raw, "", " "); err != nil {
		t.Fatal(err)
	}
	want.WriteByte('\n')
	if *update {
		if err := os.WriteFile("openapi.json", want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(document, want.Bytes()) {
		t.Error("openapi.json is not what openapi.yaml says: run go generate")
	}
}

// contract checks requests and answers against the document.
type contract struct{ router routers.Router }

func newContract(t testing.TB) contract {
	doc := loadDocument(t)
	doc.Servers = nil
	router, err := legacy.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	openapi3filter.RegisterBodyDecoder("application/x-ndjson", openapi3filter.FileBodyDecoder)
	openapi3filter.RegisterBodyDecoder("text/plain", openapi3filter.FileBodyDecoder)
	return contract{router}
}

// check performs c and holds the answer, and for a good answer the request
// too, against the document.
func (k contract) check(t *testing.T, h http.Handler, c call, status int) {
	t.Helper()
	w := c.to(h)
	if w.Code != status {
		t.Fatalf("%s: %d, want %d: %s", c.do, w.Code, status, w.Body)
	}
	r := c.request()
	route, path, err := k.router.FindRoute(r)
	if err != nil {
		t.Fatalf("%s: %v", c.do, err)
	}
	in := &openapi3filter.RequestValidationInput{
		Request: r, PathParams: path, Route: route, Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	}
	if status < 300 {
		if err := openapi3filter.ValidateRequest(t.Context(), in); err != nil {
			t.Errorf("%s: a request that is taken is not one of the document: %v", c.do, err)
		}
	}
	out := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: w.Code, Header: w.Header(),
		Body:    io.NopCloser(bytes.NewReader(w.Body.Bytes())),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}
	if err := openapi3filter.ValidateResponse(t.Context(), out); err != nil {
		t.Errorf("%s: the answer is not one of the document: %v\n%s", c.do, err, w.Body)
	}
	if w.Header().Get("X-Request-ID") == "" {
		t.Errorf("%s: no X-Request-ID", c.do)
	}
}

// good has a call for every operation of the document and its answer's status.
var good = []struct {
	call
	status int
}{
	{call{do: "GET /recommend?user_id=u1&limit=2"}, 200},
	{call{do: "GET /recommend"}, 200},
	{call{do: "GET /v1/recommend?user_id=u1&session=i1&session=i2&limit=500&exclude=i9&exclude_seen=true&fields=title&personalized=false"}, 200},
	{call{do: "POST /v1/recommend", body: `{"session":["i1"],"limit":1,"exclude":["x"],"fields":["title","price","tags","vegan"]}`}, 200},
	{call{do: "POST /v1/recommend", body: `{"user_id":7,"session":[12,"i1"],"exclude":[40]}`}, 200},
	{call{do: "POST /v1/recommend:batch", body: `{"requests":[{"user_id":"u1","limit":1},{"session":["i1"]},{"personalized":false,"fields":["price"]}]}`}, 200},
	{call{do: "GET /v1/items/i1/similar?limit=3&fields=price"}, 200},
	{call{do: "GET /v1/popular?limit=3"}, 200},
	{call{do: "GET /v1/popular?limit=3&window=7d"}, 200},
	{call{do: "GET /v1/trending?limit=3&fields=price&filter=price+%3E+1&category=c%22x"}, 200},
	{call{do: "GET /v1/latest?limit=3&fields=price&filter=price+%3E+1&category=c1&window=7d"}, 200},
	{call{do: "POST /v1/events", body: `{"user_id":"u","item_id":7,"event_type":"view"}`}, 202},
	{call{do: "POST /v1/events", body: `[{"user_id":"u","item_id":"i","event_type":"view","ts":1790000000000,"value":2,"props":{"a":[1]},"more":1}]`}, 202},
	{call{do: "PUT /v1/items/i1", body: `{"attributes":{"title":"T","price":1.5,"tags":["b","a"],"vegan":false},"expires_at":"2030-01-01T00:00:00Z"}`}, 200},
	{call{do: "GET /v1/items/i1"}, 200},
	{call{do: "PATCH /v1/items/i1", body: `{"attributes":{"price":2,"title":null},"expires_at":1893456000000}`}, 200},
	{call{do: "POST /v1/items:batch", body: `[{"item_id":"i1","attributes":{"price":1},"expires_at":"2030-01-01T00:00:00Z"},{"item_id":7,"attributes":{}}]`}, 202},
	{call{do: "PUT /v1/users/u1", body: `{"attributes":{"region":"north","vip":true,"age":41,"tags":["a"]}}`}, 200},
	{call{do: "GET /v1/users/u1"}, 200},
	{call{do: "PATCH /v1/users/u1", body: `{"attributes":{"region":null,"vip":false}}`}, 200},
	{call{do: "GET /v1/users/u1/history?limit=1&cursor="}, 200},
	{call{do: "POST /v1/users:merge", body: `{"from":7,"into":"u1"}`}, 200},
	{call{do: "DELETE /v1/users/u9", headers: "If-None-Match: *"}, 202},
	{call{do: "GET /v1/users/u9/erasure"}, 200},
	{call{do: "DELETE /v1/items/i1"}, 204},
	{call{do: "GET /livez"}, 200},
	{call{do: "GET /readyz"}, 200},
	{call{do: "GET /openapi.json"}, 200},
	{call{do: "POST /v1/import?name=x.csv&kind=events&format=csv&map=user_id%3DU&where=a%20%3E%201&tz=UTC", headers: "Content-Type: application/octet-stream", body: "a,b\n"}, 200},
	{call{do: "POST /v1/import?kind=users", headers: "Content-Type: application/octet-stream", body: "a,b\n"}, 200},
	{call{do: "POST /v1/jobs", body: `{"kind":"train"}`}, 202},
	{call{do: "POST /v1/jobs", body: `{"kind":"eval","k":20,"set":["train.rank=32"]}`}, 202},
	{call{do: "GET /v1/jobs/j%201"}, 200},
	{call{do: "GET /v1/jobs"}, 200},
	{call{do: "GET /v1/models/v2"}, 200},
	{call{do: "GET /v1/models"}, 200},
	{call{do: "POST /v1/models/rollback"}, 200},
	{call{do: "GET /v1/deadletters?limit=500&cursor=c1"}, 200},
	{call{do: "GET /v1/deadletters/a1"}, 200},
	{call{do: "POST /v1/deadletters:replay", body: `{"source":"http","limit":5}`}, 200},
	{call{do: "POST /v1/deadletters:replay", body: `{"ids":["b2"]}`}, 404},
	{call{do: "POST /v1/deadletters:replay", body: `{"limit":501}`}, 400},
	{call{do: "GET /v1/recommend?after=r-0&scene=home&filter=price+%3C+9&explain=items"}, 200},
	{call{do: "POST /v1/rank", body: `{"user_id":"u1","items":["i1",7],"scene":"home","explain":"plugins","fields":["title"]}`}, 200},
	{call{do: "GET /v1/explain?user_id=u1&item_id=i2&scene=cart&session=i1&filter=price+%3C+9"}, 200},
	{call{do: "GET /v1/rules"}, 200},
	{call{do: "PUT /v1/rules?check=true", body: `{"rules":[{"action":"pin","item_id":"i7","slot":3,"scene":"home"}]}`}, 200},
	{call{do: "PUT /v1/rules", body: `{"rules":[{"action":"bury","filter":"stock == 0"}]}`}, 200},
	{call{do: "GET /v1/plugins"}, 200},
	{call{do: "POST /v1/plugins", body: `{"name":"boost","wasm":"AGFzbQ==","toml":"enabled = true"}`}, 200},
	{call{do: "POST /v1/plugins/boost/enable"}, 200},
	{call{do: "POST /v1/plugins/boost/disable"}, 200},
	{call{do: "DELETE /v1/plugins/boost"}, 204},
	{call{do: "GET /v1/keys"}, 200},
	{call{do: "POST /v1/keys", body: `{"name":"shop","scope":"recommend"}`}, 201},
	{call{do: "DELETE /v1/keys/shop"}, 204},
	{call{do: "GET /v1/pipeline"}, 200},
	{call{do: "DELETE /v1/pipeline/wanted?topic=user-events"}, 200},
	{call{do: "DELETE /v1/pipeline/wanted?topic=others"}, 404},
	{call{do: "DELETE /v1/pipeline/wanted"}, 400},
	{call{do: "GET /v1/backup"}, 200},
	{call{do: "GET /v1/export/items"}, 200},
	{call{do: "GET /v1/export/recommendations?limit=500"}, 200},
	{call{do: "GET /v1/export/recommendations?limit=501"}, 400},
	{call{do: "GET /v1/export/users?limit=5"}, 400},
	{call{do: "GET /v1/export/nothing"}, 400},
	{call{do: "GET /metrics"}, 200},
}

func TestAnswersFollowTheDocument(t *testing.T) {
	k := newContract(t)
	srv, _ := serverOf(t, newShop(), Config{})
	for _, g := range good {
		t.Run(g.do, func(t *testing.T) { k.check(t, srv.Socket(), g.call, g.status) })
	}
	ranked := newShop()
	ranked.list.Plugins = []PluginCall{{Name: "boost", Version: "1.0.0", Stage: "scorer", Status: "ok", Micros: 12}}
	srv, _ = serverOf(t, ranked, Config{})
	k.check(t, srv.Socket(), call{do: "GET /v1/recommend?user_id=u1"}, 200)
	empty := newShop()
	empty.list = List{Source: SourcePopular, Reason: ReasonUnknownUser}
	srv, _ = serverOf(t, empty, Config{})
	for _, do := range []string{"GET /recommend?user_id=x", "GET /v1/recommend?user_id=x", "GET /v1/popular"} {
		k.check(t, srv.Socket(), call{do: do}, 200)
	}
}

// TestEveryOperationIsTried fails when the document gets a route that the
// table above does not know.
func TestEveryOperationIsTried(t *testing.T) {
	k := newContract(t)
	tried := map[string]bool{}
	for _, g := range good {
		route, _, err := k.router.FindRoute(g.request())
		if err != nil {
			t.Fatal(err)
		}
		tried[route.Operation.OperationID] = true
	}
	for path, item := range loadDocument(t).Paths.Map() {
		for method, op := range item.Operations() {
			if !tried[op.OperationID] {
				t.Errorf("no call of %s %s", method, path)
			}
			if len(op.Tags) != 1 {
				t.Errorf("%s %s must have one tag, it has %v", method, path, op.Tags)
			}
		}
	}
}

// TestUnknownParametersAreRefused: a misspelt one must not be silently without
// effect, on any route under /v1.
func TestUnknownParametersAreRefused(t *testing.T) {
	k := newContract(t)
	srv, _ := serverOf(t, newShop(), Config{})
	for _, g := range good {
		if !strings.Contains(g.do, " /v1/") {
			continue
		}
		sep := "?"
		if strings.Contains(g.do, "?") {
			sep = "&"
		}
		g.do += sep + "zzz=1"
		k.check(t, srv.Socket(), g.call, 400)
	}
}
