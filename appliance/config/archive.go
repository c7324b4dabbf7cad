package config

import (
	"fmt"
	"net"
	"path"
	"strings"
	"time"
)

// Archive says where the Parquet files lie, and how long the newest events wait
// for them. With a URL of HDFS they lie in the data folder, and are copied.
type Archive struct {
	URL         string
	CommitEvery time.Duration
	// Retention is how far back events are kept; 0 is for ever.
	Retention    time.Duration
	CompactEvery time.Duration
	// User, Timeout, Replication and Hostnames are for HDFS; see hdfs.Options.
	User        string
	Timeout     time.Duration
	Replication int
	Hostnames   bool
	// Principal, Keytab, KerberosConfig and Service are those of a cluster with
	// Kerberos, Protection that of data on the way.
	Principal, Keytab, KerberosConfig, Service string
	Protection                                 string
	// TLSCA is the file of the authorities of swebhdfs://.
	TLSCA string
}

func defaultArchive() Archive {
	return Archive{
		URL: "file:archive", CommitEvery: 30 * time.Second, CompactEvery: 5 * time.Minute, Timeout: 4 * time.Second,
		KerberosConfig: "/etc/krb5.conf", Service: "nn/_HOST",
	}
}

// The schemes of a place elsewhere.
const (
	SchemeHDFS     = "hdfs"
	SchemeWebHDFS  = "webhdfs"
	SchemeSWebHDFS = "swebhdfs"
)

// Place is where the archive is copied to.
type Place struct {
	Scheme string
	// Nodes are host:port of the NameNodes.
	Nodes []string
	// Path is absolute.
	Path string
}

// String is the URL.
func (p Place) String() string { return p.Scheme + "://" + strings.Join(p.Nodes, ",") + p.Path }

// Elsewhere is the place that the archive is copied to; nil with an archive on
// local disk.
func (a *Archive) Elsewhere() *Place {
	if p, err := a.place(); err == nil {
		return p
	}
	return nil
}

// place reads the URL, which net/url does not: a URL has one host.
func (a *Archive) place() (*Place, error) {
	const form = "file:FOLDER (absolute, or relative to the data folder), hdfs://HOST:PORT/PATH or webhdfs://HOST:PORT/PATH"
	if dir, ok := strings.CutPrefix(a.URL, "file:"); ok && strings.TrimPrefix(dir, "//") != "" {
		return nil, nil
	}
	scheme, rest, ok := strings.Cut(a.URL, "://")
	if !ok || !oneOf(scheme, SchemeHDFS, SchemeWebHDFS, SchemeSWebHDFS) {
		return nil, fmt.Errorf("must be %s", form)
	}
	hosts, dir, _ := strings.Cut(rest, "/")
	p := &Place{Scheme: scheme, Path: path.Clean("/" + dir)}
	if strings.ContainsAny(dir, "?#") {
		return nil, fmt.Errorf("must be %s, without parameters", form)
	}
	for node := range strings.SplitSeq(hosts, ",") {
		host, port, ok := server(strings.TrimSpace(node))
		if !ok {
			return nil, fmt.Errorf("%q: a NameNode looks like host:%s, several are separated by commas; a name service is written as its NameNodes",
				node, map[string]string{SchemeHDFS: "8020", SchemeWebHDFS: "9870", SchemeSWebHDFS: "9871"}[scheme])
		}
		p.Nodes = append(p.Nodes, net.JoinHostPort(host, port))
	}
	return p, nil
}

// ArchiveDir is the local folder of the archive: the one that Archive.URL names,
// a relative one in the data folder, or the data folder's own beside a copy
// elsewhere.
func (c *Config) ArchiveDir() string {
	dir, ok := strings.CutPrefix(c.Archive.URL, "file:")
	if !ok {
		return c.inData("archive")
	}
	return c.inData(strings.TrimPrefix(dir, "//"))
}

