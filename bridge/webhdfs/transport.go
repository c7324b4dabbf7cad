package webhdfs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"vitrine/bridge/mirror"
)

// idleAfter is how long connections that nobody uses stay open.
const idleAfter = 2 * time.Second

// transport makes connections that end after a silence.
func transport(timeout time.Duration, authorities *x509.CertPool) *http.Transport {
	dialer := net.Dialer{Timeout: timeout}
	return &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			inner, err := dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &conn{Conn: inner, timeout: timeout}, nil
		},
		TLSHandshakeTimeout: timeout,
		TLSClientConfig:     &tls.Config{RootCAs: authorities, MinVersion: tls.VersionTLS12},
		IdleConnTimeout:     min(idleAfter, timeout),
		// The bytes of a file are not to be decompressed on their way.
		DisableCompression: true,
	}
}

// conn fails when nothing went either way for a time: while a file is sent, the
// answer to it is waited for all along.
type conn struct {
	net.Conn
	timeout time.Duration
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

// Write implements net.Conn.
func (c *conn) Write(b []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(b)
	if err == nil {
		err = c.SetReadDeadline(time.Now().Add(c.timeout))
	}
	return n, err
}

// silence names the server that did not answer, and takes the address of a
// request out of its error: that may hold a token.
func (s *Store) silence(host string, err error) error {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return &mirror.SilentError{Address: host, For: s.opt.Timeout}
	}
	var unknown x509.UnknownAuthorityError
	if errors.As(err, &unknown) {
		return &mirror.AdviceError{
			Err:    fmt.Errorf("ask %s: %w", host, unknown),
			Advice: "archive.tls_ca names the PEM file of the authority that signed the certificate of " + host,
		}
	}
	var request *url.Error
	if errors.As(err, &request) {
		return fmt.Errorf("ask %s: %w", host, request.Err)
	}
	return err
}

// content is a file that is read; a server that falls silent in its middle is
// named.
type content struct {
	io.ReadCloser
	store *Store
	host  string
}

// Read implements io.Reader.
func (c *content) Read(b []byte) (int, error) {
	n, err := c.ReadCloser.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = c.store.silence(c.host, err)
	}
	return n, err
}

// source is a request's body that keeps the error of its reader; http tells it
// in its own words only.
type source struct {
	io.Reader
	mu  sync.Mutex
	err error
}

// Read implements io.Reader.
func (s *source) Read(b []byte) (int, error) {
	n, err := s.Reader.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		s.mu.Lock()
		s.err = err
		s.mu.Unlock()
	}
	return n, err
}

func (s *source) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// RemoteError is a refusal by HDFS.
type RemoteError struct {
	// Status is that of HTTP, Exception the Java class without its package.
	Status             int
	Exception, Message string
}

// Error is what Hadoop said.
func (e *RemoteError) Error() string { return e.Exception + ": " + e.Message }

// Is makes missing files and refusals known to errors.Is.
func (e *RemoteError) Is(target error) bool {
	switch e.Exception {
	case "FileNotFoundException":
		return target == fs.ErrNotExist
	case "AccessControlException", "SecurityException":
		return target == fs.ErrPermission
	}
	return false
}

// elsewhere says that another NameNode may be the active one.
func (e *RemoteError) elsewhere() bool {
	return e.Exception == "StandbyException" || e.Status == http.StatusBadGateway || e.Status == http.StatusServiceUnavailable
}

// remoteError reads an answer that is an error.
func remoteError(resp *http.Response) error {
	const most = 64 << 10
	var body struct {
		RemoteException struct {
			Exception string `json:"exception"`
			Message   string `json:"message"`
		}
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, most))
	if err != nil {
		return fmt.Errorf("%s answered %s: %w", resp.Request.URL.Host, resp.Status, err)
	}
	if json.Unmarshal(data, &body) != nil || body.RemoteException.Exception == "" {
		return &RemoteError{Status: resp.StatusCode, Exception: resp.Request.URL.Host, Message: "answered " + resp.Status}
	}
	e := body.RemoteException
	return &RemoteError{Status: resp.StatusCode, Exception: e.Exception, Message: firstLine(e.Message)}
}

func firstLine(text string) string {
	for i, r := range text {
		if r == '\n' {
			return text[:i]
		}
	}
	return text
}

// unauthorized is the error of an answer that asks who we are.
func (s *Store) unauthorized(resp *http.Response) error {
	advice := "the cluster asks for Kerberos: set archive.kerberos_principal and archive.kerberos_keytab"
	if s.opt.Authorizer != nil {
		s.opt.Authorizer.Refused()
		advice = "the server does not take the ticket, and its log says why: has it the keys of HTTP/" + resp.Request.URL.Hostname() + "?"
	}
	return &mirror.AdviceError{Err: remoteError(resp), Advice: advice}
}
