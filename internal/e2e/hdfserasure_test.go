package e2e

import (
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"vitrine/internal/realservers"
)

// TestRealHDFSErasure: when there is a receipt for a user, his id is in no file on
// HDFS, and as long as HDFS cannot be reached there is none.
func TestRealHDFSErasure(t *testing.T) {
	realservers.Require(t)
	c := realservers.During(t, realservers.HDFS{Dir: t.TempDir(), DataNodes: 1}.Start)
	proxy := realProxy(t, c.Address)
	const root = "/user/erasure"
	d := start(t, shortDir(t), "--set", "archive.url=hdfs://"+proxy.Address+root, "--set", "archive.replication=1",
		"--set", "archive.commit_every=1s", "--set", "archive.compact_every=1s")
	for _, day := range []string{"2026-11-01", "2026-11-02"} {
		body := `[{"user_id":"` + victim + `","item_id":"i1","event_type":"view","ts":"` + day + `T10:00:00Z"},{"user_id":"other","item_id":"i1","event_type":"view","ts":"` + day + `T11:00:00Z"}]`
		if code, text := d.send(http.MethodPost, "/v1/events", "application/json", body); code != http.StatusAccepted {
			t.Fatalf("%d %s", code, text)
		}
	}
	if code, _, text := d.ask(http.MethodPut, "/v1/users/"+victim, `{"attributes":{"region":"south"}}`); code >= 300 {
		t.Fatalf("%d %s", code, text)
	}
	var l list
	d.get("/v1/recommend?user_id="+victim, &l)
	until(t, "two dates, the user and the list are on HDFS", func() bool { return len(copyHolding(t, c, root, victim)) >= 4 })
	if err := proxy.Set(realservers.Refused); err != nil {
		t.Fatal(err)
	}
	if code, _, text := d.ask(http.MethodDelete, "/v1/users/"+victim, ""); code != http.StatusAccepted {
		t.Fatalf("%d %s", code, text)
	}
	until(t, "the archive here has forgotten him", func() bool { return len(holding(t, filepath.Join(d.dir, "archive", "events"), victim)) == 0 })
	for begin := time.Now(); time.Since(begin) < 3*time.Second; time.Sleep(200 * time.Millisecond) {
		if s := d.erasure(victim); s.Archive != "pending" {
			t.Fatalf("a receipt while HDFS is away: %+v", s)
		}
	}
	if err := proxy.Set(realservers.None); err != nil {
		t.Fatal(err)
	}
	until(t, "there is a receipt", func() bool { return d.erasure(victim).Archive == "done" })
	if r := d.erasure(victim).Receipt; r.Events != 2 || r.Changes != 2 || r.List_places < 1 {
		t.Errorf("receipt %+v", r)
	}
	if found := copyHolding(t, c, root, victim); len(found) > 0 {
		t.Errorf("on HDFS %s is still in %v", victim, found)
	}
	if found := copyHolding(t, c, root, "other"); len(found) < 2 {
		t.Errorf("the other's events are in %v", found)
	}
	d.stop()
	d.sameCopy(c, root)
}

// copyHolding lists the files on HDFS that hold an id.
func copyHolding(t *testing.T, c *realservers.Cluster, root, id string) []string {
	t.Helper()
	return holding(t, download(t, c, root), id)
}
