package door

import (
	"bytes"
	"context"
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
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// opened serves one door until the test ends and returns its address.
func opened(t *testing.T, d Door, set ...func(*http.Server)) string {
	t.Helper()
	d.Address, d.Key = "127.0.0.1:0", "http.listen"
	if d.Handler == nil {
		d.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.Copy(io.Discard, r.Body); err == nil {
				fmt.Fprint(w, "hello")
			}
		})
	}
	doors, err := Open(t.Context(), []Door{d}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range set {
		f(doors.listeners[0].server)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- doors.Serve(ctx, func() {}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return doors.Addr(0).String()
}

// TestSlowClients: a thousand connections that send a byte now and then, half
// of them in the midst of the header, half in the midst of a body, do not keep
// others waiting, and are cut off.
func TestSlowClients(t *testing.T) {
	var own time.Duration
	addr := opened(t, Door{}, func(s *http.Server) { own, s.ReadHeaderTimeout = s.ReadHeaderTimeout, time.Hour })
	if own != HeaderTimeout {
		t.Errorf("a header may take %v", own)
	}
	// Both ends of a connection are this process's.
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Max < 512 {
		t.Skipf("%d files may be open (%v)", limit.Max, err)
	}
	slow(t, addr, min(1000, int(min(limit.Max, 1<<20)-400)/2))
	client := &http.Client{Timeout: time.Minute}
	for range 50 { // none of the thousand goes before
		r, err := client.Get("http://" + addr)
		if err != nil {
			t.Fatalf("others are not answered: %v", err)
		}
		r.Body.Close()
	}
	// The half in its header is cut off first; bodies have bodyTimeout.
	addr = opened(t, Door{}, func(s *http.Server) { s.ReadHeaderTimeout = 100 * time.Millisecond })
	conns := slow(t, addr, 100)
	for i := 0; i < len(conns); i += 2 {
		conns[i].SetReadDeadline(time.Now().Add(time.Minute))
		// Where the machine stood still while it was opened, it was reset.
		if _, err := io.Copy(io.Discard, conns[i]); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("connection %d is still open after the header timeout: %v", i, err)
		}
	}
}

// slow opens connections that have sent a part of a header (even ones) or of a
// body, and send no more.
func slow(t *testing.T, addr string, n int) []net.Conn {
	t.Helper()
	conns := make([]net.Conn, n)
	for i := range conns {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		text := "GET / HTTP/1.1\r\nHost: x\r\nX-A: "
		if i%2 == 1 {
			text = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n{"
		}
		if _, err := c.Write([]byte(text)); err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
			t.Fatal(err) // one that was cut off before it could send is cut off
		}
		conns[i] = c
	}
	return conns
}

// TestBoundOfConnections: one more than may be waits until another goes.
func TestBoundOfConnections(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := bound(inner, 2)
	accepted := make(chan net.Conn)
	go func() {
		defer close(accepted)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	for range 3 {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	first, second := <-accepted, <-accepted
	select {
	case <-accepted:
		t.Error("a third was accepted")
	case <-time.After(50 * time.Millisecond):
	}
	first.Close()
	first.Close() // twice gives one slot back
	third := <-accepted
	second.Close()
	third.Close()
	l.Close()
	if _, open := <-accepted; open {
		t.Error("accepted after Close")
	}
}

// certificate writes a self-signed pair for a name.
func certificate(t *testing.T, dir, name string) (certFile, keyFile string, cert *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err = x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certFile, keyFile, cert
}

// TestCertificate: HTTPS, and a new certificate without a restart; a broken
// one leaves the old.
func TestCertificate(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile, _ := certificate(t, dir, "one.example")
	var log bytes.Buffer
	c, err := LoadCertificate(certFile, keyFile, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	addr := opened(t, Door{Certificate: c})
	served := func() string {
		conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	look := func() { c.mu.Lock(); c.looked = time.Time{}; c.mu.Unlock() }
	if name := served(); name != "one.example" {
		t.Errorf("serves %s", name)
	}
	_, _, second := certificate(t, dir, "two.example")
	look()
	if name := served(); name != "two.example" {
		t.Errorf("after the change it serves %s", name)
	}
	if err := os.WriteFile(certFile, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	look()
	if name := served(); name != "two.example" {
		t.Errorf("with a broken file it serves %s", name)
	}
	roots := x509.NewCertPool()
	roots.AddCert(second)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "two.example"}, ForceAttemptHTTP2: true}}
	r, err := client.Get("https://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if body, _ := io.ReadAll(r.Body); string(body) != "hello" || r.ProtoMajor != 2 {
		t.Errorf("%s over %s", body, r.Proto)
	}
	client.CloseIdleConnections()
	old := &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11}
	if conn, err := tls.Dial("tcp", addr, old); err == nil {
		conn.Close()
		t.Error("TLS 1.1 is spoken")
	}
	if _, err := LoadCertificate(keyFile, keyFile, slog.Default()); err == nil {
		t.Error("a key as its own certificate loads")
	}
}
