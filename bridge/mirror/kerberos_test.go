package mirror_test

import (
	"bytes"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vitrine/bridge/hdfs"
	"vitrine/bridge/mirror"
	"vitrine/bridge/mirror/storetest"
	"vitrine/bridge/webhdfs"
	"vitrine/internal/realservers"
)

// client is the principal that the stores work as.
const client = "shop"

// securedCluster is a realm with a cluster in it, and who the stores are.
func securedCluster(t *testing.T, properties map[string]string) (*realservers.Cluster, *hdfs.Kerberos) {
	t.Helper()
	realm := realservers.During(t, realservers.KDC{Dir: t.TempDir()}.Start)
	keytab := filepath.Join(t.TempDir(), "shop.keytab")
	if err := realm.Keytab(t.Context(), keytab, client); err != nil {
		t.Fatal(err)
	}
	c := realservers.During(t, realservers.HDFS{Dir: t.TempDir(), DataNodes: 1, Realm: realm, Properties: properties}.Start)
	return c, &hdfs.Kerberos{Principal: client + "@" + realservers.RealmName, Keytab: keytab, Config: realm.Config, Service: "nn/_HOST"}
}

// TestRealKerberosConformance holds both ways to a real HDFS with Kerberos against
// what a store promises.
func TestRealKerberosConformance(t *testing.T) {
	realservers.Require(t)
	c, who := bothConform(t, "authentication", nil)
	secure := webhdfs.Options{
		NameNodes: []string{c.TLSAddress}, TLS: true, Root: "/conformance/swebhdfs", Authorizer: hdfs.Negotiate(who, storetest.Patience), Timeout: storetest.Patience,
	}
	t.Run("swebhdfs of nobody known", func(t *testing.T) {
		_, err := webhdfs.New(secure).List(t.Context(), "")
		advised(t, err, "unknown authority", "archive.tls_ca")
	})
	t.Run("swebhdfs", func(t *testing.T) {
		secure.Authorities = authorities(t, c)
		conforms(t, webhdfs.New(secure))
	})
}

// TestRealKerberosEncryption does where calls and data are encrypted or signed.
func TestRealKerberosEncryption(t *testing.T) {
	realservers.Require(t)
	const aes = "AES/CTR/NoPadding"
	t.Run("privacy", func(t *testing.T) {
		bothConform(t, "privacy", map[string]string{
			"dfs.data.transfer.protection": "privacy", "hadoop.rpc.protection": "privacy", "dfs.encrypt.data.transfer.cipher.suites": aes,
		})
	})
	t.Run("encrypted transfer", func(t *testing.T) {
		bothConform(t, "", map[string]string{
			"dfs.encrypt.data.transfer": "true", "hadoop.rpc.protection": "integrity", "dfs.encrypt.data.transfer.cipher.suites": aes,
		})
	})
}

func bothConform(t *testing.T, protection string, properties map[string]string) (*realservers.Cluster, *hdfs.Kerberos) {
	t.Helper()
	c, who := securedCluster(t, properties)
	t.Run("hdfs", func(t *testing.T) {
		conforms(t, hdfs.New(hdfs.Options{
			NameNodes: []string{c.Address}, Root: "/conformance/hdfs", Kerberos: who, Protection: protection, Timeout: storetest.Patience,
		}))
	})
	t.Run("webhdfs", func(t *testing.T) {
		conforms(t, webhdfs.New(webhdfs.Options{
			NameNodes: []string{c.WebAddress}, Root: "/conformance/webhdfs", Authorizer: hdfs.Negotiate(who, storetest.Patience), Timeout: storetest.Patience,
		}))
	})
	return c, who
}

// authorities are those that vouch for a cluster's HTTPS.
func authorities(t *testing.T, c *realservers.Cluster) *x509.CertPool {
	t.Helper()
	pem, err := os.ReadFile(c.Authority())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return pool
}

