package schema

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"vitrine/bridge/kafka/fault"
)

// issued is a certificate with its key.
type issued struct {
	*x509.Certificate
	key *ecdsa.PrivateKey
}

// issue makes one that counts until then, signed by another or, with nil, by itself.
func issue(t *testing.T, name string, until time.Time, by *issued) *issued {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: until.Add(-48 * time.Hour), NotAfter: until,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: by == nil, BasicConstraintsValid: true,
	}
	if by == nil {
		by = &issued{of, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, of, by.Certificate, &key.PublicKey, by.key)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &issued{made, key}
}

// files are those of a certificate and its key.
func (c *issued) files(t *testing.T) (cert, key string) {
	t.Helper()
	der, err := x509.MarshalECPrivateKey(c.key)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))), write(t, string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})))
}

// serve starts a registry with a certificate, and settings of TLS beside.
func (c *issued) serve(t *testing.T, with *tls.Config, handler http.Handler) (url string) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	with.Certificates = []tls.Certificate{{Certificate: [][]byte{c.Raw}, PrivateKey: c.key}}
	server.TLS = with
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

// TestClientCertificate: a registry that asks for a certificate is shown one, and what
// is wrong with it is told with the keys that mend it, whatever TLS it speaks.
func TestClientCertificate(t *testing.T) {
	later := time.Now().Add(24 * time.Hour)
	authority, other := issue(t, "authority", later, nil), issue(t, "elsewhere", later, nil)
	trusted := x509.NewCertPool()
	trusted.AddCert(authority.Certificate)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch name := r.TLS.PeerCertificates[0].Subject.CommonName; name {
		case "shop":
			fmt.Fprintf(w, `{"schema":%q}`, avroSecond)
		case "named":
			w.WriteHeader(http.StatusUnauthorized)
		default:
			w.WriteHeader(http.StatusForbidden)
		}
	})
	ca, _ := authority.files(t)
	const keys = "kafka.schema_registry_tls_cert and kafka.schema_registry_tls_key"
	for name, test := range map[string]struct {
		own        *issued
		what, hint string
	}{
		"right":             {issue(t, "shop", later, authority), "", ""},
		"none":              {nil, "it asks for a certificate of ours: ", "set " + keys},
		"expired":           {issue(t, "shop", time.Now().Add(-time.Hour), authority), "our certificate counts from ", "renew the files of " + keys},
		"another authority": {issue(t, "shop", later, other), "it refuses our certificate, of CN=shop by CN=elsewhere: ", "signed that of kafka.schema_registry_tls_cert"},
		"forbidden":         {issue(t, "guest", later, authority), "the certificate of CN=guest may not read it", "kafka.schema_registry_tls_cert"},
		"a password, too":   {issue(t, "named", later, authority), "it asks who wants it", "kafka.schema_registry_user"},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			at := Registry{CAFile: ca}
			at.URL = authority.serve(t, &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: trusted, MaxVersion: version}, handler)
			if test.own != nil {
				at.CertFile, at.KeyFile = test.own.files(t)
			}
			err := prepare(t, reader(t, Options{Registry: at}), []byte("\x00\x00\x00\x00\x01"))
			var f *fault.Error
			if test.what == "" && err != nil || test.what != "" && (!errors.As(err, &f) || !strings.Contains(f.Error(), test.what) || !strings.Contains(f.Hint(), test.hint)) {
				t.Errorf("%s by %s: %v, want %q with the hint %q", name, tls.VersionName(version), err, test.what, test.hint)
			}
		}
	}
}

// TestOtherTLS: what ends TLS for another reason is not told to be a certificate's. What
// nginx says where it misses one is.
func TestOtherTLS(t *testing.T) {
	registry := issue(t, "registry", time.Now().Add(24*time.Hour), nil)
	ca, _ := registry.files(t)
	bad := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "No required SSL certificate was sent", http.StatusBadRequest)
	})
	for name, test := range map[string]struct {
		with       *tls.Config
		what, hint string
	}{
		"old TLS":     {&tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}, "it ends TLS: protocol version not supported", "TLS 1.2 or 1.3"},
		"a proxy":     {&tls.Config{ClientAuth: tls.RequestClientCert}, "it asks for a certificate of ours: 400 Bad Request", "kafka.schema_registry_tls_cert"},
		"bad request": {&tls.Config{}, "it answers 400 Bad Request", "log"},
	} {
		at := Registry{URL: registry.serve(t, test.with, bad), CAFile: ca}
		var f *fault.Error
		err := prepare(t, reader(t, Options{Registry: at}), []byte("\x00\x00\x00\x00\x01"))
		if !errors.As(err, &f) || !strings.Contains(f.Error(), test.what) || !strings.Contains(f.Hint(), test.hint) {
			t.Errorf("%s: %v, want %q with the hint %q", name, err, test.what, test.hint)
		}
	}
}

// TestClientCertificateFiles: those that cannot be read are named with their keys.
func TestClientCertificateFiles(t *testing.T) {
	later := time.Now().Add(24 * time.Hour)
	cert, key := issue(t, "shop", later, nil).files(t)
	_, another := issue(t, "shop", later, nil).files(t)
	for name, at := range map[string]Registry{
		"no certificate": {CertFile: "/none", KeyFile: key}, "no key": {CertFile: cert, KeyFile: "/none"},
		"no PEM": {CertFile: write(t, "none"), KeyFile: key}, "another key": {CertFile: cert, KeyFile: another},
	} {
		at.URL = "https://127.0.0.1:1"
		var f *fault.Error
		if _, err := NewAvro(Options{Registry: at}); !errors.As(err, &f) || !strings.Contains(f.Error(), at.CertFile) || !strings.Contains(f.Error(), at.KeyFile) || !strings.Contains(f.Hint(), "kafka.schema_registry_tls_cert and kafka.schema_registry_tls_key") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestExpiredCertificate of the registry names the day.
func TestExpiredCertificate(t *testing.T) {
	expired := issue(t, "registry", time.Now().Add(-time.Hour), nil)
	at := Registry{URL: expired.serve(t, &tls.Config{}, http.NotFoundHandler())}
	at.CAFile, _ = expired.files(t)
	var f *fault.Error
	err := prepare(t, reader(t, Options{Registry: at}), []byte("\x00\x00\x00\x00\x01"))
	if !errors.As(err, &f) || !strings.Contains(f.Error(), "its certificate has expired or is not valid yet") || !strings.Contains(f.Hint(), "renew the registry's certificate") {
		t.Error(err)
	}
}