func (a *Archive) validate(check func(ok bool, key, format string, args ...any)) {
	place, err := a.place()
	if err != nil {
		check(false, "archive.url", "%w", err)
	}
	const most = 512
	check(a.CommitEvery >= time.Second && a.CommitEvery <= 45*time.Second, "archive.commit_every", "must be between 1s and 45s: what was acknowledged is in the archive within 60s")
	check(a.CompactEvery >= time.Second && a.CompactEvery <= 24*time.Hour, "archive.compact_every", "must be between 1s and 24h")
	check(a.Retention == 0 || a.Retention >= 24*time.Hour, "archive.retention", "must be 0, which is for ever, or at least 1d")
	check(a.Timeout >= 100*time.Millisecond && a.Timeout <= 5*time.Minute, "archive.timeout", "must be between 100ms and 5m")
	check(a.Replication >= 0 && a.Replication <= most, "archive.replication", "must be between 0 and %d", most)
	check((a.Principal == "") == (a.Keytab == ""), "archive.kerberos_keytab", "and archive.kerberos_principal go together")
	check(a.Principal == "" || strings.Contains(a.Principal, "@"), "archive.kerberos_principal", "must be NAME@REALM")
	check(a.Protection != "integrity", "archive.protection", "integrity is not possible over hdfs://: use webhdfs:// or swebhdfs:// with such a cluster")
	check(oneOf(a.Protection, "", "authentication", "integrity", "privacy"), "archive.protection", "must be authentication or privacy")
	check(a.TLSCA == "" || place != nil && place.Scheme == SchemeSWebHDFS, "archive.tls_ca", "is for an archive.url of swebhdfs://")
	check(a.Protection == "" || place != nil && place.Scheme == SchemeHDFS, "archive.protection", "is for an archive.url of hdfs://; use swebhdfs:// for encryption over HTTP")
}

// archiveKeys are the keys of [archive].
func archiveKeys() []key {
	return []key{
		text("archive.url", "Where the Parquet files lie; a relative folder lies in the data folder. With hdfs://HOST:PORT[,HOST:PORT]/PATH, webhdfs://... or swebhdfs://... (HTTPS) they lie in the data folder and are copied there, below PATH/events.", func(c *Config) *string { return &c.Archive.URL }),
		duration("archive.commit_every", "How often the newest events are committed to Parquet files.", func(c *Config) *time.Duration { return &c.Archive.CommitEvery }),
		duration("archive.retention", "How far back events are kept: dates that lie behind it are dropped whole, and training knows them no more. 0 is for ever.", func(c *Config) *time.Duration { return &c.Archive.Retention }),
		duration("archive.compact_every", "How often the archive is looked through for small files to merge, dates to drop and erased users.", func(c *Config) *time.Duration { return &c.Archive.CompactEvery }),
		text("archive.user", "User that files on HDFS belong to, without Kerberos; empty is the one that this program runs as.", func(c *Config) *string { return &c.Archive.User }),
		duration("archive.timeout", "How long HDFS may be silent in the middle of a call.", func(c *Config) *time.Duration { return &c.Archive.Timeout }),
		integer("archive.replication", "Copies that HDFS keeps of a file; 0 is the cluster's own number.", func(c *Config) *int { return &c.Archive.Replication }),
		boolean("archive.datanode_hostnames", "Reach DataNodes by their names, not by the addresses that the NameNode knows (hdfs://).", func(c *Config) *bool { return &c.Archive.Hostnames }),
		text("archive.kerberos_principal", "NAME@REALM that logs in to a cluster with Kerberos; empty is none.", func(c *Config) *string { return &c.Archive.Principal }),
		text("archive.kerberos_keytab", "File with the keys of the principal.", func(c *Config) *string { return &c.Archive.Keytab }),
		text("archive.kerberos_config", "The krb5.conf that names the realm's servers.", func(c *Config) *string { return &c.Archive.KerberosConfig }),
		text("archive.kerberos_service", "The NameNodes' principal without its realm; _HOST stands for the host (hdfs://).", func(c *Config) *string { return &c.Archive.Service }),
		text("archive.tls_ca", "PEM file of the authorities that sign the servers' certificates; empty trusts those of the system (swebhdfs://).", func(c *Config) *string { return &c.Archive.TLSCA }),
		text("archive.protection", "As dfs.data.transfer.protection of the cluster: authentication, or privacy where its DataNodes encrypt by AES; empty is none (hdfs://).", func(c *Config) *string { return &c.Archive.Protection }),
	}
}
