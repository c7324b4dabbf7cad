package schema

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/twmb/franz-go/pkg/sr"

	"vitrine/internal/keyfile"
)

// Registry is a schema registry, and how it is entered; without a URL there is none.
// The files are read anew when it has failed, so that they may be replaced.
type Registry struct {
	// URL is http:// or https://.
	URL string
	// User logs in with the password in the first line of PasswordFile; "" is nobody.
	User, PasswordFile string
	// CAFile is a PEM file of authorities that are trusted instead of the system's.
	CAFile string
}

// connection is what asks a registry. It is for one goroutine at a time.
type connection struct {
	Registry
	now func() time.Time
	// http and client are nil before the first question and after a failure.
	http   *http.Client
	client *sr.Client
	// refused is what it said to the user, who is not sent again before after: many
	// wrong passwords in a row lock users out.
	refused *Fault
	after   time.Time
}

// answerTime bounds a question.
const answerTime = 5 * time.Second

// open reads the files.
func (c *connection) open() error {
	if c.client != nil {
		return nil
	}
	opts := []sr.ClientOpt{sr.URLs(c.URL), sr.UserAgent("vitrine")}
	if c.User != "" {
		password, err := keyfile.Password(c.PasswordFile)
		if err != nil {
			return &Fault{"the password of " + c.User + " cannot be read: " + err.Error(), "kafka.schema_registry_password_file names a file with the password in its first line"}
		}
		opts = append(opts, sr.BasicAuth(c.User, password))
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		var err error
		if transport.TLSClientConfig.RootCAs, err = keyfile.Authorities(c.CAFile); err != nil {
			return &Fault{"the authorities cannot be read: " + err.Error(), "kafka.schema_registry_tls_ca names a PEM file"}
		}
	}
	through := &http.Client{Transport: transport, Timeout: answerTime}
	client, err := sr.NewClient(append(opts, sr.HTTPClient(through))...)
	if err != nil {
		return fmt.Errorf("make the schema registry's client: %w", err)
	}
	c.http, c.client = through, client
	return nil
}

// schema asks for the schema of a number.
func (c *connection) schema(ctx context.Context, id uint32) (out sr.Schema, err error) {
	err = c.ask(fmt.Sprintf("schema %d", id), func() error {
		out, err = c.client.SchemaByID(ctx, int(id))
		return err
	})
	return out, err
}

// version asks for a version of a subject's schema.
func (c *connection) version(ctx context.Context, subject string, version int) (out sr.Schema, err error) {
	err = c.ask(fmt.Sprintf("version %d of schema %s", version, subject), func() error {
		got, err := c.client.SchemaByVersion(ctx, subject, version)
		out = got.Schema
		return err
	})
	return out, err
}

// ask asks for something. What is not there is told by missingThere; any other error
// is a Fault.
func (c *connection) ask(what string, question func() error) error {
	if c.refused != nil && c.now().Before(c.after) {
		return c.refused
	}
	c.refused = nil
	if err := c.open(); err != nil {
		return err
	}
	err := question()
	if err == nil || missingThere(err) {
		return err
	}
	c.http.CloseIdleConnections()
	c.http, c.client = nil, nil
	fault := c.explain(err)
	fault.what = fmt.Sprintf("the schema registry does not give %s: %s", what, fault.what)
	if code := status(err); code == http.StatusUnauthorized || code == http.StatusForbidden {
		c.refused, c.after = fault, c.now().Add(askAgain)
	}
	return fault
}

// status is the code of a registry's answer, 0 where there was none.
func status(err error) int {
	var answer *sr.ResponseError
	if errors.As(err, &answer) {
		return answer.StatusCode
	}
	return 0
}

// missingThere says that a registry has answered, and has not what it was asked for.
func missingThere(err error) bool { return status(err) == http.StatusNotFound }

// explain puts an error in the operator's terms.
func (c *connection) explain(err error) *Fault {
	var expired x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	switch code := status(err); {
	case (code == http.StatusUnauthorized || code == http.StatusForbidden) && c.User == "":
		return &Fault{"it asks who wants it", "set kafka.schema_registry_user and kafka.schema_registry_password_file"}
	case code == http.StatusUnauthorized:
		return &Fault{fmt.Sprintf("it refuses user %q", c.User), "check kafka.schema_registry_user and kafka.schema_registry_password_file"}
	case code == http.StatusForbidden:
		return &Fault{fmt.Sprintf("user %q may not read it", c.User), "allow the user to read the schemas of the topic's subjects, or check kafka.schema_registry_user"}
	case code != 0:
		return &Fault{fmt.Sprintf("it answers %d %s", code, http.StatusText(code)), "the registry's log may tell more; check kafka.schema_registry"}
	case errors.As(err, &expired) && expired.Reason == x509.Expired:
		return &Fault{"its certificate has expired or is not valid yet: " + expired.Error(), "renew the registry's certificate, or set this machine's clock"}
	case errors.As(err, &unknown):
		return &Fault{"its certificate is signed by an authority that is not trusted", "kafka.schema_registry_tls_ca names the PEM file of the authority"}
	case errors.As(err, &host):
		return &Fault{host.Error(), "kafka.schema_registry must name the registry as its certificate does"}
	}
	// The library names the URL, which may have a password in it.
	if inner := errors.Unwrap(err); inner != nil {
		err = inner
	}
	if at := (*url.Error)(nil); errors.As(err, &at) {
		err = at.Err
	}
	return &Fault{err.Error(), "check kafka.schema_registry"}
}
