package schema

import (
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"vitrine/bridge/kafka/fault"
)

// guarded is a registry with TLS that lets one user in; asked counts the questions.
func guarded(t *testing.T, user, password string, asked *int) (at Registry) {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked++
		switch u, p, _ := r.BasicAuth(); {
		case u == user && p == password && r.URL.Path == "/schemas/ids/1":
			fmt.Fprintf(w, `{"schema":%q}`, avroSecond)
		case u == user && p == password:
			http.Error(w, `{"error_code":40301,"message":"User is denied"}`, http.StatusForbidden)
		default: // as Jetty does it
			http.Error(w, "<html><body><h2>HTTP ERROR 401 Unauthorized</h2>"+strings.Repeat("-", 1000)+"</body></html>", http.StatusUnauthorized)
		}
	}))
	t.Cleanup(server.Close)
	ca := write(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	return Registry{URL: server.URL, User: user, PasswordFile: write(t, password+"\n"), CAFile: ca}
}

// TestGuardedRegistry: a registry is entered with a password and an authority of
// files, and what is wrong with these is told with the key that mends it.
func TestGuardedRegistry(t *testing.T) {
	asked := 0
	right := guarded(t, "shop", "se cret", &asked)
	for name, test := range map[string]struct {
		change     func(r *Registry)
		id         int
		what, hint string
	}{
		"right":           {func(*Registry) {}, 1, "", ""},
		"wrong password":  {func(r *Registry) { r.PasswordFile = write(t, "wrong") }, 1, `the schema registry does not give schema 1: it refuses user "shop"`, "check kafka.schema_registry_user and kafka.schema_registry_password_file"},
		"nobody":          {func(r *Registry) { r.User, r.PasswordFile = "", "" }, 1, "it asks who wants it", "set kafka.schema_registry_user"},
		"nobody, else":    {func(r *Registry) { r.URL, r.User, r.PasswordFile = forbidding(t), "", "" }, 1, "it asks who wants it", "set kafka.schema_registry_user"},
		"forbidden":       {func(*Registry) {}, 2, `user "shop" may not read it`, "allow the user"},
		"authority":       {func(r *Registry) { r.CAFile = "" }, 1, "signed by an authority that is not trusted", "kafka.schema_registry_tls_ca"},
		"another name":    {func(r *Registry) { r.URL = strings.Replace(r.URL, "127.0.0.1", "localhost", 1) }, 1, "localhost", "as its certificate does"},
		"no TLS":          {func(r *Registry) { r.URL = strings.Replace(r.URL, "https", "http", 1) }, 1, "it answers 400 Bad Request", "kafka.schema_registry"},
		"password in URL": {func(r *Registry) { r.URL = "http://shop:se-cret@127.0.0.1:1" }, 1, "connection refused", "kafka.schema_registry"},
		"password of URL": {func(r *Registry) {
			*r = Registry{URL: strings.Replace(r.URL, "//", "//shop:se%20cret@", 1), CAFile: r.CAFile}
		}, 1, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			at := right
			test.change(&at)
			a := reader(t, Options{Registry: at})
			err := prepare(t, a, encodeAvro(t, avroSecond, test.id, map[string]any{"user_id": "u", "item_id": "i", "event_type": "cart"}))
			var f *fault.Error
			switch {
			case test.what == "" && err == nil:
			case !errors.As(err, &f) || !strings.Contains(f.Error(), test.what) || !strings.Contains(f.Hint(), test.hint):
				t.Errorf("%v, want %q with the hint %q", err, test.what, test.hint)
			case strings.Contains(f.Error(), "cret") || len(f.Error()) > 300:
				t.Errorf("it says %q", f.Error())
			}
		})
	}
	for name, change := range map[string]func(r *Registry){
		"no password file": func(r *Registry) { r.PasswordFile = "/none" }, "empty password": func(r *Registry) { r.PasswordFile = write(t, "\n") },
		"no authority file": func(r *Registry) { r.CAFile = "/none" }, "no PEM": func(r *Registry) { r.CAFile = write(t, "none") },
	} {
		at := right
		change(&at)
		var f *fault.Error
		if _, err := NewAvro(Options{Registry: at}); !errors.As(err, &f) || !strings.Contains(f.Hint(), "kafka.schema_registry_") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// forbidding is the address of a registry that answers so to everybody it does not know.
func forbidding(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	t.Cleanup(server.Close)
	return server.URL
}

// TestRefusedUser: a user who is refused is not sent again at once, as that locks
// users out; a password that is mended counts without a start.
func TestRefusedUser(t *testing.T) {
	asked := 0
	at := guarded(t, "shop", "right", &asked)
	at.PasswordFile = write(t, "wrong\n")
	now := time.UnixMilli(1760000000000)
	a := reader(t, Options{Registry: at, Now: func() time.Time { return now }})
	value := encodeAvro(t, avroSecond, 1, map[string]any{"user_id": "u", "item_id": "i", "event_type": "cart"})
	for _, step := range []struct {
		after    time.Duration
		password string
		ok       bool
		asked    int
	}{{0, "wrong", false, 1}, {askAgain - 1, "wrong", false, 1}, {1, "wrong", false, 2}, {askAgain, "right", true, 3}, {time.Hour, "gone", true, 3}} {
		now = now.Add(step.after)
		if err := os.WriteFile(at.PasswordFile, []byte(step.password), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := prepare(t, a, value); (err == nil) != step.ok || asked != step.asked {
			t.Errorf("%v later: %v, asked %d times; want %v, %d", step.after, err, asked, step.ok, step.asked)
		}
	}
}

// answers is the address of something that gives one answer to all questions.
func answers(t *testing.T, status int, kind, body string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

const (
	registryJSON = "application/vnd.schemaregistry.v1+json"
	html         = "text/html"
)

// TestNoRegistry: what answers as no registry does, or not at all, is a fault with a
// hint, so that records wait: their schemas may be there.
func TestNoRegistry(t *testing.T) {
	long := strings.Repeat(" ", maxAnswer+1)
	for name, test := range map[string]struct{ url, what, hint string }{
		"wrong path":       {answers(t, 404, registryJSON, `{"error_code":404,"message":"HTTP 404 Not Found"}`), "no schema registry: it says 404 Not Found", "apis/ccompat/v7"},
		"no page":          {answers(t, 404, html, "<html>"), "no schema registry", "the path of kafka.schema_registry"},
		"no words":         {answers(t, 404, "", ""), "no schema registry", "the path of kafka.schema_registry"},
		"page":             {answers(t, 200, html, "<html>"), "no schema registry: it says something else than a schema", "the path of kafka.schema_registry"},
		"else in JSON":     {answers(t, 200, "application/json", `{"status":"up"}`), "no schema registry", "the path of kafka.schema_registry"},
		"another shape":    {answers(t, 200, "application/json", `["orders-value"]`), "no schema registry", "the path of kafka.schema_registry"},
		"no content":       {answers(t, 204, "", ""), "it answers 204 No Content", "kafka.schema_registry"},
		"page without end": {answers(t, 200, html, long), "no schema registry", "the path of kafka.schema_registry"},
		"restarting":       {answers(t, 500, registryJSON, `{"error_code":50003,"message":"Error while forwarding the request to the primary"}`), "it answers 500 Internal Server Error: Error while forwarding", "log"},
		"gateway":          {answers(t, 502, html, long), "it answers 502 Bad Gateway", "log"},
		"too many":         {answers(t, 429, registryJSON, ""), "it answers 429 Too Many Requests", "kafka.schema_registry"},
		"cut off":          {talks(t, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"schema\":"), "it ends the connection before it has answered", "log"},
		"hangs up":         {talks(t, ""), "it ends the connection before it has answered", "log"},
		"speaks TLS":       {talks(t, "\x15\x03\x01\x00\x02\x02\x0a"), "it does not speak HTTP", "https://"},
		"speaks no TLS":    {strings.Replace(answers(t, 200, html, ""), "http:", "https:", 1), "it speaks no TLS", "http:// in kafka.schema_registry"},
		"no path to it":    {"http://127.0.0.1:1", "connection refused", "kafka.schema_registry"},
	} {
		t.Run(name, func(t *testing.T) {
			a := reader(t, Options{Registry: Registry{URL: test.url}})
			err := prepare(t, a, []byte("\x00\x00\x00\x00\x01"))
			var f *fault.Error
			if !errors.As(err, &f) || !strings.Contains(f.Error(), "the schema registry does not give schema 1: ") || !strings.Contains(f.Error(), test.what) || !strings.Contains(f.Hint(), test.hint) || len(f.Error()) > 300 {
				t.Errorf("%v, want %q with the hint %q", err, test.what, test.hint)
			}
		})
	}
}

// talks is the address of something that says the same to everybody, and hangs up.
func talks(t *testing.T, say string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 4096))
			_, _ = c.Write([]byte(say))
			c.Close()
		}
	}()
	return "http://" + l.Addr().String()
}

