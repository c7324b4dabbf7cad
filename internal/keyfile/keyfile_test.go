package keyfile

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPassword(t *testing.T) {
	for text, want := range map[string]string{"secret": "secret", "secret\n": "secret", " se cret \r\nnote\n": " se cret "} {
		if got, err := Password(write(t, text)); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"", "\nsecret", "\r\n"} {
		path := write(t, text)
		if got, err := Password(path); err == nil || !strings.Contains(err.Error(), "the first line of "+path+" is empty") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	if _, err := Password("/none"); err == nil || !strings.Contains(err.Error(), "/none") {
		t.Errorf("no file: %v", err)
	}
}

func TestAuthorities(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	own := server.Certificate()
	pool, err := Authorities(write(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.Raw}))))
	if err != nil {
		t.Fatal(err)
	}
	server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs = pool
	resp, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatalf("an authority of the file is not trusted: %v", err)
	}
	resp.Body.Close()
	for _, path := range []string{"/none", write(t, "no PEM")} {
		if _, err := Authorities(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
