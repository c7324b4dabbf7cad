package schema

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"vitrine/bridge/kafka/fault"
)

// status is the code of an answer that was none to the question, else 0.
func status(err error) int {
	var r *refusal
	if errors.As(err, &r) {
		return r.status
	}
	return 0
}

// refuses tells whether it is the user that the registry does not like.
func refuses(err error) bool {
	code := status(err)
	return code == http.StatusUnauthorized || code == http.StatusForbidden
}

// alone tells whether err is a registry's word on one schema, and none on others: this
// user may not read it, or it fails at it. What stands before registries says 502 to 504.
func (c *client) alone(err error) bool {
	code := status(err)
	return code == http.StatusForbidden && !c.nobody() || code == http.StatusInternalServerError
}

// noRegistry is the fault of an address where something else answers.
func noRegistry(says string) *fault.Error {
	return fault.New(
		"what answers there is no schema registry: it says "+says,
		"check the path of kafka.schema_registry: Confluent's, Karapace's and Redpanda's have none, Apicurio's is http://HOST:8080/apis/ccompat/v7",
	)
}

// explain puts an error of get in the operator's terms.
func (c *client) explain(err error) *fault.Error {
	var own *fault.Error
	var r *refusal
	switch {
	case errors.As(err, &own):
		return own
	case refuses(err) && c.nobody(), status(err) == http.StatusUnauthorized && c.user == "":
		return fault.New("it asks who wants it", "set kafka.schema_registry_user and kafka.schema_registry_password_file")
	case status(err) == http.StatusUnauthorized:
		return fault.New(fmt.Sprintf("it refuses user %q", c.user), "check kafka.schema_registry_user and kafka.schema_registry_password_file")
	case status(err) == http.StatusForbidden && c.user == "":
		return fault.New("the certificate of "+c.own.Subject.String()+" may not read it", "allow it to read the schemas of the topic's subjects, or check kafka.schema_registry_tls_cert")
	case status(err) == http.StatusForbidden:
		return fault.New(fmt.Sprintf("user %q may not read it", c.user), "allow the user to read the schemas of the topic's subjects, or check kafka.schema_registry_user")
	case status(err) == http.StatusBadRequest && c.asked.Load(): // as nginx says it
		return c.certificate(err.Error())
	case status(err) == http.StatusNotFound:
		return noRegistry(err.Error())
	case errors.Is(err, errStrange):
		return noRegistry("something else than a schema")
	case errors.As(err, &r) && r.Code != 0:
		return fault.New(fmt.Sprintf("it answers %v: %.200s", r, r.Message), "the registry's log may tell more; check kafka.schema_registry")
	case r != nil:
		return fault.New("it answers "+r.Error(), "the registry's log may tell more; check kafka.schema_registry")
	}
	switch _, alert, ended := strings.Cut(err.Error(), "remote error: tls: "); {
	case ended && c.asked.Load():
		return c.certificate(alert)
	case ended:
		return fault.New("it ends TLS: "+alert, "TLS 1.2 or 1.3 at the registry; its log may tell more")
	}
	return unanswered(err)
}

// certificate is the fault of ours, which the registry has asked for. What it says is
// told along: each kind of server has words of its own for one that it does not like.
func (c *client) certificate(says string) *fault.Error {
	const keys = "kafka.schema_registry_tls_cert and kafka.schema_registry_tls_key"
	switch now := time.Now(); { // by the machine's clock, as TLS has it
	case c.own == nil:
		return fault.New("it asks for a certificate of ours: "+says, "set "+keys)
	case now.After(c.own.NotAfter), now.Before(c.own.NotBefore):
		return fault.New(
			fmt.Sprintf("our certificate counts from %s to %s: %s", c.own.NotBefore.UTC().Format(time.RFC3339), c.own.NotAfter.UTC().Format(time.RFC3339), says),
			"renew the files of "+keys+", or set this machine's clock",
		)
	}
	return fault.New(
		fmt.Sprintf("it refuses our certificate, of %s by %s: %s", c.own.Subject, c.own.Issuer, says),
		"an authority that the registry trusts must have signed that of kafka.schema_registry_tls_cert; the registry's log may tell more",
	)
}

// unanswered is the fault of a question that got no answer, or half of one.
func unanswered(err error) *fault.Error {
	var expired x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var slow interface{ Timeout() bool }
	switch {
	case errors.As(err, &expired) && expired.Reason == x509.Expired:
		return fault.New("its certificate has expired or is not valid yet: "+expired.Error(), "renew the registry's certificate, or set this machine's clock")
	case errors.As(err, &unknown):
		return fault.New("its certificate is signed by an authority that is not trusted", "kafka.schema_registry_tls_ca names the PEM file of the authority")
	case errors.As(err, &host):
		return fault.New(host.Error(), "kafka.schema_registry must name the registry as its certificate does")
	case errors.As(err, &slow) && slow.Timeout():
		return fault.New("it does not answer in time", "check kafka.schema_registry, the network and the registry's log")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return fault.New("it ends the connection before it has answered", "the registry's log may tell more; check kafka.schema_registry")
	case errors.Is(err, http.ErrSchemeMismatch):
		return fault.New("it speaks no TLS", "http:// in kafka.schema_registry, or TLS at the registry")
	case strings.Contains(err.Error(), "malformed HTTP"):
		return fault.New("it does not speak HTTP", "https:// in kafka.schema_registry, if the registry speaks TLS")
	}
	if at := (*url.Error)(nil); errors.As(err, &at) {
		err = at.Err // without the address, which stands in the configuration
	}
	return fault.New(err.Error(), "check kafka.schema_registry")
}
