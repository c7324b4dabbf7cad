package realservers

import "testing"

// TestRealFetch brings everything that the servers need into the cache, so that
// no later test waits for a network. make test-real-short takes its failure as
// that the machine has none.
func TestRealFetch(t *testing.T) {
	Require(t)
	for _, p := range []struct{ name, pkg string }{
		{"java", "default-jre-headless"}, {"openssl", "openssl"}, {"redis-server", "redis-server"}, {"kinit", "krb5-user"},
	} {
		if _, err := program(p.name, p.pkg); err != nil {
			t.Error(err)
		}
	}
	for _, p := range []struct{ name, pkg string }{{"krb5kdc", "krb5-kdc"}, {"kadmin.local", "krb5-admin-server"}} {
		if _, err := systemProgram(p.name, p.pkg); err != nil {
			t.Error(err)
		}
	}
	if _, err := fakeTime(); err != nil {
		t.Error(err)
	}
	for _, version := range []string{KafkaArticle, KafkaNewest} {
		if _, err := (Kafka{Version: version}).jars(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if _, err := hadoopJars(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := httpfsJars(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := natsProgram(t.Context()); err != nil {
		t.Error(err)
	}
}
