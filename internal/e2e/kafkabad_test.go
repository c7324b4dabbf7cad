package e2e

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"vitrine/internal/realservers"
)

// TestRealKafkaBadInput sends what no shop should: records of 20 MB, compression
// bombs, records without a value; then drops records before they are read, and
// deletes the topic and creates it again. What is sound is in the archive once,
// what is not is a dead letter, and what is gone is told.
func TestRealKafkaBadInput(t *testing.T) {
	realservers.Require(t)
	b := realservers.During(t, realservers.Kafka{Dir: t.TempDir(), MaxMessage: 64 << 20}.Start)
	cl := kafkaClient(t, b.Address, "user-events")
	admin := kadm.NewClient(cl)
	args := []string{"--set", "kafka.brokers=" + b.Address, "--set", "archive.commit_every=1s"}
	d := start(t, shortDir(t), args...)
	event := func(user string) string { return `{"user_id":"` + user + `","item_id":"i","event_type":"view"}` }
	huge := make([]byte, 20<<20)
	_, _ = rand.Read(huge) // never fails; else it would be compressed away

	produce(t, cl, "user-events", "k", event("a"), string(huge), "", `{"user_id":`, `{"user_id":"x","item_id":"i","event_type":"view","ts":"yesterday"}`)
	bomb, err := kgo.NewClient(kgo.SeedBrokers(b.Address), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.ProducerBatchMaxBytes(100<<20),
		kgo.BrokerMaxWriteBytes(200<<20), kgo.ProducerBatchCompression(kgo.ZstdCompression()))
	if err != nil {
		t.Fatal(err)
	}
	defer bomb.Close()
	produce(t, bomb, "user-events", "k", string(make([]byte, 90<<20)))
	produce(t, cl, "user-events", "k", event("b"))
	d.until("what is sound is read", func(p pipeline) bool { return p.Kafka.Accepted == 2 && p.Kafka.Rejected == 5 })
	if codes := d.letterCodes("user-events"); fmt.Sprint(codes) != "map[invalid_json:2 invalid_ts:1 too_large:2]" {
		t.Errorf("dead letters %v", codes)
	}
	d.stop()

	var last kadm.Offset
	for _, user := range []string{"gone", "gone", "c"} {
		r, err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "user-events", Key: []byte("k"), Value: []byte(event(user))}).First()
		if err != nil {
			t.Fatal(err)
		}
		last = kadm.Offset{Topic: r.Topic, Partition: r.Partition, At: r.Offset, LeaderEpoch: -1}
	}
	var drop kadm.Offsets
	drop.Add(last)
	if _, err := admin.DeleteRecords(t.Context(), drop); err != nil {
		t.Fatal(err)
	}
	d = start(t, d.dir, args...)
	d.until("what is left is read", func(p pipeline) bool { return p.Kafka.Accepted == 1 })
	d.says("dropped records before they were read")

	if _, err := admin.DeleteTopics(t.Context(), "user-events"); err != nil {
		t.Fatal(err)
	}
	until(t, "the topic can be created again", func() bool {
		_, err := admin.CreateTopic(t.Context(), 8, 1, nil, "user-events")
		return err == nil
	})
	cl.PurgeTopicsFromClient("user-events")
	produce(t, cl, "user-events", "k", event("d"))
	d.until("the new topic is read", func(p pipeline) bool { return p.Kafka.Accepted == 2 })
	d.says("was deleted and created again")
	d.settle()
	if found := archived(t, d.dir); fmt.Sprint(found) != "map[a:1 b:1 c:1 d:1]" {
		t.Errorf("the archive has %v", found)
	}
}

// TestRealKafkaRot flips a byte in the middle of a partition, as a disk does: what came
// before it is read, and behind the command of the hint what comes behind it.
func TestRealKafkaRot(t *testing.T) {
	realservers.Require(t)
	dir := t.TempDir()
	b := realservers.During(t, realservers.Kafka{Dir: dir, Version: realservers.KafkaArticle}.Start) // which has its tools beside it
	cl := kafkaClient(t, b.Address)
	if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), 1, 1, nil, "user-events"); err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"before", "rotten", "behind"} { // a batch each
		produce(t, cl, "user-events", "k", `{"user_id":"`+user+`","item_id":"i","event_type":"view"}`)
	}
	if err := b.Stop(); err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(dir, "data", "user-events-0", "*.log"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	segment, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	segment[bytes.Index(segment, []byte("rotten"))] ^= 1
	if err := errors.Join(os.WriteFile(found[0], segment, 0o600), b.Restart(t.Context())); err != nil {
		t.Fatal(err)
	}
	d := start(t, shortDir(t), "--set", "kafka.brokers="+b.Address)
	hint := ""
	d.until("the fault is told", func(p pipeline) bool {
		hint = p.Kafka.Hint
		return p.Kafka.Accepted == 1 && strings.Contains(p.Kafka.Error, "read the batch of offsets 1 to 1: its checksum is")
	})
	_, skip, _ := strings.Cut(hint, "echo '")
	skip, _, _ = strings.Cut(skip, "' >skip.json and kafka-delete-records.sh --bootstrap-server "+b.Address+" --offset-json-file skip.json")
	file := filepath.Join(t.TempDir(), "skip.json")
	if err := os.WriteFile(file, []byte(skip), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := b.Run(t.Context(), "kafka.admin.DeleteRecordsCommand", "--bootstrap-server", b.Address, "--offset-json-file", file); err != nil {
		t.Fatalf("%s: %v\n%s", hint, err, out)
	}
	d.until("what is behind it is read", func(p pipeline) bool { return p.Kafka.Accepted == 2 && p.Kafka.Error == "" })
	d.says("dropped records before they were read")
}

// TestRealKafkaExpired: a broker whose certificate has expired is named as such.
func TestRealKafkaExpired(t *testing.T) {
	realservers.Require(t)
	b := realservers.During(t, realservers.Kafka{Dir: t.TempDir(), Secure: true, Expired: true}.Start)
	d := start(t, shortDir(t), "--set", "kafka.brokers="+b.SecureAddress, "--set", "kafka.tls=true", "--set", "kafka.tls_ca="+b.CA)
	d.until("the fault is told", func(p pipeline) bool {
		return strings.Contains(p.Kafka.Error, "the certificate of "+b.SecureAddress+" has expired") && strings.Contains(p.Kafka.Hint, "renew the brokers' certificate")
	})
	d.stop()
}
