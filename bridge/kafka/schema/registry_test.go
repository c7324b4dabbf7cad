package schema

import (
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
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
		"right":            {func(*Registry) {}, 1, "", ""},
		"wrong password":   {func(r *Registry) { r.PasswordFile = write(t, "wrong") }, 1, `the schema registry does not give schema 1: it refuses user "shop"`, "check kafka.schema_registry_user and kafka.schema_registry_password_file"},
		"nobody":           {func(r *Registry) { r.User, r.PasswordFile = "", "" }, 1, "it asks who wants it", "set kafka.schema_registry_user"},
		"nobody, else":     {func(r *Registry) { r.URL, r.User, r.PasswordFile = forbidding(t), "", "" }, 1, "it asks who wants it", "set kafka.schema_registry_user"},
		"forbidden":        {func(*Registry) {}, 2, `user "shop" may not read it`, "allow the user"},
		"authority":        {func(r *Registry) { r.CAFile = "" }, 1, "signed by an authority that is not trusted", "kafka.schema_registry_tls_ca"},
		"another name":     {func(r *Registry) { r.URL = strings.Replace(r.URL, "127.0.0.1", "localhost", 1) }, 1, "localhost", "as its certificate does"},
		"no TLS":           {func(r *Registry) { r.URL = strings.Replace(r.URL, "https", "http", 1) }, 1, "it answers 400 Bad Request", "kafka.schema_registry"},
		"password in URL":  {func(r *Registry) { r.URL = "http://shop:se-cret@127.0.0.1:1" }, 1, "connection refused", "kafka.schema_registry"},
		"a page, no value": {func(r *Registry) { r.URL = page(t) }, 1, "invalid character '<'", "kafka.schema_registry"},
	} {
		t.Run(name, func(t *testing.T) {
			at := right
			test.change(&at)
			a, err := NewAvro(Options{Registry: at})
			if err != nil {
				t.Fatal(err)
			}
			err = prepare(t, a, encodeAvro(t, avroSecond, test.id, map[string]any{"user_id": "u", "item_id": "i", "event_type": "cart"}))
			var f *Fault
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
		var f *Fault
		if _, err := NewAvro(Options{Registry: at}); !errors.As(err, &f) || !strings.Contains(f.Hint(), "kafka.schema_registry_") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// page is the address of something that is no registry.
func page(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }))
	t.Cleanup(server.Close)
	return server.URL
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
	a, err := NewAvro(Options{Registry: at, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
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
