package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"vitrine/internal/realservers"
)

// TestRealKafkaCluster reads a topic of three brokers with two processes of one
// group, which copy to one place on HDFS, while a broker is killed and started
// again, and a process is killed, started again, stopped and started again: each
// record is in the archive of one of them, once, and in that place once.
func TestRealKafkaCluster(t *testing.T) {
	realservers.Require(t)
	brokers, err := realservers.Kafka{Dir: t.TempDir()}.StartCluster(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	var addresses []string
	for _, b := range brokers {
		addresses = append(addresses, b.Address)
		t.Cleanup(func() {
			if err := b.Stop(); err != nil {
				t.Error(err)
			}
		})
	}
	list := strings.Join(addresses, ",")
	cl := kafkaClient(t, list, "user-events")
	stop, produced := stream(t, cl)
	defer stop()

	const root = "/user/two"
	c := realservers.During(t, realservers.HDFS{Dir: t.TempDir(), DataNodes: 1}.Start)
	args := []string{
		"--set", "kafka.brokers=" + list, "--set", "archive.commit_every=1s",
		"--set", "archive.url=hdfs://" + c.Address + root, "--set", "archive.replication=1",
	}
	stays, goes := start(t, t.TempDir(), args...), t.TempDir()
	stays.until("the first reads all", func(p pipeline) bool { return len(p.Kafka.Partitions) == 8 && p.Kafka.Accepted > 0 })
	share := func(d *daemon) {
		d.until("half of the partitions are its own", func(p pipeline) bool { return len(p.Kafka.Partitions) == 4 && p.Kafka.Accepted > 0 })
	}
	second := start(t, goes, args...)
	share(second)

	began := time.Now()
	if err := brokers[1].Kill(); err != nil {
		t.Fatal(err)
	}
	at := stays.pipeline().Kafka.Accepted
	stays.until("reading goes on without the broker", func(p pipeline) bool { return p.Kafka.Accepted > at+1000 })
	t.Logf("%.1f s after a broker was killed 1,000 more records are read", time.Since(began).Seconds())
	// In the middle of it. Had it been away for longer than its session, the
	// other would have read again what it had not told the group.
	second.kill()
	second = start(t, goes, args...)
	share(second)
	if err := brokers[1].Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	second.stop()
	stays.until("the first has all again", func(p pipeline) bool { return len(p.Kafka.Partitions) == 8 })
	second = start(t, goes, args...)
	share(second)

	stop()
	deadline := time.Now().Add(patience)
	for {
		a, b := stays.pipeline().Kafka, second.pipeline().Kafka
		if len(a.Partitions)+len(b.Partitions) == 8 && a.ends()+b.ends() == produced() && a.Lag+b.Lag == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("not all is read: %+v %+v, produced %d", a, b, produced())
		}
		time.Sleep(100 * time.Millisecond)
	}
	for _, d := range []*daemon{stays, second} {
		d.settled()
		d.copied()
		d.stop()
	}
	one, other := archived(t, stays.dir), archived(t, goes)
	if len(one) == 0 || len(other) == 0 {
		t.Errorf("%d users in one archive, %d in the other", len(one), len(other))
	}
	// In one place, files of two logs that begin at the same position would
	// have one name, but for the archive's id in it.
	copied := archived(t, download(t, c, root))
	for _, found := range []struct {
		where string
		rows  func(user string) int
	}{
		{"the archives", func(user string) int { return one[user] + other[user] }},
		{"HDFS", func(user string) int { return copied[user] }},
	} {
		lost, twice := 0, 0
		for i := range produced() {
			switch n := found.rows(fmt.Sprint("u", i)); {
			case n == 0:
				lost++
			case n > 1:
				twice++
			}
		}
		t.Logf("three brokers, two processes: %d produced | %d and %d in the archives | in %s: %d lost | %d doubled", produced(), len(one), len(other), found.where, lost, twice)
		if lost+twice > 0 {
			t.Errorf("%s: %d lost, %d doubled", found.where, lost, twice)
		}
	}
}

// download brings a copy on HDFS into the archive of a data folder.
func download(t *testing.T, c *realservers.Cluster, root string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, data := range copyFiles(t, c, root) {
		at := filepath.Join(dir, "archive", filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// stream produces records, each of a user of its own, until it is stopped.
func stream(t *testing.T, cl *kgo.Client) (stop func(), produced func() int64) {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	n := int64(0)
	wg.Go(func() {
		for ctx.Err() == nil {
			batch := make([]*kgo.Record, 200)
			for i := range batch {
				user := fmt.Sprint("u", n+int64(i))
				batch[i] = &kgo.Record{Topic: "user-events", Key: []byte(user), Value: []byte(`{"user_id":"` + user + `","item_id":"i","event_type":"view"}`)}
			}
			if err := cl.ProduceSync(context.Background(), batch...).FirstErr(); err != nil {
				t.Error(err)
				return
			}
			n += int64(len(batch))
			time.Sleep(5 * time.Millisecond)
		}
	})
	return func() { end(); wg.Wait() }, func() int64 { return n }
}
