package e2e

import (
	"testing"

	"vitrine/internal/realservers"
)

// TestRealHDFSFailover copies to a pair of NameNodes of which the standby is named
// first, by both ways. Then the active one is killed and the other takes over: the
// copy goes on there, and has every event once.
func TestRealHDFSFailover(t *testing.T) {
	realservers.Require(t)
	skipShort(t)
	c := realHDFS(t, realservers.HDFS{DataNodes: 1, Standby: true})
	var daemons []*daemon
	roots := []string{"/user/hdfs", "/user/webhdfs"}
	for i, url := range []string{
		"hdfs://" + c.StandbyAddress + "," + c.Address, "webhdfs://" + c.StandbyWebAddress + "," + c.WebAddress,
	} {
		d := start(t, shortDir(t), "--set", "archive.url="+url+roots[i], "--set", "archive.replication=1", "--set", "archive.commit_every=1s")
		if code := d.event(1); code != 202 {
			t.Fatalf("an event gets %d", code)
		}
		until(t, "the first event is in the archive", func() bool { position, _, _ := d.copyState(); return position >= 1 })
		d.copied()
		daemons = append(daemons, d)
	}
	if err := c.NameNode.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, d := range daemons {
		if code := d.event(2); code != 202 {
			t.Errorf("without an active namenode an event gets %d", code)
		}
		until(t, "it is told that no namenode is active", func() bool { _, _, fault := d.copyState(); return fault != "" })
	}
	if err := c.Failover(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, d := range daemons {
		if code := d.event(3); code != 202 {
			t.Errorf("an event gets %d", code)
		}
		took, last := d.copied()
		t.Logf("%s: copied %.1f s after the other was made active; told: %s", roots[i], took.Seconds(), last)
		d.settle()
		d.sameCopy(c, roots[i])
		if found := archived(t, d.dir); found["probe1"] != 1 || found["probe2"] != 1 || found["probe3"] != 1 {
			t.Errorf("the archive has %v", found)
		}
	}
}
