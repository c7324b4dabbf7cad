package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"vitrine/internal/realservers"
)

// TestRealKafkaGaps reads topics whose offsets have gaps: transactions leave a
// mark behind their records, those that were taken back are not to be read, and
// compaction has dropped what later records replaced. Nothing is lost, doubled or
// waited for, also over a kill.
func TestRealKafkaGaps(t *testing.T) {
	realservers.Require(t)
	b := realservers.During(t, realservers.Kafka{Dir: t.TempDir()}.Start)
	cl := kafkaClient(t, b.Address, "user-events")
	left := compacted(t, b.Address)
	tx, err := kgo.NewClient(kgo.SeedBrokers(b.Address), kgo.TransactionalID("shop"), kgo.DefaultProduceTopic("user-events"))
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Close()
	transact := func(user string, n int, end kgo.TransactionEndTry) {
		t.Helper()
		if err := tx.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for range n {
			r := &kgo.Record{Key: []byte("k"), Value: []byte(`{"user_id":"` + user + `","item_id":"i1","event_type":"view"}`)}
			if err := tx.ProduceSync(t.Context(), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if err := tx.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	transact("a", 3, kgo.TryCommit)
	transact("gone", 3, kgo.TryAbort)
	transact("b", 2, kgo.TryCommit)
	transact("gone", 1, kgo.TryAbort)

	args := []string{"--set", "kafka.brokers=" + b.Address, "--set", "kafka.items_topic=items", "--set", "archive.commit_every=1s"}
	d := start(t, shortDir(t), args...)
	// The items, five events and four marks of transactions, four records that were
	// taken back; compaction goes on meanwhile.
	p := d.until("all is read, and nothing waits", func(p pipeline) bool { return p.Kafka.ends() == items+13 && p.Kafka.Lag == 0 })
	if n := p.Kafka.Accepted; n < 2+5 || n > left+5 {
		t.Errorf("%d records were taken of %d items that are left, and 5 events", n, left)
	}
	if _, _, item := d.ask("GET", "/v1/items/i1", ""); item == "" {
		t.Error("item i1 is not there")
	}
	d.kill()
	transact("gone", 2, kgo.TryAbort)
	transact("c", 1, kgo.TryCommit)
	produce(t, cl, "user-events", "k", `{"user_id":"d","item_id":"i1","event_type":"view"}`)
	d = start(t, d.dir, args...)
	d.until("what is new is read, and nothing waits", func(p pipeline) bool { return p.Kafka.Accepted == 2 && p.Kafka.Lag == 0 })
	d.settle()
	if found := archived(t, d.dir); fmt.Sprint(found) != "map[a:3 b:2 c:1 d:1]" {
		t.Errorf("the archive has %v", found)
	}
}

// items are sent to the topic of items.
const items = 6

// compacted makes a topic of items whose offsets have gaps, and returns how many
// records are left in it.
func compacted(t *testing.T, broker string) (left int64) {
	t.Helper()
	cl := kafkaClient(t, broker)
	config := map[string]*string{"cleanup.policy": new("compact"), "min.cleanable.dirty.ratio": new("0.01"), "segment.ms": new("100")}
	if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), 1, 1, config, "items"); err != nil {
		t.Fatal(err)
	}
	// Each begins a segment; all but the last one are compacted.
	for n := range items {
		produce(t, cl, "items", fmt.Sprint("i", n%2), fmt.Sprintf(`{"price":%d}`, n))
		time.Sleep(150 * time.Millisecond)
	}
	until(t, "the topic is compacted", func() bool {
		left = readAll(t, broker, "items", items)
		return left < items
	})
	return left
}

// readAll counts the records of a topic of one partition up to offset end.
func readAll(t *testing.T, broker, topic string, end int64) (n int64) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for next := int64(0); next < end; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		for r := range fetches.RecordsAll() {
			n, next = n+1, r.Offset+1
		}
	}
	return n
}
