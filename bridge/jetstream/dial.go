package jetstream

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"vitrine/internal/keyfile"
)

// Security says how a cluster is entered; the zero value is in the clear and
// without a name.
type Security struct {
	// CAFile is a PEM file of the authorities that sign the servers'
	// certificates; with it, or with tls:// URLs, TLS is spoken. CertFile and
	// KeyFile are the client's own.
	CAFile, CertFile, KeyFile string
	// CredentialsFile is a .creds file, with the user's JWT and seed.
	CredentialsFile string
	// User logs in with the password in the first line of PasswordFile.
	User, PasswordFile string
}

// Fault is why the log cannot be used, in the operator's terms.
type Fault struct {
	What, Hint string
	Err        error
}

// Error says what is wrong.
func (f *Fault) Error() string {
	if f.Err == nil {
		return f.What
	}
	return f.What + ": " + f.Err.Error()
}

// Unwrap gives the cause.
func (f *Fault) Unwrap() error { return f.Err }

// dial connects to one of the servers; afterwards the connection looks for
// another by itself for ever.
func dial(opt *ClusterOptions) (*nats.Conn, error) {
	options := []nats.Option{
		nats.Name("vitrine"), nats.MaxReconnects(-1), nats.ReconnectWait(clusterLook), nats.ReconnectJitter(0, 0), nats.Timeout(2 * time.Second),
		// A frame that waits in the client for a server would be neither here
		// nor there.
		nats.ReconnectBufSize(-1), nats.RetryOnFailedConnect(false),
		// A silent server is left after two of them.
		nats.PingInterval(time.Second), nats.MaxPingsOutstanding(2), nats.FlusherTimeout(clusterTimeout),
	}
	s := &opt.Security
	if s.CAFile != "" || s.CertFile != "" {
		config := &tls.Config{MinVersion: tls.VersionTLS12}
		if s.CAFile != "" {
			var err error
			if config.RootCAs, err = keyfile.Authorities(s.CAFile); err != nil {
				return nil, &Fault{What: "read bus.tls_ca", Err: err}
			}
		}
		if s.CertFile != "" {
			pair, err := tls.LoadX509KeyPair(s.CertFile, s.KeyFile)
			if err != nil {
				return nil, &Fault{What: "read bus.tls_cert and bus.tls_key", Err: err}
			}
			config.Certificates = []tls.Certificate{pair}
		}
		options = append(options, nats.Secure(config))
	}
	if s.CredentialsFile != "" {
		options = append(options, nats.UserCredentials(s.CredentialsFile))
	}
	if s.User != "" {
		password, err := keyfile.Password(s.PasswordFile)
		if err != nil {
			return nil, &Fault{What: "read bus.password_file", Err: err}
		}
		options = append(options, nats.UserInfo(s.User, password))
	}
	return nats.Connect(strings.Join(opt.URLs, ","), options...)
}

// explain says what an error of the cluster means and what to do.
func explain(err error, opt *ClusterOptions) error {
	var fault *Fault
	var api *jetstream.APIError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	urls := strings.Join(opt.URLs, ",")
	switch {
	case errors.As(err, &fault):
		return err
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired):
		return &Fault{"the servers of " + urls + " refuse the login", "check bus.user and bus.password_file, or bus.credentials_file", err}
	case errors.Is(err, nats.ErrSecureConnRequired):
		return &Fault{"the servers of " + urls + " want TLS", "write tls:// in bus.url, and set bus.tls_ca where their certificate is of an authority of your own", err}
	case errors.Is(err, nats.ErrSecureConnWanted):
		return &Fault{"the servers of " + urls + " speak no TLS", "write nats:// in bus.url and leave bus.tls_ca out, or switch TLS on in the servers", err}
	case errors.As(err, &unknown), errors.As(err, &host), errors.As(err, &invalid):
		return &Fault{"the certificate of the servers of " + urls + " is not trusted", "set bus.tls_ca to the authority that signed it; the names in it must be those in bus.url", err}
	case errors.Is(err, nats.ErrNoServers):
		return &Fault{"no server answers at " + urls, "check bus.url, and that nats-server runs there", err}
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount), errors.Is(err, nats.ErrNoResponders):
		return &Fault{"the servers of " + urls + " keep no streams", "switch JetStream on in their configuration (jetstream {}), and for the account", err}
	case errors.As(err, &api) && api.ErrorCode == noReplicas, errors.As(err, &api) && api.ErrorCode == noPeers,
		errors.As(err, &api) && api.ErrorCode == noResources, errors.As(err, &api) && api.ErrorCode == noStorage:
		return &Fault{
			fmt.Sprintf("the servers of %s cannot keep %d copies of %d MiB", urls, opt.Replicas, opt.MaxBytes>>20),
			"set bus.replicas to at most the number of servers, and bus.max_bytes to what each may store", err,
		}
	}
	return &Fault{"the cluster at " + urls + " cannot be used", "the servers' own log may tell more", err}
}

const (
	noReplicas jetstream.ErrorCode = 10074
	noPeers    jetstream.ErrorCode = 10005
)
