package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"vitrine/internal/realservers"
)

// ticketLife is how long a ticket of the daemons is good for, renewLife how long it
// can be renewed, without another log in.
const ticketLife, renewLife = 5 * time.Second, 10 * time.Second

// idleConnection is how long a daemon keeps a connection to a NameNode that it does
// not use.
const idleConnection = 10 * time.Second

// secured is a realm with a cluster in it, a way to the realm's server that can go
// wrong, and the keys of the daemons.
type secured struct {
	*realservers.Cluster
	way    *realservers.Proxy
	keytab string
}

func realKerberos(t *testing.T) *secured {
	t.Helper()
	realm := realservers.During(t, realservers.KDC{Dir: t.TempDir()}.Start)
	s := &secured{way: realProxy(t, realm.Address), keytab: filepath.Join(t.TempDir(), "shop.keytab")}
	if err := realm.Keytab(t.Context(), s.keytab, "shop"); err != nil {
		t.Fatal(err)
	}
	if err := realm.Admin(t.Context(), fmt.Sprintf("modprinc -maxlife %q -maxrenewlife %q shop", ticketLife.String(), renewLife.String())); err != nil {
		t.Fatal(err)
	}
	s.Cluster = realservers.During(t, realservers.HDFS{Dir: t.TempDir(), DataNodes: 1, Realm: realm}.Start)
	return s
}

// settings are those of a daemon that copies there.
func (s *secured) settings(t *testing.T, url string, more ...string) []string {
	t.Helper()
	conf := filepath.Join(t.TempDir(), "krb5.conf")
	if err := s.Realm.WriteConfig(conf, s.way.Address); err != nil {
		t.Fatal(err)
	}
	settings := []string{
		"archive.url=" + url, "archive.kerberos_principal=shop@" + realservers.RealmName, "archive.kerberos_keytab=" + s.keytab,
		"archive.kerberos_config=" + conf, "archive.replication=1", "archive.commit_every=1s", "archive.compact_every=1s",
	}
	var args []string
	for _, setting := range append(settings, more...) {
		args = append(args, "--set", setting)
	}
	return args
}

// TestRealKerberos copies to a cluster with Kerberos, by both ways, for longer than
// a ticket is good for, while the realm is away and while it does not want us. Then
// a user is erased. The copy must be the archive, with every event once.
func TestRealKerberos(t *testing.T) {
	realservers.Require(t)
	skipShort(t)
	c := realKerberos(t)
	ways := []struct{ root, url, protection string }{
		{"/user/hdfs", "hdfs://" + c.Address, "archive.protection=authentication"},
		{"/user/webhdfs", "webhdfs://" + c.WebAddress, "archive.protection="},
	}
	var daemons []*daemon
	sent := 0
	for _, way := range ways {
		daemons = append(daemons, start(t, shortDir(t), c.settings(t, way.url+way.root, way.protection)...))
	}
	send := func() {
		t.Helper()
		sent++
		for _, d := range daemons {
			if code := d.event(sent); code != http.StatusAccepted {
				t.Fatalf("event %d gets %d", sent, code)
			}
		}
	}
	for begin := time.Now(); time.Since(begin) < 5*ticketLife; time.Sleep(500 * time.Millisecond) {
		send()
	}
	for i, d := range daemons {
		d.copied()
		t.Logf("%s: %d failures in %v with tickets for %v", ways[i].root, d.copyCounts().Failures, 5*ticketLife, ticketLife)
	}
	issued, err := c.Realm.Issued("shop")
	if err != nil {
		t.Fatal(err)
	}
	if issued < 2*len(daemons) {
		t.Errorf("only %d tickets were issued", issued)
	}
	t.Logf("%d tickets issued", issued)
	for _, f := range c.faults(t) {
		if err := f.begin(); err != nil {
			t.Fatal(f.name, err)
		}
		// A connection that was let in stays so; one that is not used is closed.
		time.Sleep(max(renewLife, idleConnection) + 2*time.Second)
		send()
		told := make([]string, len(daemons))
		for i, d := range daemons {
			until(t, f.name+" is told", func() bool { _, _, told[i] = d.copyState(); return told[i] != "" })
		}
		if err := f.end(); err != nil {
			t.Fatal(f.name, err)
		}
		for i, d := range daemons {
			took, _ := d.copied()
			t.Logf("%-10s %-24s recovery %4.1f s; told: %s", ways[i].root, f.name, took.Seconds(), told[i])
			if took > recoveryBar() {
				t.Errorf("%s: copied %v after its end, want %v", f.name, took, recoveryBar())
			}
		}
	}
	for i, d := range daemons {
		d.forgets(c.Cluster, ways[i].root)
		if d.removed() == 0 {
			t.Errorf("%s: no files were merged", ways[i].root)
		}
		d.settle()
		d.sameCopy(c.Cluster, ways[i].root)
		found := archived(t, d.dir)
		for n := 1; n <= sent; n++ {
			if user := fmt.Sprintf("probe%d", n); found[user] != 1 {
				t.Errorf("%s: event %d is there %d times", ways[i].root, n, found[user])
			}
		}
	}
}

// faults are those of the realm.
func (s *secured) faults(t *testing.T) []hdfsFault {
	admin := func(command string) error { return s.Realm.Admin(t.Context(), command) }
	var out []hdfsFault
	for _, f := range []realservers.Fault{realservers.Refused, realservers.Silent} {
		out = append(out, hdfsFault{
			name:  "realm " + f.String(),
			begin: func() error { return s.way.Set(f) }, end: func() error { return s.way.Set(realservers.None) },
		})
	}
	return append(
		out,
		hdfsFault{
			name:  "principal locked",
			begin: func() error { return admin("modprinc -allow_tix shop") }, end: func() error { return admin("modprinc +allow_tix shop") },
		},
		hdfsFault{
			name:  "keys replaced",
			begin: func() error { return s.Realm.Keytab(t.Context(), s.keytab+".new", "shop") },
			end:   func() error { return os.Rename(s.keytab+".new", s.keytab) },
		},
	)
}

// forgets erases a user, who is in no file of the copy when there is a receipt.
func (d *daemon) forgets(c *realservers.Cluster, root string) {
	d.t.Helper()
	body := `{"user_id":"` + victim + `","item_id":"i1","event_type":"view","ts":"2026-11-01T10:00:00Z"}`
	if code, text := d.send(http.MethodPost, "/v1/events", "application/json", body); code != http.StatusAccepted {
		d.t.Fatalf("%d %s", code, text)
	}
	until(d.t, "the user is on HDFS", func() bool { return len(copyHolding(d.t, c, root, victim)) > 0 })
	if code, _, text := d.ask(http.MethodDelete, "/v1/users/"+victim, ""); code != http.StatusAccepted {
		d.t.Fatalf("%d %s", code, text)
	}
	until(d.t, "there is a receipt", func() bool { return d.erasure(victim).Archive == "done" })
	if found := copyHolding(d.t, c, root, victim); len(found) > 0 {
		d.t.Errorf("on HDFS %s is still in %v", victim, found)
	}
}
