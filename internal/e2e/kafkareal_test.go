package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"vitrine/bridge/kafka"
	"vitrine/internal/realservers"
)

// TestRealKafkaSecure logs in over TLS by each mechanism, and with a password
// that is wrong.
func TestRealKafkaSecure(t *testing.T) {
	realservers.Require(t)
	b := realservers.During(t, realservers.Kafka{Dir: t.TempDir(), Secure: true}.Start)
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
		d.until(test.mechanism+" with password "+test.password, func(p pipeline) bool {
			if test.fault != "" {
				return strings.Contains(p.Kafka.Error, test.fault)
			}
			return p.Kafka.Accepted == 1 && p.Kafka.Error == ""
		})
		d.stop()
	}
}

// TestRealKafkaAway kills and silences the broker under a daemon that reads:
// lists and events by HTTP go on, and nothing is lost or doubled.
func TestRealKafkaAway(t *testing.T) {
	realservers.Require(t)
	b := realservers.During(t, realservers.Kafka{Dir: t.TempDir()}.Start)
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
	d.settle()
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

// TestRealKafkaSpeed runs the benchmark of Kafka against a broker in a process of
// its own, and prints it. How fast it is depends on what else the machine does:
// only that every record comes, in all three ways, can fail.
func TestRealKafkaSpeed(t *testing.T) {
	realservers.Require(t)
	path, err := shipped()
	if err != nil {
		t.Fatal(err)
	}
	b := realservers.During(t, realservers.Kafka{Dir: t.TempDir()}.Start)
	out, err := exec.CommandContext(t.Context(), path, "bench", "ingest", "--only", "kafka", "--set", "kafka.brokers="+b.Address).CombinedOutput()
	t.Logf("%s", out)
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) { // 1 is a bar that is missed
		t.Fatal(err)
	}
	for _, figure := range []string{"client.rate", "client.broker_cpu", "raw.cpu", "raw.ratio", "whole.cpu", "whole.ratio", "whole.equal_cpu"} {
		if !bytes.Contains(out, []byte("  kafka."+figure)) {
			t.Errorf("there is no %s", figure)
		}
	}
}
