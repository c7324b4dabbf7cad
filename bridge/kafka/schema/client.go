package schema

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"vitrine/bridge/kafka/fault"
	"vitrine/internal/keyfile"
)

// client asks a registry over HTTP. It keeps its connection until it is closed.
type client struct {
	http *http.Client
	base *url.URL
	// user is "" for nobody.
	user, password string
	// own is the certificate that a registry is shown which asks for one, nil without;
	// asked tells that it does.
	own   *x509.Certificate
	asked atomic.Bool
}

const (
	// answerTime bounds a question with its whole answer.
	answerTime = 5 * time.Second
	// maxAnswer bounds a schema, as JSON has it: registries that keep theirs in a
	// topic take 1 MiB, if nobody has told Kafka otherwise.
	maxAnswer = 2 << 20
	// maxRefusal is how much is read of an answer that is no schema.
	maxRefusal = 64 << 10
)

// newClient reads the files of a registry; nothing is connected yet.
func newClient(r *Registry) (*client, error) {
	base, err := url.Parse(r.URL)
	if err != nil {
		return nil, fmt.Errorf("read the schema registry's address: %w", errors.Unwrap(err)) // which has a password, maybe
	}
	c := &client{base: base}
	if base.User != nil {
		c.user = base.User.Username()
		c.password, _ = base.User.Password()
		base.User = nil
	}
	if r.User != "" {
		c.user = r.User
		if c.password, err = keyfile.Password(r.PasswordFile); err != nil {
			return nil, fault.New("the password of "+r.User+" cannot be read: "+err.Error(), "kafka.schema_registry_password_file names a file with the password in its first line")
		}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxResponseHeaderBytes = maxRefusal
	if transport.TLSClientConfig, err = c.tls(r); err != nil {
		return nil, err
	}
	c.http = &http.Client{Transport: transport, Timeout: answerTime, CheckRedirect: c.follow}
	return c, nil
}

// tls reads the files of a registry that are for TLS.
func (c *client) tls(r *Registry) (out *tls.Config, err error) {
	out = &tls.Config{MinVersion: tls.VersionTLS12}
	if r.CAFile != "" {
		if out.RootCAs, err = keyfile.Authorities(r.CAFile); err != nil {
			return nil, fault.New("the authorities cannot be read: "+err.Error(), "kafka.schema_registry_tls_ca names a PEM file")
		}
	}
	var cert tls.Certificate
	if r.CertFile != "" {
		if cert, err = tls.LoadX509KeyPair(r.CertFile, r.KeyFile); err != nil {
			return nil, fault.New(fmt.Sprintf("the certificate %s cannot be read with its key %s: %v", r.CertFile, r.KeyFile, err), "kafka.schema_registry_tls_cert and kafka.schema_registry_tls_key name PEM files")
		}
		c.own = cert.Leaf
	}
	out.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		c.asked.Store(true)
		return &cert, nil
	}
	return out, nil
}

// nobody tells whether a registry is asked without saying who asks.
func (c *client) nobody() bool { return c.user == "" && c.own == nil }

// follow says whether to go where the registry sends us. A password goes to the host
// that it is for, and what was asked in private is not asked in the clear.
func (c *client) follow(next *http.Request, before []*http.Request) error {
	const most = 10
	last := before[len(before)-1].URL
	if len(before) < most && (last.Scheme != "https" || next.URL.Scheme == "https") && (c.user == "" || next.URL.Hostname() == c.base.Hostname()) {
		return nil
	}
	to := url.URL{Scheme: next.URL.Scheme, Host: next.URL.Host, Path: next.URL.Path}
	return fault.New("it sends us on to "+to.String(), "kafka.schema_registry must be the address of the registry itself")
}

// refusal is an answer that is none to the question.
type refusal struct {
	status int
	// Code and Message are what registries say beside.
	Code    int    `json:"error_code"`
	Message string `json:"message"`
}

// The codes of registries, all of them with 404: subject, version, schema.
const firstMissing, lastMissing = 40401, 40403

func (r *refusal) Error() string { return fmt.Sprintf("%d %s", r.status, http.StatusText(r.status)) }

// missing tells whether err is a registry's word that it has not what it was asked
// for. Any server says 404 of a path that it does not know; so does a registry, with
// another code.
func missing(err error) bool {
	var r *refusal
	return errors.As(err, &r) && r.status == http.StatusNotFound && r.Code >= firstMissing && r.Code <= lastMissing
}

var (
	// errStrange is an answer that no registry gives.
	errStrange = errors.New("strange answer")
	// errLong is a registry's answer that has more than maxAnswer.
	errLong = fmt.Errorf("it has more than %d MiB", maxAnswer>>20)
)

// get asks for what is at a path and reads it into out.
func (c *client) get(ctx context.Context, out any, path ...string) error {
	for i := range path {
		path[i] = url.PathEscape(path[i])
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base.JoinPath(path...).String(), nil)
	if err != nil {
		return fmt.Errorf("make the question: %w", err)
	}
	req.Header.Set("Accept", "application/vnd.schemaregistry.v1+json, application/json") // Cloudera's knows the second one alone
	req.Header.Set("User-Agent", "vitrine")
	if c.user != "" {
		req.SetBasicAuth(c.user, c.password)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	most := maxAnswer
	if resp.StatusCode != http.StatusOK {
		most = maxRefusal
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, int64(most)+1))
	switch long := len(body) > most; {
	case resp.StatusCode != http.StatusOK:
		r := &refusal{status: resp.StatusCode}
		_ = json.Unmarshal(body, r) // others than registries say something else
		return r
	case err != nil:
		return fmt.Errorf("read the answer: %w", err)
	case long && strings.Contains(resp.Header.Get("Content-Type"), "json"):
		return errLong
	case long || json.Unmarshal(body, out) != nil:
		return errStrange
	}
	return nil
}

// answer is what registries say of a schema; they say more.
type answer struct {
	Schema string `json:"schema"`
	// Type is "" for Avro.
	Type       string `json:"schemaType"`
	References []struct {
		Subject string `json:"subject"`
		Version int    `json:"version"`
	} `json:"references"`
}

// schema asks for one.
func (c *client) schema(ctx context.Context, path ...string) (out answer, err error) {
	if err = c.get(ctx, &out, path...); err == nil && out.Schema == "" {
		err = errStrange
	}
	return out, err
}

// close ends the connection; who asks again makes a new one.
func (c *client) close() { c.http.CloseIdleConnections() }
