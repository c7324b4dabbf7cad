package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
)

// conformance holds a running appliance against the document that it serves.
type conformance struct {
	t      *testing.T
	d      *daemon
	doc    *openapi3.T
	router routers.Router
	gen    generator
	client *http.Client // over the admin socket, which has every route
	keys   map[string]string
	asked  int
}

// operation is one of the document.
type operation struct {
	method, path string
	*openapi3.Operation
}

func (o operation) String() string { return o.method + " " + o.path }

// request is a generated one.
type request struct {
	op          operation
	path, query string
	body        []byte
	contentType string
	what        string // of an invalid one, what is wrong
}

// TestConformance sends requests made from the OpenAPI document, valid ones,
// invalid ones and ones without a key, and holds every answer against it.
func TestConformance(t *testing.T) {
	skipShort(t)
	t.Parallel()
	d := start(t, shortDir(t))
	smallShop(t, d)
	vitrine(t, "train", "--data", d.dir).must(t)
	k := newConformance(t, d)
	ops := k.operations()
	for _, op := range ops {
		for range k.rounds(op) {
			k.check(k.valid(op), false)
		}
		for _, r := range k.invalid(op) {
			k.check(r, true)
		}
	}
	t.Logf("%d operations, %d requests", len(ops), k.asked)
	if len(ops) < 30 || k.asked < 15*len(ops) {
		t.Errorf("%d operations and %d requests are too few", len(ops), k.asked)
	}
	for _, op := range ops {
		k.keyless(op)
	}
	d.stop()
}

func newConformance(t *testing.T, d *daemon) *conformance {
	k := &conformance{t: t, d: d, keys: map[string]string{}}
	_, _, text := d.ask("GET", "/openapi.json", "")
	loader := openapi3.NewLoader()
	var err error
	if k.doc, err = loader.LoadFromData([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := k.doc.Validate(context.Background()); err != nil {
		t.Fatal(err)
	}
	k.doc.Servers = nil
	if k.router, err = legacy.NewRouter(k.doc); err != nil {
		t.Fatal(err)
	}
	openapi3filter.RegisterBodyDecoder("application/x-ndjson", openapi3filter.FileBodyDecoder)
	openapi3filter.RegisterBodyDecoder("text/plain", openapi3filter.FileBodyDecoder)
	k.gen = generator{rand.New(rand.NewPCG(1, 2)), k.doc}
	k.client = &http.Client{Timeout: patience, Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(d.dir, "admin.sock"))
	}}}
	return k
}

// operations are all of the document, in order.
func (k *conformance) operations() []operation {
	var out []operation
	for path, item := range k.doc.Paths.Map() {
		for method, op := range item.Operations() {
			out = append(out, operation{method, path, op})
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].String() < out[j].String() })
	return out
}

// rounds are fewer where each is long work.
func (k *conformance) rounds(op operation) int {
	if strings.HasPrefix(op.path, "/v1/jobs") || strings.HasPrefix(op.path, "/v1/plugins") {
		return 3
	}
	return 12
}

// valid makes a request as the document has it.
func (k *conformance) valid(op operation) request {
	r := request{op: op, path: op.path}
	query := url.Values{}
	for _, ref := range k.parameters(op) {
		p := ref.Value
		switch p.In {
		case "path":
			r.path = strings.Replace(r.path, "{"+p.Name+"}", url.PathEscape(k.argument(op, p)), 1)
		case "query":
			if p.Required || k.gen.IntN(2) == 0 {
				k.fill(query, p)
			}
		}
	}
	r.query = query.Encode()
	if op.RequestBody == nil {
		return r
	}
	content := op.RequestBody.Value.Content
	var types []string
	for name := range content {
		types = append(types, name)
	}
	sort.Strings(types)
	r.contentType = types[k.gen.IntN(len(types))]
	if strings.HasSuffix(r.contentType, "json") {
		r.body = k.encode(k.gen.value(content[r.contentType].Schema, 0))
	} else {
		r.body = []byte(`{"user_id":"u1","item_id":"i1","event_type":"view"}` + "\n")
	}
	return r
}

func (k *conformance) parameters(op operation) openapi3.Parameters {
	return append(append(openapi3.Parameters{}, k.doc.Paths.Value(op.path).Parameters...), op.Parameters...)
}

// argument is a value of a path parameter; those of plugins, jobs and letters
// are seldom there.
func (k *conformance) argument(_ operation, p *openapi3.Parameter) string {
	for {
		if text, ok := k.gen.value(p.Schema, 0).(string); ok && text != "" {
			return text
		}
	}
}

func (k *conformance) fill(query url.Values, p *openapi3.Parameter) {
	v := k.gen.value(p.Schema, 0)
	list, many := v.([]any)
	if !many {
		list = []any{v}
	}
	for _, one := range list {
		if f, number := one.(float64); number {
			query.Add(p.Name, text(f))
		} else {
			query.Add(p.Name, fmt.Sprint(one))
		}
	}
}

func (k *conformance) encode(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		k.t.Fatal(err)
	}
	return raw
}

