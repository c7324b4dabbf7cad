package httpapi

import (
	"strings"
	"testing"

	"vitrine/appliance/access"
)

// keyed is a server that wants keys, and a key of each scope.
func keyed(t *testing.T, cfg Config) (*Server, map[access.Scope]string) {
	t.Helper()
	s := newShop()
	srv, log := serverOf(t, s, cfg)
	t.Cleanup(func() {
		if strings.Contains(log.String(), "vk_") {
			t.Errorf("a key is in the log: %s", log)
		}
	})
	sent := map[access.Scope]string{}
	for _, scope := range access.Scopes() {
		secret, err := srv.deps.Keys.New(string(scope), scope)
		if err != nil {
			t.Fatal(err)
		}
		sent[scope] = "Authorization: Bearer " + secret
	}
	return srv, sent
}

// TestEveryRouteWantsItsScope walks every operation of the document with no
// key, an unknown one, and one of each scope.
func TestEveryRouteWantsItsScope(t *testing.T) {
	srv, keys := keyed(t, Config{})
	doc := loadDocument(t)
	seen := map[access.Scope]int{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			requirements := doc.Security
			if op.Security != nil {
				requirements = *op.Security
			}
			scope := access.Scope("")
			if len(requirements) > 0 {
				scope = access.Scope(requirements[0]["key"][0])
			}
			seen[scope]++
			h := srv.API()
			if op.Tags[0] == "admin" {
				h = srv.Admin()
				if scope != access.Admin && path != "/metrics" {
					t.Errorf("%s %s is tagged admin and wants %q", method, path, scope)
				}
			} else if scope == access.Admin {
				t.Errorf("%s %s is public and says no scope", method, path)
			}
			target := strings.NewReplacer("{id}", "i1", "{name}", "boost").Replace(path)
			try := func(header string) int {
				return call{do: method + " " + target, headers: "Host: localhost\n" + header}.to(h).Code
			}
			if scope == "" {
				if code := try(""); code != 200 {
					t.Errorf("%s %s is open and answers %d", method, path, code)
				}
				continue
			}
			if code := try(""); code != 401 {
				t.Errorf("%s %s without a key: %d", method, path, code)
			}
			if code := try("Authorization: Bearer " + strings.Repeat("x", 76)); code != 401 {
				t.Errorf("%s %s with an unknown key: %d", method, path, code)
			}
			if code := try("Authorization: Basic " + keys[scope][len("Authorization: Bearer "):]); code != 401 {
				t.Errorf("%s %s with another scheme: %d", method, path, code)
			}
			for other, header := range keys {
				code := try(header)
				if refused := code == 403 || code == 401; refused != (other != scope) {
					t.Errorf("%s %s with a key for %s: %d", method, path, other, code)
				}
			}
		}
	}
	for _, scope := range append(access.Scopes(), "") {
		if seen[scope] == 0 {
			t.Errorf("no route wants %q", scope)
		}
	}
	if code := (call{do: "GET /debug/pprof/heap?debug=1", headers: "Host: localhost\n" + keys[access.Admin]}).to(srv.Admin()).Code; code != 200 {
		t.Errorf("the heap profile for an admin key: %d", code)
	}
	if code := (call{do: "GET /debug/pprof/heap?debug=1", headers: keys[access.Admin]}).to(srv.API()).Code; code != 404 {
		t.Errorf("profiles on the API: %d", code)
	}
	// The socket's mode is its key.
	if code := (call{do: "GET /v1/keys"}).to(srv.Socket()).Code; code != 200 {
		t.Errorf("the socket wants a key: %d", code)
	}
}

// TestAPIWithoutKeys: on loopback, until the first key is made.
func TestAPIWithoutKeys(t *testing.T) {
	srv, _ := serverOf(t, newShop(), Config{})
	ask := call{do: "GET /v1/recommend?user_id=u1"}
	if code := ask.to(srv.API()).Code; code != 200 {
		t.Errorf("before any key: %d", code)
	}
	made := call{do: "POST /v1/keys", body: `{"name":"shop","scope":"recommend"}`}.to(srv.Socket())
	if made.Code != 201 || !strings.Contains(made.Body.String(), `"key":"vk_`) || made.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %s", made.Code, made.Body)
	}
	w := ask.to(srv.API())
	if p := problemOf(t, w); w.Code != 401 || p.Code != "key_required" || !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Bearer") {
		t.Errorf("%d %+v", w.Code, p)
	}
	for _, g := range []struct {
		do   string
		want int
	}{{"DELETE /v1/keys/shop", 204}, {"DELETE /v1/keys/shop", 404}} {
		if w := (call{do: g.do}).to(srv.Socket()); w.Code != g.want {
			t.Errorf("%s: %d %s", g.do, w.Code, w.Body)
		}
	}
	if code := ask.to(srv.API()).Code; code != 401 {
		t.Errorf("revoking the last key opened the API: %d", code)
	}
}

func TestRateLimit(t *testing.T) {
	srv, keys := keyed(t, Config{RateLimit: 3})
	ask := func(key, from string) (int, string) {
		r := call{do: "GET /v1/popular", headers: key}.request()
		r.RemoteAddr = from
		r.Header.Set("X-Forwarded-For", from)
		w := recorded(srv.API(), r)
		return w.Code, w.Header().Get("Retry-After")
	}
	for n := range 5 {
		code, retry := ask(keys[access.Recommend], "10.0.0.1:1")
		if want := n < 3; want != (code == 200) || !want && (code != 429 || retry != "1") {
			t.Errorf("request %d: %d, Retry-After %q", n+1, code, retry)
		}
	}
	if code := (call{do: "GET /livez"}).to(srv.API()).Code; code != 200 {
		t.Errorf("health is held back: %d", code)
	}
	if code := (call{do: "PUT /v1/users/u1", headers: keys[access.Ingest], body: `{"attributes":{}}`}).to(srv.API()).Code; code != 200 {
		t.Errorf("another key pays: %d", code)
	}
	// Without keys, each address.
	plain, _ := serverOf(t, newShop(), Config{RateLimit: 1})
	for from, want := range map[string]int{"10.0.0.1:1": 200, "10.0.0.2:1": 200} {
		for n := range 2 {
			r := call{do: "GET /v1/popular", headers: "X-Forwarded-For: 1.2.3." + string('0'+rune(n))}.request()
			r.RemoteAddr = from
			if w := recorded(plain.API(), r); n == 0 && w.Code != want || n == 1 && w.Code != 429 {
				t.Errorf("%s, request %d: %d", from, n+1, w.Code)
			}
		}
	}
}
