package door

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"vitrine/internal/logkey"
)

// lookEvery is how often the files of a certificate are looked at; a handshake
// takes a thousand times longer than that.
const lookEvery = time.Second

// Certificate is a TLS certificate that follows its files.
type Certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu     sync.Mutex
	pair   *tls.Certificate
	looked time.Time
	stamps [2]time.Time
}

// LoadCertificate loads PEM files.
func LoadCertificate(certFile, keyFile string, log *slog.Logger) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, log: log}
	c.stamps = c.stampsNow()
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("load http.tls_cert and http.tls_key: %w", err)
	}
	c.pair, c.looked = &pair, time.Now()
	return c, nil
}

// stampsNow are the files' times; that of one that is not there is zero.
func (c *Certificate) stampsNow() (out [2]time.Time) {
	for i, name := range []string{c.certFile, c.keyFile} {
		if info, err := os.Stat(name); err == nil {
			out[i] = info.ModTime()
		}
	}
	return out
}

// current is the certificate, loaded anew when its files have changed. New
// ones that do not load, or of which one is not written yet, leave the old.
func (c *Certificate) current(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) < lookEvery {
		return c.pair, nil
	}
	c.looked = time.Now()
	stamps := c.stampsNow()
	if stamps == c.stamps {
		return c.pair, nil
	}
	c.stamps = stamps
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		c.log.Error("new certificate does not load, the one before stays", slog.Any(logkey.Error, err))
		return c.pair, nil
	}
	c.pair = &pair
	c.log.Info("certificate loaded anew", slog.String(logkey.File, c.certFile))
	return c.pair, nil
}

// config is what a listener is wrapped with.
func (c *Certificate) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.current, NextProtos: []string{"h2", "http/1.1"}}
}