// invalid makes requests each of which has one thing that the document refuses.
func (k *conformance) invalid(op operation) []request {
	var out []request
	add := func(what string, change func(*request)) {
		r := k.valid(op)
		r.what = what
		change(&r)
		out = append(out, r)
	}
	// The article's plain route and what is no JSON take more than they know.
	strict := op.path != "/recommend" && op.path != "/metrics" && op.path != "/openapi.json" && op.path != "/livez" && op.path != "/readyz"
	if strict {
		add("a parameter that is not known", func(r *request) { r.query += "&no_such_parameter=1" })
	}
	add("a broken query", func(r *request) { r.query = "limit=%zz" })
	for _, ref := range k.parameters(op) {
		p := ref.Value
		for _, bad := range outside(p) {
			switch p.In {
			case "query":
				add(fmt.Sprintf("%s=%.40q", p.Name, bad), func(r *request) { r.query = p.Name + "=" + url.QueryEscape(bad) })
			case "path":
				if op.path != "/v1/plugins/{name}" && bad != "" {
					add(fmt.Sprintf("%s %.40q in the path", p.Name, bad), func(r *request) {
						r.path = strings.Replace(op.path, "{"+p.Name+"}", url.PathEscape(bad), 1)
					})
				}
			}
		}
	}
	if op.RequestBody == nil {
		return out
	}
	content := op.RequestBody.Value.Content["application/json"]
	if content == nil {
		return out
	}
	add("a body of another type", func(r *request) { r.contentType = "text/html" })
	for _, text := range []string{"", "{", "nonsense", "{}{}", "\xff\xfe"} {
		add(fmt.Sprintf("the body %q", text), func(r *request) { r.contentType, r.body = "application/json", []byte(text) })
	}
	for _, bad := range k.gen.broken(content.Schema) {
		add(fmt.Sprintf("the body %.200s", k.encode(bad)), func(r *request) { r.contentType, r.body = "application/json", k.encode(bad) })
	}
	return out
}

// check sends a request and holds the answer against the document.
func (k *conformance) check(r request, invalid bool) {
	k.t.Helper()
	k.asked++
	target := "http://vitrine" + r.path
	if r.query != "" {
		target += "?" + strings.TrimPrefix(r.query, "&")
	}
	req, err := http.NewRequest(r.op.method, target, bytes.NewReader(r.body))
	if err != nil {
		k.t.Fatalf("%s: %v", r.op, err)
	}
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	resp, err := k.client.Do(req)
	if err != nil {
		k.t.Fatalf("%s %s: %v", r.op, target, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		k.t.Fatal(err)
	}
	say := func(format string, args ...any) {
		k.t.Helper()
		k.t.Errorf("%s %s %.300q: %s: %s", r.op.method, target, r.body, fmt.Sprintf(format, args...), fmt.Sprintf("%d %.300s", resp.StatusCode, body))
	}
	switch {
	case resp.StatusCode >= 500:
		say("a fault of the appliance")
	case invalid && resp.StatusCode < 400 && !lists(body):
		say("it is taken, with %s", r.what)
	case !invalid && (resp.StatusCode == 405 || resp.StatusCode == 415 || bytes.Contains(body, []byte(`"unknown_path"`)) || bytes.Contains(body, []byte(`"unknown_field"`))):
		say("what the document has is refused")
	}
	if err := k.declared(r, req, resp, body); err != nil {
		say("the answer is not one of the document: %v", err)
	}
}

// lists says whether an answer names parts of the request as rejected, as
// those of many records do.
func lists(body []byte) bool {
	var answer struct{ Rejected []json.RawMessage }
	return json.Unmarshal(body, &answer) == nil && len(answer.Rejected) > 0
}

func (k *conformance) declared(r request, req *http.Request, resp *http.Response, body []byte) error {
	ask, err := http.NewRequest(r.op.method, "http://vitrine"+strings.NewReplacer("{id}", "x", "{name}", "x").Replace(r.op.path), nil)
	if err != nil {
		return err
	}
	route, params, err := k.router.FindRoute(ask)
	if err != nil {
		return err
	}
	return openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route},
		Status:                 resp.StatusCode, Header: resp.Header, Body: io.NopCloser(bytes.NewReader(body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	})
}

// keyless wants every route that needs a key to refuse who has none, or one of
// another scope. The generated requests have made keys by now.
func (k *conformance) keyless(op operation) {
	security := k.doc.Security
	if op.Security != nil {
		security = *op.Security
	}
	if len(security) == 0 || op.Tags[0] == "admin" {
		return // the admin listener's address is not told; httpapi's own tests walk it
	}
	for scope, want := range map[string]int{"": 401, "admin": 403} {
		req, err := http.NewRequest(op.method, k.d.url+strings.NewReplacer("{id}", "x", "{name}", "x").Replace(op.path), nil)
		if err != nil {
			k.t.Fatal(err)
		}
		if scope != "" {
			req.Header.Set("Authorization", "Bearer "+k.key(scope))
		} else {
			k.key("admin") // so that there is one
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			k.t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			k.t.Errorf("%s with a key of scope %q: %d", op, scope, resp.StatusCode)
		}
	}
}

func (k *conformance) key(scope string) string {
	if k.keys[scope] == "" {
		k.keys[scope] = newKey(k.t, scope, "--data", k.d.dir)
	}
	return k.keys[scope]
}