// TestSilentRegistry: one that takes a question and never answers is told so.
func TestSilentRegistry(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer server.Close()
	a := reader(t, Options{Registry: Registry{URL: server.URL}})
	a.registry.client.http.Timeout = time.Millisecond
	if err := prepare(t, a, []byte("\x00\x00\x00\x00\x01")); err == nil || !strings.Contains(err.Error(), "it does not answer in time") {
		t.Error(err)
	}
}

// TestSentOn: a registry may send us on, as from http:// to https://, but no password
// goes to another host, and nothing from https:// into the clear.
func TestSentOn(t *testing.T) {
	var asked int
	safe := guarded(t, "shop", "right", &asked)
	to := ""
	send := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, to+r.URL.Path+"?state=s3", http.StatusTemporaryRedirect)
	})
	plain, private := httptest.NewServer(send), httptest.NewTLSServer(send)
	defer plain.Close()
	defer private.Close()
	ca := write(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: private.Certificate().Raw})))
	own := answers(t, 200, registryJSON, fmt.Sprintf(`{"schema":%q}`, avroSecond))
	elsewhere := strings.Replace(own, "127.0.0.1", "localhost", 1)
	for name, test := range map[string]struct {
		at       Registry
		to, what string
	}{
		"to TLS":              {Registry{URL: plain.URL, User: "shop", PasswordFile: safe.PasswordFile, CAFile: safe.CAFile}, safe.URL, ""},
		"another host":        {Registry{URL: plain.URL}, elsewhere, ""},
		"another host, named": {Registry{URL: plain.URL, User: "shop", PasswordFile: safe.PasswordFile}, elsewhere, "it sends us on to " + elsewhere + "/schemas/ids/1"},
		"into the clear":      {Registry{URL: private.URL, CAFile: ca}, own, "it sends us on to " + own + "/schemas/ids/1"},
		"round and round":     {Registry{URL: plain.URL}, plain.URL, "it sends us on to " + plain.URL},
	} {
		to = test.to
		err := prepare(t, reader(t, Options{Registry: test.at}), []byte("\x00\x00\x00\x00\x01"))
		if test.what == "" && err != nil || test.what != "" && (err == nil || !strings.HasSuffix(strings.TrimSuffix(err.Error(), "/schemas/ids/1"), strings.TrimSuffix(test.what, "/schemas/ids/1"))) {
			t.Errorf("%s: %v, want %q", name, err, test.what)
		}
	}
}

