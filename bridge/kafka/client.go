package kafka

import (
	"crypto/tls"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"vitrine/bridge/kafka/fault"
	"vitrine/bridge/kafka/fetch"
	"vitrine/bridge/kafka/flow"
	"vitrine/internal/keyfile"
)

// The SASL mechanisms.
const (
	Plain       = "plain"
	ScramSHA256 = "scram-sha-256"
	ScramSHA512 = "scram-sha-512"
)

// Security is how connections are protected. The files are read anew at every
// try to connect, so that they may be replaced.
type Security struct {
	// TLS speaks TLS. CAFile is a PEM file of authorities that are trusted
	// instead of the system's; CertFile and KeyFile are the client's own.
	TLS                       bool
	CAFile, CertFile, KeyFile string
	// SASL is a mechanism, "" for none; PasswordFile holds User's password in
	// its first line.
	SASL, User, PasswordFile string
}

// The bounds of what is held: of records on their way here, and of one answer of a
// broker.
const (
	fetchBytes     = 4 << 20
	partitionBytes = 1 << 20
	answerBytes    = 128 << 20
)

// What is kept of buffers for decompressing: those of the batches under way, however
// few records the cluster's batches have (60 of 100 records are one of ours), and none
// that a batch of the usual 1 MiB has no use for.
const (
	keptBytes   = 32 << 20
	keptLargest = 4 << 20
)

// backoff is how long the client waits after so many failures, from a quarter of a
// second to one. Its own rule goes up to five, and what is back should be read
// within seconds.
func backoff(fails int) time.Duration {
	wait := 250 * time.Millisecond << min(max(fails-1, 0), 2)
	return wait*4/5 + rand.N(wait*2/5)
}

// client makes one, with these options beside those of every client.
func (o *Options) client(opts ...kgo.Opt) (*kgo.Client, error) {
	base, err := o.base()
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append(base, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("make the client: %w", err)
	}
	return client, nil
}

// stuckTime is how long a partition may wait for an error that passes, as while a
// leader is elected, before that is told.
const stuckTime = 10 * time.Second

// listener is told what becomes of partitions, as fetch.Options say.
type listener interface {
	lost(l fetch.Loss)
	stuck(topic string, partition int32, offset int64, err error)
}

// reading makes a client of topics, which fetches none of their records, and what
// reads them over its connections instead.
func (o *Options) reading(ids map[string][16]byte, buffers *fetch.Buffers, to listener, opts ...kgo.Opt) (*kgo.Client, *fetch.Fetcher, error) {
	topics := slices.Sorted(maps.Keys(ids))
	client, err := o.client(append(opts, kgo.ConsumeTopics(topics...), kgo.WithDecompressor(kgo.DefaultDecompressor(buffers)))...)
	if err != nil {
		return nil, nil, err
	}
	client.PauseFetchTopics(topics...)
	// The client has given it its bound.
	decompressor := client.OptValue(kgo.WithDecompressor).(kgo.Decompressor)
	return client, fetch.New(fetch.Options{
		Client: client, Topics: ids, Reader: fetch.NewReader(decompressor, buffers),
		MaxBytes: fetchBytes, PartitionBytes: partitionBytes, MaxWait: 500 * time.Millisecond, Backoff: backoff,
		Lost: to.lost, Stuck: to.stuck, Patience: stuckTime,
	}), nil
}

// base are the options of every client.
func (o *Options) base() ([]kgo.Opt, error) {
	opts := []kgo.Opt{
		kgo.SeedBrokers(o.Brokers...), kgo.ClientID("vitrine"), kgo.SoftwareNameAndVersion("vitrine", "1"),
		kgo.DialTimeout(5 * time.Second), kgo.RetryTimeout(15 * time.Second), kgo.RequestTimeoutOverhead(10 * time.Second),
		kgo.BrokerMaxReadBytes(answerBytes), kgo.MaxDecompressBatchBytes(flow.MaxText),
		kgo.MetadataMinAge(time.Second), kgo.MetadataMaxAge(time.Minute), kgo.RetryBackoffFn(backoff),
	}
	c := &o.Security
	if c.TLS {
		t, err := c.tls()
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.DialTLSConfig(t))
	}
	if c.SASL == "" {
		return opts, nil
	}
	password, err := keyfile.Password(c.PasswordFile)
	if err != nil {
		return nil, fault.New("the password of "+c.User+" cannot be read: "+err.Error(), "kafka.sasl_password_file names a file with the password in its first line")
	}
	switch c.SASL {
	case Plain:
		return append(opts, kgo.SASL(plain.Auth{User: c.User, Pass: password}.AsMechanism())), nil
	case ScramSHA256:
		return append(opts, kgo.SASL(scram.Auth{User: c.User, Pass: password}.AsSha256Mechanism())), nil
	case ScramSHA512:
		return append(opts, kgo.SASL(scram.Auth{User: c.User, Pass: password}.AsSha512Mechanism())), nil
	}
	return nil, fmt.Errorf("unknown SASL mechanism %q; there are %s, %s and %s", c.SASL, Plain, ScramSHA256, ScramSHA512)
}

func (c *Security) tls() (*tls.Config, error) {
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		var err error
		if out.RootCAs, err = keyfile.Authorities(c.CAFile); err != nil {
			return nil, fault.New("the authorities cannot be read: "+err.Error(), "kafka.tls_ca names a PEM file")
		}
	}
	if c.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, fault.New("the client's certificate cannot be read: "+err.Error(), "kafka.tls_cert and kafka.tls_key name PEM files")
		}
		out.Certificates = []tls.Certificate{cert}
	}
	return out, nil
}