// TestRealKerberosProtection: what the library does not understand, and what does
// not fit the cluster, is told as what it is.
func TestRealKerberosProtection(t *testing.T) {
	realservers.Require(t)
	write := func(t *testing.T, c *realservers.Cluster, who *hdfs.Kerberos, protection, err, advice string) {
		t.Helper()
		s := hdfs.New(hdfs.Options{
			NameNodes: []string{c.Address}, Root: "/protection", User: client, Kerberos: who, Protection: protection, Timeout: storetest.Patience,
		})
		defer s.Close()
		advised(t, s.Write(t.Context(), "x", bytes.NewReader(storetest.Bytes(100_000))), err, advice)
	}
	t.Run("authentication", func(t *testing.T) {
		c, who := securedCluster(t, nil)
		write(t, c, who, "", "hangs up on the first word", "archive.protection")
		write(t, c, who, "privacy", "invalid qop", "archive.protection")
		write(t, c, nil, "", "does not take users without Kerberos", "set archive.kerberos_principal")
		overHTTP := webhdfs.New(webhdfs.Options{NameNodes: []string{c.WebAddress}, User: client, Timeout: storetest.Patience})
		defer overHTTP.Close()
		_, err := overHTTP.List(t.Context(), "")
		advised(t, err, "401", "set archive.kerberos_principal")
	})
	t.Run("integrity", func(t *testing.T) {
		c, who := securedCluster(t, map[string]string{"dfs.data.transfer.protection": "integrity"})
		write(t, c, who, "authentication", "protects data by integrity", "use webhdfs://")
	})
	t.Run("privacy without aes", func(t *testing.T) {
		c, who := securedCluster(t, map[string]string{"dfs.data.transfer.protection": "privacy"})
		write(t, c, who, "privacy", "encrypts without AES", "AES/CTR/NoPadding")
	})
	t.Run("no kerberos", func(t *testing.T) {
		realm := realservers.During(t, realservers.KDC{Dir: t.TempDir()}.Start)
		keytab := filepath.Join(t.TempDir(), "keytab")
		if err := realm.Keytab(t.Context(), keytab, client, "nn/127.0.0.1"); err != nil {
			t.Fatal(err)
		}
		c := realservers.During(t, realservers.HDFS{Dir: t.TempDir(), DataNodes: 1}.Start)
		who := &hdfs.Kerberos{Principal: client + "@" + realservers.RealmName, Keytab: keytab, Config: realm.Config, Service: "nn/_HOST"}
		write(t, c, who, "authentication", "kerberos authentication not supported", "leave archive.kerberos_principal")
	})
}

// advised wants an error to say both.
func advised(t *testing.T, err error, text, advice string) {
	t.Helper()
	var told *mirror.AdviceError
	if !errors.As(err, &told) || !strings.Contains(err.Error(), text) || !strings.Contains(told.Advice, advice) {
		t.Errorf("told %v, want %q with the advice %q", err, text, advice)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		t.Errorf("%v looks as if it were about a file there", err)
	}
	if told != nil {
		t.Logf("%v\nhint: %s", err, told.Advice)
	}
}