// TestCheck asks registries of several kinds what they are, and others.
func TestCheck(t *testing.T) {
	asked := 0
	guard := guarded(t, "shop", "right", &asked)
	guard.PasswordFile = write(t, "wrong")
	older := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Accept"), ", application/json") {
			t.Errorf("it takes %q alone", r.Header.Get("Accept"))
		}
		if strings.HasPrefix(r.URL.Path, "/schemas/ids/") {
			http.Error(w, `{"error_code":40403,"message":"Schema not found"}`, http.StatusNotFound)
			return
		}
		http.Error(w, `{"error_code":404,"message":"HTTP 404 Not Found"}`, http.StatusNotFound)
	}))
	defer older.Close()
	for name, test := range map[string]struct {
		at          Registry
		kinds, what string
	}{
		"right":       {Registry{URL: answers(t, 200, registryJSON, `["JSON","PROTOBUF","AVRO"]`)}, "JSON, PROTOBUF, AVRO", ""},
		"older":       {Registry{URL: older.URL}, "", ""},
		"wrong path":  {Registry{URL: answers(t, 404, registryJSON, `{"error_code":404,"message":"HTTP 404 Not Found"}`)}, "", "no schema registry: it says 404 Not Found"},
		"page":        {Registry{URL: answers(t, 200, html, "<html>")}, "", "no schema registry"},
		"wrong":       {guard, "", `it refuses user "shop"`},
		"no file":     {Registry{URL: "http://r", User: "shop", PasswordFile: "/none"}, "", "/none"},
		"none at all": {Registry{URL: "http://127.0.0.1:1"}, "", "connection refused"},
	} {
		kinds, err := Check(t.Context(), test.at)
		var f *fault.Error
		if kinds != test.kinds || test.what == "" && err != nil || test.what != "" && (!errors.As(err, &f) || !strings.Contains(f.Error(), test.what) || f.Hint() == "") {
			t.Errorf("%s: %q, %v; want %q, %q", name, kinds, err, test.kinds, test.what)
		}
	}
}
