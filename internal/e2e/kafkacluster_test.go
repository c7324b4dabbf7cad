package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"vitrine/bridge/mirror"
	"vitrine/internal/realservers"
)

// TestRealKafkaCluster reads a topic of three brokers with two processes of one
// group, while a broker is killed and started again, and a process is killed,
// started again, stopped and started again: each record is in the archive of
// one of them, once.
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

	args := []string{"--set", "kafka.brokers=" + list, "--set", "archive.commit_every=1s"}
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
	stays.settle()
	second.settle()
	one, other := archived(t, stays.dir), archived(t, goes)
	lost, twice := 0, 0
	for i := range produced() {
		switch n := one[fmt.Sprint("u", i)] + other[fmt.Sprint("u", i)]; {
		case n == 0:
			lost++
		case n > 1:
			twice++
		}
	}
	t.Logf("three brokers, two processes: %d produced | %d in one archive | %d in the other | %d lost | %d doubled", produced(), len(one), len(other), lost, twice)
	if lost+twice > 0 || len(other) == 0 {
		t.Errorf("%d lost, %d doubled", lost, twice)
	}
	apart(t, stays.dir, goes)
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

// apart tells that no file of one archive has the name of one in the other where
// both are copied to one place: there, names end in the archive's id. The folders
// here are each one's own, and files have the positions of each one's own log.
func apart(t *testing.T, one, other string) {
	t.Helper()
	names := map[string]bool{}
	for _, dir := range []string{one, other} {
		id, err := mirror.ID(filepath.Join(dir, "archive"))
		if err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(dir, "archive", "events", "dt=*", "*.parquet"))
		if err != nil || len(files) == 0 {
			t.Fatal("no files in the archive of ", dir, err)
		}
		for _, path := range files {
			name := strings.TrimSuffix(filepath.Base(path), ".parquet") + "-" + id
			if names[name] {
				t.Errorf("both archives have a file %s", name)
			}
			names[name] = true
		}
	}
}
