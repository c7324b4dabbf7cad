package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"vitrine/bridge/parquet"
	"vitrine/internal/realservers"
)

// fakeKafka is a broker in this process.
func fakeKafka(t *testing.T) string {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.DefaultNumPartitions(8))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c.ListenAddrs()[0]
}

// kafkaClient is a client of the test's own.
func kafkaClient(t *testing.T, broker string, topics ...string) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(broker, ",")...), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.ProducerBatchMaxBytes(30<<20), kgo.MaxProduceRequestsInflightPerBroker(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	for _, topic := range topics {
		if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), 8, -1, nil, topic); err != nil {
			t.Fatal(err)
		}
	}
	return cl
}

// directClient reaches a broker past the address that it gives of itself, and
// makes the topic.
func directClient(t *testing.T, b *realservers.Broker) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Address), kgo.Dialer(func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, b.Address)
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), 8, 1, nil, "user-events"); err != nil {
		t.Fatal(err)
	}
	return cl
}

func produce(t *testing.T, cl *kgo.Client, topic, key string, values ...string) {
	t.Helper()
	for _, value := range values {
		r := &kgo.Record{Topic: topic, Key: []byte(key)}
		if value != "" {
			r.Value = []byte(value)
		}
		if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// pipeline is what the admin API says of the topics.
type pipeline struct{ Kafka topics }

type topics struct {
	Connected                          bool
	Error, Hint                        string
	Lag, Accepted, Duplicate, Rejected int64
	Partitions                         []struct {
		Topic         string
		Position, End int64
	}
}

// ends is the sum of the ends of the partitions.
func (k *topics) ends() (sum int64) {
	for _, p := range k.Partitions {
		sum += p.End
	}
	return sum
}

func (d *daemon) pipeline() (p pipeline) {
	d.t.Helper()
	_, _, body := d.ask("GET", "/v1/pipeline", "")
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		d.t.Fatalf("%v\n%s", err, body)
	}
	return p
}

// until asks until ok holds.
func (d *daemon) until(what string, ok func(pipeline) bool) pipeline {
	d.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		p := d.pipeline()
		if ok(p) {
			return p
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("not within %s: %s\n%+v\n%s", patience, what, p, d.err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestKafka(t *testing.T) {
	skipShort(t)
	t.Parallel()
	kafkaIsRead(t, fakeKafka(t))
}

func TestRealKafka(t *testing.T) {
	realservers.Require(t)
	for _, version := range []string{realservers.KafkaArticle, realservers.KafkaNewest} {
		t.Run(version, func(t *testing.T) {
			kafkaIsRead(t, realservers.During(t, realservers.Kafka{Dir: t.TempDir(), Version: version}.Start).Address)
		})
	}
}

// kafkaIsRead is the way of an event from a broker into an answer.
func kafkaIsRead(t *testing.T, broker string) {
	d := start(t, t.TempDir(), "--set", "kafka.brokers="+broker, "--set", "kafka.items_topic=items", "--set", "archive.commit_every=1s")
	d.until("the missing topic is named", func(p pipeline) bool {
		return strings.Contains(p.Kafka.Error, "topic items does not exist") && strings.Contains(p.Kafka.Hint, "kafka-topics.sh --create --topic items")
	})
	cl := kafkaClient(t, broker, "items", "user-events")
	produce(t, cl, "items", "i1", `{"category":"books","price":9.5}`)
	produce(t, cl, "items", "i2", `{"attributes":{"category":"books"}}`, "")
	produce(t, cl, "user-events", "u1",
		`{"user_id":"u1","item_id":"i1","event_type":"view"}`, `{"user_id":"u1","item_id":"i3","event_type":"purchase","event_id":"e1"}`,
		`{"user_id":"u1","item_id":"i3","event_type":"purchase","event_id":"e1"}`, `{"user_id":"u1"}`, `nonsense`)
	produce(t, cl, "user-events", "u2", `{"user_id":"u2","item_id":"i4","event_type":"view"}`)
	p := d.until("all is read", func(p pipeline) bool {
		k := p.Kafka
		return k.Accepted == 6 && k.Rejected == 2 && k.Lag == 0 && k.Connected && len(k.Partitions) == 16
	})
	if p.Kafka.Duplicate != 1 {
		t.Errorf("%+v", p.Kafka)
	}
	var answer struct{ Recommendations []string }
	d.get("/recommend?user_id=u2", &answer)
	if got := strings.Join(answer.Recommendations, ","); !strings.Contains(got, "i3") || strings.Contains(got, "i2") {
		t.Errorf("recommended to u2: %s, want i3, which was bought, and not i2, which was taken out", got)
	}
	_, _, history := d.ask("GET", "/v1/users/u1/history", "")
	if !strings.Contains(history, `"i3"`) || !strings.Contains(history, `"i1"`) {
		t.Errorf("history of u1: %s", history)
	}
	_, _, item := d.ask("GET", "/v1/items/i1", "")
	if !strings.Contains(item, `"price":9.5`) {
		t.Errorf("item i1: %s", item)
	}
	_, _, letters := d.ask("GET", "/v1/deadletters", "")
	if strings.Count(letters, `"source":"user-events"`) != 2 || !strings.Contains(letters, `"missing_item_id"`) || !strings.Contains(letters, `"offset":`) {
		t.Errorf("dead letters: %s", letters)
	}
	if list := vitrine(t, "deadletters", "list", "--data", d.dir).must(t).out; !regexp.MustCompile(`user-events +\d:4 +invalid_json`).MatchString(list) {
		t.Errorf("deadletters list prints\n%s", list)
	}
	_, _, metrics := d.ask("GET", "/metrics", "")
	if !strings.Contains(metrics, `vitrine_kafka_lag{partition="7",topic="user-events"} 0`) {
		t.Error("no lag of partition 7 in the metrics")
	}
	d.stop()
	again := start(t, d.dir, "--set", "kafka.brokers="+broker, "--set", "kafka.items_topic=items", "--set", "archive.commit_every=1s")
	produce(t, cl, "user-events", "u2", `{"user_id":"u2","item_id":"i5","event_type":"view"}`)
	again.until("the event after the restart is read", func(p pipeline) bool { return p.Kafka.Accepted == 1 })
	again.settle()
	if n := len(archivedEvents(t, d.dir)); n != 4 {
		t.Errorf("%d events in the archive, want 4", n)
	}
}

// archivedEvents are the events in the archive, duplicates by event_id left
// out, as user, item and source.
func archivedEvents(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	scanArchive(t, dir, parquet.UserID|parquet.ItemID, func(b *parquet.EventBatch) {
		for i := range b.Len {
			out = append(out, b.UserID.At(i)+" "+b.ItemID.At(i))
		}
	})
	return out
}

func TestKafkaKill(t *testing.T) {
	skipShort(t)
	t.Parallel()
	kafkaKill(t, fakeKafka(t), 2, 100*time.Millisecond)
}

// kafkaKill kills the daemon at random times while records without any
// event_id come in, 500 and then a pause. In the end the archive must hold what was produced, each
// record once.
func kafkaKill(t *testing.T, broker string, kills int, pause time.Duration) {
	cl := kafkaClient(t, broker, "user-events")
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	produced := 0
	wg.Go(func() {
		for ctx.Err() == nil {
			batch := make([]*kgo.Record, 500)
			for i := range batch {
				user := fmt.Sprintf("u%d", produced+i)
				batch[i] = &kgo.Record{Topic: "user-events", Key: []byte(user), Value: []byte(`{"user_id":"` + user + `","item_id":"i` + strconv.Itoa(i) + `","event_type":"view"}`)}
			}
			if err := cl.ProduceSync(t.Context(), batch...).FirstErr(); err != nil {
				t.Error(err)
				return
			}
			produced += len(batch)
			time.Sleep(pause)
		}
	})
	dir := t.TempDir()
	args := []string{"--set", "kafka.brokers=" + broker, "--set", "archive.commit_every=1s"}
	random := rand.New(rand.NewPCG(7, 7))
	for range kills {
		d := start(t, dir, args...)
		d.until("records come in", func(p pipeline) bool { return p.Kafka.Accepted > 0 })
		time.Sleep(time.Duration(random.Int64N(int64(2 * time.Second))))
		d.kill()
	}
	d := start(t, dir, args...)
	d.until("records come in", func(p pipeline) bool { return p.Kafka.Accepted > 0 })
	stop()
	wg.Wait()
	d.until("all is read", func(p pipeline) bool {
		end := int64(0)
		for _, partition := range p.Kafka.Partitions {
			end += partition.Position
		}
		return p.Kafka.Connected && len(p.Kafka.Partitions) == 8 && end == int64(produced)
	})
	d.settle()
	found := archived(t, dir)
	lost, doubled := 0, 0
	for i := range produced {
		switch n := found["u"+strconv.Itoa(i)]; {
		case n == 0:
			lost++
		case n > 1:
			doubled++
		}
	}
	t.Logf("%d kills: %d produced, %d in the archive; %d lost, %d doubled", kills, produced, len(found), lost, doubled)
	if lost+doubled > 0 || len(found) != produced {
		t.Errorf("%d lost, %d doubled", lost, doubled)
	}
}
