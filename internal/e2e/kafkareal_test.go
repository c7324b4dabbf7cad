package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"vitrine/bridge"
	"vitrine/bridge/deadletter"
	"vitrine/bridge/jetstream"
	"vitrine/bridge/kafka"
	"vitrine/internal/realservers"
)

// TestRealKafkaSecure logs in over TLS by each mechanism, and with a password
// that is wrong.
func TestRealKafkaSecure(t *testing.T) {
	realservers.Require(t)
	b := realKafka(t, realservers.Kafka{Secure: true})
	cl := kafkaClient(t, b.Address, "user-events")
	produce(t, cl, "user-events", "u", `{"user_id":"u","item_id":"i","event_type":"view"}`)
	password := filepath.Join(t.TempDir(), "password")
	for _, test := range []struct{ mechanism, password, fault string }{
		{kafka.ScramSHA512, realservers.Password, ""},
		{kafka.ScramSHA256, realservers.Password, ""},
		{kafka.Plain, realservers.Password, ""},
		{kafka.ScramSHA512, "wrong", `refuse user "` + realservers.User + `"`},
	} {
		if err := os.WriteFile(password, []byte(test.password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		d := start(t, t.TempDir(), "--set", "kafka.brokers="+b.SecureAddress, "--set", "kafka.group="+test.mechanism, "--set", "kafka.tls=true", "--set", "kafka.tls_ca="+b.CA,
			"--set", "kafka.sasl="+test.mechanism, "--set", "kafka.sasl_user="+realservers.User, "--set", "kafka.sasl_password_file="+password)
		p := d.until("the record or the fault", func(p pipeline) bool { return p.Kafka.Accepted == 1 || p.Kafka.Error != "" })
		if !strings.Contains(p.Kafka.Error, test.fault) || (test.fault == "") != (p.Kafka.Error == "") {
			t.Errorf("%s with password %s: %+v", test.mechanism, test.password, p.Kafka)
		}
		d.stop()
	}
}

// TestRealKafkaAway kills and silences the broker under a daemon that reads:
// lists and events by HTTP go on, and nothing is lost or doubled.
func TestRealKafkaAway(t *testing.T) {
	realservers.Require(t)
	b := realKafka(t, realservers.Kafka{})
	cl := kafkaClient(t, b.Address, "user-events")
	d := start(t, t.TempDir(), "--set", "kafka.brokers="+b.Address, "--set", "archive.commit_every=1s")
	n := 0
	more := func() {
		n++
		produce(t, cl, "user-events", "u", fmt.Sprintf(`{"user_id":"k%d","item_id":"i","event_type":"view"}`, n))
	}
	works := func(what string) {
		t.Helper()
		for range 20 {
			began := time.Now()
			var l list
			d.get("/v1/recommend?user_id=k1", &l)
			if took := time.Since(began); took > time.Second {
				t.Errorf("%s: a list took %s", what, took)
			}
			if code, answer := d.send(http.MethodPost, "/v1/events", "application/json", `{"user_id":"h","item_id":"i","event_type":"view"}`); code != http.StatusAccepted {
				t.Fatalf("%s: an event gets %d %s", what, code, answer)
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	more()
	d.until("the first record", func(p pipeline) bool { return p.Kafka.Accepted == 1 })
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	works("killed")
	if err := b.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	more()
	began := time.Now()
	d.until("the record after the restart", func(p pipeline) bool { return p.Kafka.Accepted >= 2 })
	t.Logf("after the broker's restart a record is read within %.1f s", time.Since(began).Seconds())
	if err := b.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	works("silent")
	if err := b.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	more()
	began = time.Now()
	d.until("the record after the silence", func(p pipeline) bool { return p.Kafka.Accepted >= 3 })
	t.Logf("after the broker's silence a record is read within %.1f s", time.Since(began).Seconds())
	d.stop()
	found := archived(t, d.dir)
	for i := 1; i <= n; i++ {
		if got := found[fmt.Sprintf("k%d", i)]; got != 1 {
			t.Errorf("record %d is %d times in the archive", i, got)
		}
	}
	if found["h"] != 40 {
		t.Errorf("%d events by HTTP in the archive, want 40", found["h"])
	}
}

// TestRealKafkaSpeed reads records of 200 bytes from a broker in a process of
// its own: by the client alone, and through decoding, validation and the
// durable log.
func TestRealKafkaSpeed(t *testing.T) {
	realservers.Require(t)
	const records = 1_000_000
	b := realKafka(t, realservers.Kafka{})
	cl := kafkaClient(t, b.Address, "user-events")
	for from := 0; from < records; from += 10_000 {
		batch := make([]*kgo.Record, 10_000)
		for i := range batch {
			n := from + i
			user := fmt.Sprintf("user-%06d", n*7%100_000)
			batch[i] = &kgo.Record{Topic: "user-events", Key: []byte(user), Value: fmt.Appendf(nil,
				`{"user_id":%q,"item_id":"item-%05d","event_type":"view","ts":%d,"event_id":"e-%012d","session_id":"s-%08d","scene":"home","position":%d,"price":19.5,"currency":"EUR"}`,
				user, n*13%20_000, 1760000000000+n, n, n/5, n%20)}
		}
		if err := cl.ProduceSync(t.Context(), batch...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for round := range 3 {
		alone := consume(t, b.Address, fmt.Sprintf("alone-%d", round), records)
		whole := bridged(t, b.Address, fmt.Sprintf("whole-%d", round), records)
		t.Logf("client alone %.0f records/s, %.2f us CPU each; into the durable log %.0f records/s, %.2f us CPU each: %.0f %% of the client's rate",
			alone.rate, alone.cpu, whole.rate, whole.cpu, 100*whole.rate/alone.rate)
	}
}

// cost is that of reading: records a second from the first that came, so without
// the time to join a group, and microseconds of this process's CPU each.
type cost struct{ rate, cpu float64 }

// costOf asks how many records have come, until it is all.
func costOf(records int, come func() int) cost {
	cpu := func() float64 {
		var u syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
		return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
	}
	first := come()
	for ; first == 0; first = come() {
		time.Sleep(time.Millisecond)
	}
	began, before := time.Now(), cpu()
	for come() < records {
		time.Sleep(time.Millisecond)
	}
	n := float64(records - first)
	return cost{n / time.Since(began).Seconds(), (cpu() - before) / n * 1e6}
}

func consume(t *testing.T, broker, group string, records int) cost {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.ConsumerGroup(group), kgo.ConsumeTopics("user-events"), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var n atomic.Int64
	var done sync.WaitGroup
	done.Go(func() {
		for n.Load() < int64(records) && t.Context().Err() == nil {
			n.Add(int64(cl.PollRecords(t.Context(), 4096).NumRecords()))
		}
	})
	defer done.Wait()
	return costOf(records, func() int { return int(n.Load()) })
}

func bridged(t *testing.T, broker, group string, records int) cost {
	t.Helper()
	dir := t.TempDir()
	bus, err := jetstream.Open(t.Context(), jetstream.Options{Dir: filepath.Join(dir, "bus")})
	if err != nil {
		t.Fatal(err)
	}
	defer bus.Close()
	letters, err := deadletter.Open(deadletter.Options{Dir: filepath.Join(dir, "letters")})
	if err != nil {
		t.Fatal(err)
	}
	defer letters.Close()
	pump := bridge.New(bus, nil, bridge.Options{})
	source, err := kafka.New(kafka.Options{Brokers: []string{broker}, Topic: "user-events", Group: group, Into: pump, Letters: letters})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 2)
	go func() { done <- source.Run(ctx) }()
	go func() { done <- pump.Run(ctx) }()
	out := costOf(records, func() int { return source.Status().Counts.Accepted })
	cancel()
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	return out
}
