package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// newKey makes a key and returns it.
func newKey(t *testing.T, scope string, flags ...string) string {
	t.Helper()
	var key struct{ Name, Key string }
	args := append([]string{"key", "new", "the-" + scope, "--scope", scope, "--json"}, flags...)
	if err := json.Unmarshal([]byte(vitrine(t, args...).must(t).out), &key); err != nil || key.Name != "the-"+scope || len(key.Key) < 64 {
		t.Fatalf("%v: %+v", err, key)
	}
	return key.Key
}

// selfSigned writes a certificate of this machine and its key.
func selfSigned(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

// TestKeys: made before the first start, made and revoked while it runs; an
// API beyond loopback, over TLS, with a limit; no key ever in the log.
func TestKeys(t *testing.T) {
	skipShort(t)
	t.Parallel()
	dir, file := filepath.Join(shortDir(t), "new"), filepath.Join(t.TempDir(), "own", "keys.json")
	certFile, keyFile := selfSigned(t)
	flags := []string{"--data", dir, "--set", "auth.keys_file=" + file, "--set", "http.listen=0.0.0.0:0"}
	vitrine(t, append([]string{"serve"}, flags...)...).complains(t, 78, "http.listen", "vitrine key new NAME")
	read := newKey(t, "recommend", flags...)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info, err)
	}
	d := start(t, dir, append(flags, "--set", "http.rate_limit=20", "--set", "http.tls_cert="+certFile, "--set", "http.tls_key="+keyFile, "--set", "log.level=debug")...)
	if !strings.HasPrefix(d.url, "https://127.0.0.1:") {
		t.Errorf("it is ready at %s", d.url)
	}
	url := d.url
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	ask := func(method, path, key string) int {
		req, err := http.NewRequest(method, url+path, strings.NewReader(`{"user_id":"u1","item_id":"i1","event_type":"view"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		if key != "" {
			req.Header.Set("Authorization", "Bearer "+key)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		return resp.StatusCode
	}
	write := newKey(t, "ingest", flags...)
	for _, g := range []struct {
		do, key string
		want    int
	}{
		{"GET /livez", "", 200},
		{"GET /recommend?user_id=u1", "", 401},
		{"GET /recommend?user_id=u1", read[:len(read)-1] + "x", 401},
		{"GET /recommend?user_id=u1", read, 200},
		{"GET /recommend?user_id=u1", write, 403},
		{"POST /v1/events", read, 403},
		{"POST /v1/events", write, 202},
		{"GET /v1/models", write, 404},
	} {
		method, path, _ := strings.Cut(g.do, " ")
		if code := ask(method, path, g.key); code != g.want {
			t.Errorf("%s with key %.11s: %d, want %d", g.do, g.key, code, g.want)
		}
	}
	// All at once: one after another takes a busy machine seconds, and that many
	// are allowed.
	until(t, "60 at once are more than 20 a second", func() bool {
		var limited atomic.Int64
		var wg sync.WaitGroup
		for range 60 {
			wg.Go(func() {
				if ask("GET", "/v1/popular", read) == 429 {
					limited.Add(1)
				}
			})
		}
		wg.Wait()
		return limited.Load() > 0
	})
	if out := vitrine(t, append([]string{"key", "list"}, flags...)...).must(t).out; !strings.Contains(out, "the-ingest") || strings.Contains(out, write) {
		t.Errorf("key list prints\n%s", out)
	}
	vitrine(t, append([]string{"key", "revoke", "the-ingest"}, flags...)...).must(t)
	if code := ask("POST", "/v1/events", write); code != 401 {
		t.Errorf("with a revoked key: %d", code)
	}
	vitrine(t, append([]string{"key", "revoke", "the-ingest"}, flags...)...).complains(t, 1, "no key of that name", "hint: vitrine key list")
	vitrine(t, append([]string{"key", "new", "x", "--scope", "root"}, flags...)...).complains(t, 2, "--scope must be")
	d.stop()
	vitrine(t, append([]string{"key", "revoke", "the-recommend"}, flags...)...).must(t)
	if out := fmt.Sprint(d.out, d.err); strings.Contains(out, read[12:]) || strings.Contains(out, write[12:]) {
		t.Error("a key is in the log")
	}
	if out := vitrine(t, append([]string{"key", "list"}, flags...)...).must(t).out; !strings.Contains(out, "no keys") {
		t.Errorf("key list prints\n%s", out)
	}
	vitrine(t, append([]string{"serve"}, flags...)...).complains(t, 78, "http.listen")
}
