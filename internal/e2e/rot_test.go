package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestBitRot flips a bit in one frame on the disk of a killed daemon. A frame of
// Kafka's records is read again from there; one of events by HTTP is named as
// lost; every other event is there once, and the daemon starts and answers.
func TestBitRot(t *testing.T) {
	skipShort(t)
	t.Parallel()
	const rounds = 6
	// Frames that are in the archive are no longer needed on the bus: what is
	// looked for has to be younger than the longest time between two commits.
	var dir string
	var args []string
	until(t, "a kill before the first commit", func() bool {
		dir = t.TempDir()
		broker := fakeKafka(t)
		args = []string{"--set", "kafka.brokers=" + broker, "--set", "archive.commit_every=45s"}
		d := start(t, dir, args...)
		fillBus(t, d, kafkaClient(t, broker, "user-events"), rounds)
		d.kill()
		return len(archived(t, dir)) == 0
	})
	// The strings of a frame are in it as they are.
	rot(t, dir, "k2-7")
	rot(t, dir, "h4")

	d := start(t, dir, args...)
	d.until("what was lost is read again", func(p pipeline) bool { return p.Kafka.Accepted >= 1 && p.Kafka.Lag == 0 })
	var l list
	d.get("/v1/recommend?user_id=k2-7", &l)
	_, _, body := d.ask(http.MethodGet, "/v1/pipeline", "")
	var p struct {
		Bus struct {
			Lost []struct{ First, Last int }
		}
	}
	if err := json.Unmarshal([]byte(body), &p); err != nil || len(p.Bus.Lost) != 2 {
		t.Errorf("%v, lost: %+v\n%s", err, p.Bus.Lost, body)
	}
	until(t, "both losses in the log", func() bool {
		return strings.Count(d.err.String(), "frames are damaged on the disk and lost here") == 2
	})
	if _, _, metrics := d.ask(http.MethodGet, "/metrics", ""); !strings.Contains(metrics, "\nvitrine_bus_lost_frames_total 2\n") {
		t.Error("no metric counts the losses")
	}
	_, _, history := d.ask(http.MethodGet, "/v1/users/k2-7/history", "")
	if strings.Count(history, `"i7"`) != 1 {
		t.Errorf("history of a user whose event was read again: %s", history)
	}
	d.stop()
	found := archived(t, dir)
	for round := range rounds {
		for i := range 20 {
			if user := fmt.Sprintf("k%d-%d", round, i); found[user] != 1 {
				t.Errorf("%s is %d times in the archive, want once", user, found[user])
			}
		}
		want := 1
		if round == 4 {
			want = 0
		}
		if user := fmt.Sprintf("h%d", round); found[user] != want {
			t.Errorf("%s is %d times in the archive, want %d", user, found[user], want)
		}
	}
}

// fillBus has the daemon take 20 records of Kafka and one event by HTTP in each
// round.
func fillBus(t *testing.T, d *daemon, cl *kgo.Client, rounds int) {
	t.Helper()
	for round := range rounds {
		var values []string
		for i := range 20 {
			values = append(values, fmt.Sprintf(`{"user_id":"k%d-%d","item_id":"i%d","event_type":"view"}`, round, i, i))
		}
		produce(t, cl, "user-events", "u", values...)
		d.until("the records are read", func(p pipeline) bool { return p.Kafka.Accepted == int64(20*(round+1)) })
		if code, body := d.send(http.MethodPost, "/v1/events", "application/json", fmt.Sprintf(`{"user_id":"h%d","item_id":"web","event_type":"cart"}`, round)); code != http.StatusAccepted {
			t.Fatal(code, body)
		}
	}
}

// rot flips a bit of the frame on the bus that holds a text.
func rot(t *testing.T, dir, text string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "bus", "jetstream", "*", "streams", "*", "msgs", "*.blk"))
	if err != nil || len(paths) == 0 {
		t.Fatal("no segments", err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if at := bytes.Index(data, []byte(text)); at >= 0 {
			data[at] ^= 0x40
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no frame holds %s", text)
}