// TestRealKerberosRefusals: whatever is wrong with who we are is told as that.
func TestRealKerberosRefusals(t *testing.T) {
	realservers.Require(t)
	realm := realservers.During(t, realservers.KDC{Dir: t.TempDir()}.Start)
	dir := t.TempDir()
	keytab := filepath.Join(dir, "shop.keytab")
	for _, p := range []string{client, "locked", "expired"} {
		if err := realm.Keytab(t.Context(), keytab, p); err != nil {
			t.Fatal(err)
		}
	}
	old := filepath.Join(dir, "old.keytab")
	if err := realm.Keytab(t.Context(), old, "renewed"); err != nil {
		t.Fatal(err)
	}
	if err := realm.Keytab(t.Context(), filepath.Join(dir, "new.keytab"), "renewed"); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"modprinc -allow_tix locked", "modprinc -expire 2020-01-01 expired"} {
		if err := realm.Admin(t.Context(), command); err != nil {
			t.Fatal(err)
		}
	}
	skewed := realservers.During(t, realservers.KDC{Dir: t.TempDir(), Ahead: 20 * time.Minute}.Start)
	other := filepath.Join(dir, "other.keytab")
	if err := skewed.Keytab(t.Context(), other, client); err != nil {
		t.Fatal(err)
	}
	away := filepath.Join(dir, "away.conf")
	if err := realm.WriteConfig(away, "127.0.0.1:1"); err != nil { // nobody is given this port
		t.Fatal(err)
	}
	const at = "@" + realservers.RealmName
	for _, test := range []struct {
		name, principal, keytab, config string
		err, advice                     string
	}{
		{"unknown principal", "nobody" + at, keytab, realm.Config, "KDC_ERR_C_PRINCIPAL_UNKNOWN", "addprinc"},
		{"locked principal", "locked" + at, keytab, realm.Config, "KDC_ERR_CLIENT_REVOKED", "getprinc locked"},
		{"expired principal", "expired" + at, keytab, realm.Config, "KDC_ERR_NAME_EXP", "getprinc expired"},
		{"keys of another time", "renewed" + at, old, realm.Config, "KDC_ERR_PREAUTH_FAILED", "ktadd -k " + old},
		{"keytab of another", client + at, old, realm.Config, "not found in keytab", "klist -e -k -t " + old},
		{"no keytab", client + at, filepath.Join(dir, "none"), realm.Config, "no such file", "archive.kerberos_keytab"},
		{"no keytab but text", client + at, realm.Config, realm.Config, "read the keytab", "archive.kerberos_keytab"},
		{"no krb5.conf", client + at, keytab, filepath.Join(dir, "none"), "no such file", "archive.kerberos_config"},
		{"another realm", client + "@NOWHERE.TEST", keytab, realm.Config, "NOWHERE.TEST", "servers of NOWHERE.TEST"},
		{"clock", client + at, other, skewed.Config, "skew", "clock"},
		{"no kdc", client + at, keytab, away, "refused", "servers of " + realservers.RealmName},
		{"no service", client + at, keytab, realm.Config, "KDC_ERR_S_PRINCIPAL_UNKNOWN", "archive.kerberos_service"},
	} {
		t.Run(test.name, func(t *testing.T) {
			who := &hdfs.Kerberos{Principal: test.principal, Keytab: test.keytab, Config: test.config, Service: "nn/_HOST"}
			overRPC := hdfs.New(hdfs.Options{NameNodes: []string{"localhost:1"}, Kerberos: who, Timeout: storetest.Patience})
			defer overRPC.Close()
			_, err := overRPC.Open(t.Context(), "x")
			advised(t, err, test.err, test.advice)
			overHTTP := webhdfs.New(webhdfs.Options{NameNodes: []string{"localhost:1"}, Authorizer: hdfs.Negotiate(who, storetest.Patience), Timeout: storetest.Patience})
			defer overHTTP.Close()
			_, err = overHTTP.Open(t.Context(), "x")
			advised(t, err, test.err, test.advice)
		})
	}
}

// TestRealHTTPFS holds a gateway before HDFS against what a store promises, without
// Kerberos and with it.
func TestRealHTTPFS(t *testing.T) {
	realservers.Require(t)
	t.Run("simple", func(t *testing.T) {
		c := realservers.During(t, realservers.HDFS{Dir: t.TempDir(), DataNodes: 1}.Start)
		gatewayConforms(t, c, webhdfs.Options{User: client})
	})
	t.Run("kerberos", func(t *testing.T) {
		c, who := securedCluster(t, nil)
		gatewayConforms(t, c, webhdfs.Options{Authorizer: hdfs.Negotiate(who, storetest.Patience)})
	})
}

func gatewayConforms(t *testing.T, c *realservers.Cluster, opt webhdfs.Options) {
	address, err := c.StartGateway(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	opt.NameNodes, opt.Root, opt.Timeout = []string{address}, "/conformance/httpfs", storetest.Patience
	conforms(t, webhdfs.New(opt))
	opt.Root = "/conformance/archive"
	followsTheArchive(t, webhdfs.New(opt))
}
