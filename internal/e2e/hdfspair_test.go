package e2e

import (
	"testing"
	"time"

	"vitrine/internal/realservers"
)

// TestRealHDFSFailover copies to a pair of NameNodes of which the standby is named
// first, by both ways. Then the active one is killed and the other takes over: the
// copy goes on there, and has every event once.
func TestRealHDFSFailover(t *testing.T) {
	realservers.Require(t)
	skipShort(t)
	c := realservers.During(t, realservers.HDFS{Dir: t.TempDir(), DataNodes: 1, Standby: true}.Start)
	copiesThroughFailover(t, c, func(daemons []*daemon) error {
		for _, d := range daemons {
			until(t, "it is told that no namenode is active", func() bool { _, _, fault := d.copyState(); return fault != "" })
		}
		return c.Failover(t.Context())
	})
}

// TestRealZooKeeperFailover is the same where ZooKeeper's controllers notice that
// the active one is dead: nobody does anything.
func TestRealZooKeeperFailover(t *testing.T) {
	realservers.Require(t)
	skipShort(t)
	c := realservers.During(t, realservers.HDFS{Dir: t.TempDir(), DataNodes: 1, Standby: true, Automatic: true}.Start)
	copiesThroughFailover(t, c, func([]*daemon) error {
		begin := time.Now()
		err := c.AwaitFailover(t.Context())
		t.Logf("the other namenode is active %.1f s after the kill", time.Since(begin).Seconds())
		return err
	})
}

// copiesThroughFailover kills the active NameNode under daemons that copy; over
// returns when the other one is active.
func copiesThroughFailover(t *testing.T, c *realservers.Cluster, over func([]*daemon) error) {
	t.Helper()
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
	}
	if err := over(daemons); err != nil {
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
