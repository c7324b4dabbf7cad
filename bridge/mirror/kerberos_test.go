package mirror_test

import (
	"path/filepath"
	"testing"

	"vitrine/bridge/hdfs"
	"vitrine/bridge/mirror"
	"vitrine/bridge/mirror/storetest"
	"vitrine/bridge/webhdfs"
	"vitrine/internal/realservers"
)

// client is the principal that the stores work as.
const client = "shop"

// securedCluster is a realm with a cluster in it, and who the stores are.
func securedCluster(t *testing.T, properties map[string]string) (*realservers.Realm, *realservers.Cluster, *hdfs.Kerberos) {
	t.Helper()
	realm, err := realservers.KDC{Dir: t.TempDir()}.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := realm.Stop(); err != nil {
			t.Error(err)
		}
	})
	keytab := filepath.Join(t.TempDir(), "shop.keytab")
	if err := realm.Keytab(t.Context(), keytab, client); err != nil {
		t.Fatal(err)
	}
	c, err := realservers.HDFS{Dir: t.TempDir(), DataNodes: 1, Realm: realm, Properties: properties}.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, c) })
	return realm, c, &hdfs.Kerberos{Principal: client + "@" + realservers.RealmName, Keytab: keytab, Config: realm.Config, Service: "nn/_HOST"}
}

// TestRealKerberosConformance holds both ways to a real HDFS with Kerberos against
// what a store promises, with each protection of data and of calls on the way.
func TestRealKerberosConformance(t *testing.T) {
	realservers.Require(t)
	for _, test := range []struct {
		name, protection string
		properties       map[string]string
	}{
		{"authentication", "authentication", nil},
		{"privacy", "privacy", map[string]string{
			"dfs.data.transfer.protection": "privacy", "hadoop.rpc.protection": "privacy", "dfs.encrypt.data.transfer.cipher.suites": "AES/CTR/NoPadding",
		}},
		{"encrypted transfer", "", map[string]string{"dfs.encrypt.data.transfer": "true", "hadoop.rpc.protection": "integrity", "dfs.encrypt.data.transfer.cipher.suites": "AES/CTR/NoPadding"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, c, who := securedCluster(t, test.properties)
			t.Run("hdfs", func(t *testing.T) {
				conforms(t, hdfs.New(hdfs.Options{
					NameNodes: []string{c.Address}, Root: "/conformance/hdfs", Kerberos: who, Protection: test.protection, Timeout: storetest.Patience,
				}))
			})
			t.Run("webhdfs", func(t *testing.T) {
				conforms(t, webhdfs.New(webhdfs.Options{
					NameNodes: []string{c.WebAddress}, Root: "/conformance/webhdfs", Authorize: hdfs.Negotiate(who), Timeout: storetest.Patience,
				}))
			})
		})
	}
}

func conforms(t *testing.T, s mirror.Store) {
	storetest.Run(t, s)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
