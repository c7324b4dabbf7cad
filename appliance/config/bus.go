package config

import (
	"net/url"
	"strings"

	"vitrine/bridge/jetstream"
)

// EmbeddedBus is the Bus.URL of the log within the process.
const EmbeddedBus = "embedded"

// Bus configures the durable log.
type Bus struct {
	// URL is EmbeddedBus, or the servers of a NATS cluster.
	URL      string
	MaxBytes int64
	// MinFree is what of the disk is left free.
	MinFree int64
	// Stream, Replicas and the rest count for a cluster.
	Stream                 string
	Replicas               int
	TLSCA, TLSCert, TLSKey string
	CredentialsFile        string
	User, PasswordFile     string
}

func defaultBus() Bus {
	return Bus{URL: EmbeddedBus, MaxBytes: 8 << 30, MinFree: jetstream.DefaultMinFree, Stream: jetstream.DefaultStream, Replicas: 3}
}

// Servers are the URLs of the cluster; none for the embedded log. The scheme may
// be left out of all but the first.
func (b *Bus) Servers() []string {
	if b.URL == EmbeddedBus {
		return nil
	}
	scheme := "nats"
	var out []string
	for _, server := range splitList(b.URL) {
		if s, _, ok := strings.Cut(server, "://"); ok {
			scheme = s
		} else {
			server = scheme + "://" + server
		}
		out = append(out, server)
	}
	return out
}

// Cluster are the options of the cluster, with what the configuration knows.
func (b *Bus) Cluster(aside jetstream.Options) jetstream.ClusterOptions {
	return jetstream.ClusterOptions{
		URLs: b.Servers(), Stream: b.Stream, Replicas: b.Replicas, MaxBytes: b.MaxBytes, After: aside.After, Aside: aside, Log: aside.Log,
		Security: jetstream.Security{
			CAFile: b.TLSCA, CertFile: b.TLSCert, KeyFile: b.TLSKey, CredentialsFile: b.CredentialsFile, User: b.User, PasswordFile: b.PasswordFile,
		},
	}
}

func (b *Bus) validate(check func(ok bool, key, format string, args ...any)) {
	check(b.MaxBytes >= 64<<20, "bus.max_bytes", "must be at least 64MiB")
	check(b.MinFree >= 16<<20, "bus.min_free", "must be at least 16MiB: the largest frame, and a commit of the archive")
	servers := b.Servers()
	check(b.URL == EmbeddedBus || len(servers) > 0, "bus.url", `must be "embedded", or nats://HOST:4222,HOST:4222`)
	for _, server := range servers {
		u, err := url.Parse(server)
		check(err == nil && oneOf(u.Scheme, "nats", "tls") && u.Hostname() != "" && u.User == nil && strings.Trim(u.Path, "/") == "", "bus.url",
			`%q: must be "embedded", or servers as nats://HOST:4222 or tls://HOST:4222; who logs in is said by bus.user or bus.credentials_file`, server)
	}
	check(b.Stream != "" && len(b.Stream) <= 64 && !strings.ContainsAny(b.Stream, " .*>/\\\t\r\n"), "bus.stream", "must be a name of a stream: up to 64 bytes without blanks, dots, *, > and slashes")
	check(b.Replicas >= 1 && b.Replicas <= 5, "bus.replicas", "must be between 1 and 5")
	check((b.TLSCert == "") == (b.TLSKey == ""), "bus.tls_key", "and bus.tls_cert go together")
	check(b.User == "" || b.CredentialsFile == "", "bus.user", "bus.credentials_file says already who logs in")
	check((b.User == "") == (b.PasswordFile == ""), "bus.password_file", "and bus.user go together")
}

// busKeys are the keys of [bus].
func busKeys() []key {
	keys := []key{
		text("bus.url", `"embedded" keeps the log in the data folder; nats://HOST:4222,HOST:4222 (or tls://) in a NATS cluster. While that is away, events are kept in the data folder and brought over later.`, func(c *Config) *string { return &c.Bus.URL }),
		size("bus.max_bytes", "Bound of the log between ingest and archive, and of what is kept aside of a cluster; a full log refuses with 503.", func(c *Config) *int64 { return &c.Bus.MaxBytes }),
		size("bus.min_free", "What of the data folder's disk is left free: with less, events are refused with 503 until a quarter more is free again. Answers go on.", func(c *Config) *int64 { return &c.Bus.MinFree }),
		text("bus.stream", "Name of the stream in the cluster; one data folder has it for itself.", func(c *Config) *string { return &c.Bus.Stream }),
		integer("bus.replicas", "Servers of the cluster that keep each event.", func(c *Config) *int { return &c.Bus.Replicas }),
	}
	for _, k := range []struct {
		name, doc string
		at        func(*Bus) *string
	}{
		{"tls_ca", "PEM file of the authorities that sign the servers' certificates; empty trusts those of the system.", func(b *Bus) *string { return &b.TLSCA }},
		{"tls_cert", "PEM file of the client's certificate, where the servers ask for one.", func(b *Bus) *string { return &b.TLSCert }},
		{"tls_key", "PEM file of its private key.", func(b *Bus) *string { return &b.TLSKey }},
		{"credentials_file", "A .creds file that logs in to the cluster.", func(b *Bus) *string { return &b.CredentialsFile }},
		{"user", "User that logs in to the cluster.", func(b *Bus) *string { return &b.User }},
		{"password_file", "File with the password in its first line.", func(b *Bus) *string { return &b.PasswordFile }},
	} {
		keys = append(keys, text("bus."+k.name, k.doc, func(c *Config) *string { return k.at(&c.Bus) }))
	}
	return keys
}
