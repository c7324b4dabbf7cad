package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestBitRot flips bits in frames on the disk of a killed daemon: in the log's
// first, which is the only one of its partition, in the first one of another, in
// one of the middle, and in one of events by HTTP. What came from Kafka is read again from there; the event by HTTP is named
// as lost; every other one is there once, and the daemon starts and answers.
func TestBitRot(t *testing.T) {
	skipShort(t)
	t.Parallel()
	dir, args := rotten(t)
	d := start(t, dir, args...)
	d.until("what was lost is read again", func(p pipeline) bool { return p.Kafka.Accepted >= 3 && p.Kafka.Lag == 0 })
	var l list
	d.get("/v1/recommend?user_id="+kafkaUser(2, 7), &l)
	_, _, body := d.ask(http.MethodGet, "/v1/pipeline", "")
	var p struct {
		Bus struct {
			Lost []struct{ First, Last int }
		}
	}
	if err := json.Unmarshal([]byte(body), &p); err != nil || len(p.Bus.Lost) != 3 || p.Bus.Lost[0].First != 1 || p.Bus.Lost[0].Last != 2 {
		t.Errorf("%v, lost: %+v\n%s", err, p.Bus.Lost, body)
	}
	until(t, "the losses in the log", func() bool {
		return strings.Count(d.err.String(), "frames are damaged on the disk and lost here") == 3
	})
	if _, _, metrics := d.ask(http.MethodGet, "/metrics", ""); !strings.Contains(metrics, "\nvitrine_bus_lost_frames_total 4\n") {
		t.Error("no metric counts the losses")
	}
	for user, item := range map[string]string{alone: "i", kafkaUser(0, 0): "i0", kafkaUser(2, 7): "i7"} {
		if _, _, history := d.ask(http.MethodGet, "/v1/users/"+user+"/history", ""); strings.Count(history, `"`+item+`"`) != 1 {
			t.Errorf("history of a user whose event was read again: %s", history)
		}
	}
	d.stop()
	allBut(t, dir, httpUser(4))
}

// TestBitRotWithoutKafka has the marks of the lost frames pass into the archive, by
// a clean stop, before the topics can be read again.
func TestBitRotWithoutKafka(t *testing.T) {
	skipShort(t)
	t.Parallel()
	dir, args := rotten(t)
	d := start(t, dir)
	d.stop()
	if found := archived(t, dir); len(found) == 0 || found[alone] != 0 {
		t.Fatalf("the archive has %v", found)
	}
	d = start(t, dir, append(args, "--set", "kafka.topic=others")...)
	d.says("wait to be read again: topic user-events is not in the configuration any more")
	if b := d.damages(); len(b.Wanted) < 3 || b.Wanted[0].Topic != "user-events" || !strings.Contains(b.Wanted[0].Hint, "DELETE /v1/pipeline/wanted?topic=user-events") {
		t.Errorf("%+v", b)
	}
	if top := vitrine(t, "top", "-n", "1", "--data", dir).must(t); !strings.Contains(top.out, "wanted=") {
		t.Errorf("top: %s", top.out)
	}
	d.stop()
	d = start(t, dir, args...)
	d.until("what was lost is read again", func(p pipeline) bool { return p.Kafka.Accepted >= 3 && p.Kafka.Lag == 0 })
	if b := d.damages(); len(b.Wanted)+len(b.Missed) != 0 {
		t.Errorf("%+v", b)
	}
	d.stop()
	allBut(t, dir, httpUser(4))
	var kept struct{ Wanted []struct{ From, To int64 } }
	text, err := os.ReadFile(filepath.Join(dir, "state", "wanted.json"))
	if err == nil { // of empty partitions all is wanted that may come
		line, _, _ := bytes.Cut(text, []byte("\n"))
		err = json.Unmarshal(line, &kept)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	for _, w := range kept.Wanted {
		if w.From < w.To {
			t.Errorf("what was wanted is still kept: %s", text)
		}
	}
}

// damages is what /v1/pipeline says of damaged frames.
type damages struct {
	Wanted []struct{ Topic, Error, Hint string }
	Missed []struct{ Topic, Why string }
}

func (d *daemon) damages() damages {
	d.t.Helper()
	var p struct{ Bus damages }
	if _, _, body := d.ask(http.MethodGet, "/v1/pipeline", ""); json.Unmarshal([]byte(body), &p) != nil {
		d.t.Fatal(body)
	}
	return p.Bus
}

// TestBitRotGivenUp gives up what was lost of the topic, before any of it is read.
func TestBitRotGivenUp(t *testing.T) {
	skipShort(t)
	t.Parallel()
	dir, args := rotten(t)
	d := start(t, dir)
	const path = "/v1/pipeline/wanted?topic=user-events"
	if code, _, body := d.ask(http.MethodDelete, path, ""); code != http.StatusOK || !strings.Contains(body, `"to":`) {
		t.Errorf("%d %s", code, body)
	}
	if b := d.damages(); len(b.Wanted) != 0 || len(b.Missed) == 0 || b.Missed[0].Why != "given_up" {
		t.Errorf("%+v", b)
	}
	if code, _, body := d.ask(http.MethodDelete, path, ""); code != http.StatusNotFound || !strings.Contains(body, "nothing_wanted") {
		t.Errorf("%d %s", code, body)
	}
	d.kill()
	found := archived(t, dir)
	d = start(t, dir, args...)
	d.until("the topic is read on", func(p pipeline) bool { return p.Kafka.Connected && len(p.Kafka.Partitions) > 0 && p.Kafka.Lag == 0 })
	d.stop()
	if now := archived(t, dir); !maps.Equal(now, found) || len(found) == 0 || found[alone] != 0 {
		t.Errorf("the archive has %v, and had %v", now, found)
	}
}

// TestBitRotOfADeletedTopic has the topic deleted and created again before what was
// lost of it is read: nothing waits for that any more, and it is told.
func TestBitRotOfADeletedTopic(t *testing.T) {
	skipShort(t)
	t.Parallel()
	dir, args := rotten(t)
	d := start(t, dir)
	d.stop() // and the marks of the lost frames are in the archive
	broker := strings.TrimPrefix(args[1], "kafka.brokers=")
	admin := kadm.NewClient(kafkaClient(t, broker))
	if _, err := admin.DeleteTopics(t.Context(), "user-events"); err != nil {
		t.Fatal(err)
	}
	produce(t, kafkaClient(t, broker, "user-events"), "user-events", "u", `{"user_id":"new","item_id":"i","event_type":"view"}`)
	d = start(t, dir, args...)
	d.until("the new topic is read", func(p pipeline) bool { return p.Kafka.Accepted == 1 })
	if b := d.damages(); len(b.Wanted) != 0 || len(b.Missed) == 0 || b.Missed[0].Why != "topic_deleted" {
		t.Errorf("%+v", b)
	}
	d.stop()
	if _, err := os.Stat(filepath.Join(dir, "state", "wanted.json")); err == nil {
		t.Error("what went with the topic is still kept")
	}
}

// TestUnreadableLog has the disk give nothing of the log's only file any more: a start
// says so, and its hint, typed into a shell, lets the appliance start; what came from
// Kafka is then read again, and the events by HTTP are named as lost.
func TestUnreadableLog(t *testing.T) {
	skipShort(t)
	t.Parallel()
	dir, args := killed(t)
	paths, err := filepath.Glob(filepath.Join(dir, "bus", "jetstream", "*", "streams", "*", "msgs", "*.blk"))
	if err != nil || len(paths) != 1 {
		t.Fatal(paths, err)
	}
	if err := errors.Join(os.Remove(paths[0]), os.Mkdir(paths[0], 0o750)); err != nil {
		t.Fatal(err)
	}
	r := serveFails(t, dir, args...)
	r.complains(t, 1, paths[0], "hint: look at dmesg")
	_, do, _ := strings.Cut(r.err, ": mv ")
	do, _, _ = strings.Cut(do, ";")
	if out, err := exec.CommandContext(t.Context(), "sh", "-c", "mv "+do).CombinedOutput(); err != nil {
		t.Fatalf("mv %s: %s", do, out)
	}
	d := start(t, dir, args...)
	d.until("what was lost is read again", func(p pipeline) bool { return p.Kafka.Accepted == 1+20*rounds && p.Kafka.Lag == 0 })
	if _, _, body := d.ask(http.MethodGet, "/v1/pipeline", ""); !strings.Contains(body, `"first":1`) {
		t.Errorf("the loss is not named: %s", body)
	}
	d.stop()
	byHTTP := make([]string, rounds)
	for round := range rounds {
		byHTTP[round] = httpUser(round)
	}
	allBut(t, dir, byHTTP...)
}

const rounds = 6

// killed is the data folder of a daemon that was killed before its first commit, and
// the flags that it had.
func killed(t *testing.T) (dir string, args []string) {
	t.Helper()
	// Frames that are in the archive are no longer needed on the bus: what is
	// looked for has to be younger than the longest time between two commits.
	until(t, "a kill before the first commit", func() bool {
		dir = t.TempDir()
		broker := fakeKafka(t)
		args = []string{"--set", "kafka.brokers=" + broker, "--set", "archive.commit_every=45s"}
		d := start(t, dir, args...)
		fillBus(t, d, kafkaClient(t, broker, "user-events"))
		d.kill()
		return len(archived(t, dir)) == 0
	})
	return dir, args
}

// rotten is that with four damaged frames.
func rotten(t *testing.T) (dir string, args []string) {
	t.Helper()
	dir, args = killed(t)
	for _, text := range []string{alone, kafkaUser(0, 0), kafkaUser(2, 7), httpUser(4)} {
		rot(t, dir, text)
	}
	return dir, args
}

// allBut looks for every event of fillBus in the archive, once, but for those by HTTP
// that were lost, and named.
func allBut(t *testing.T, dir string, lost ...string) {
	t.Helper()
	found, want := archived(t, dir), map[string]int{alone: 1}
	for round := range rounds {
		for i := range 20 {
			want[kafkaUser(round, i)] = 1
		}
		want[httpUser(round)] = 1
	}
	for _, user := range lost {
		delete(want, user)
	}
	if !maps.Equal(found, want) {
		for _, user := range slices.Sorted(maps.Keys(want)) {
			if found[user] != want[user] {
				t.Errorf("%s is %d times in the archive, want %d", user, found[user], want[user])
			}
		}
		t.Errorf("%d users are in the archive, want %d", len(found), len(want))
	}
}

// The ids of users, alone's and those of a round, are so long that no random bytes
// of a frame are the same.
const alone = "alone-in-its-partition"

func kafkaUser(round, i int) string { return fmt.Sprintf("kafka-round-%02d-record-%02d", round, i) }
func httpUser(round int) string     { return fmt.Sprintf("http-round-%02d", round) }

// fillBus has the daemon take a record of one partition, and then in each round 20
// of another and one event by HTTP.
func fillBus(t *testing.T, d *daemon, cl *kgo.Client) {
	t.Helper()
	produce(t, cl, "user-events", "other", `{"user_id":"`+alone+`","item_id":"i","event_type":"view"}`)
	d.until("the first record is read", func(p pipeline) bool { return p.Kafka.Accepted == 1 })
	for round := range rounds {
		var values []string
		for i := range 20 {
			values = append(values, fmt.Sprintf(`{"user_id":"%s","item_id":"i%d","event_type":"view"}`, kafkaUser(round, i), i))
		}
		produce(t, cl, "user-events", "u", values...)
		d.until("the records are read", func(p pipeline) bool { return p.Kafka.Accepted == int64(1+20*(round+1)) })
		if code, body := d.send(http.MethodPost, "/v1/events", "application/json", fmt.Sprintf(`{"user_id":"%s","item_id":"web","event_type":"cart"}`, httpUser(round))); code != http.StatusAccepted {
			t.Fatal(code, body)
		}
	}
}

// rot flips a bit of the frame on the bus that holds a text, which no other does.
func rot(t *testing.T, dir, text string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "bus", "jetstream", "*", "streams", "*", "msgs", "*.blk"))
	if err != nil || len(paths) == 0 {
		t.Fatal("no segments", err)
	}
	rotten := 0
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if at := bytes.Index(data, []byte(text)); at >= 0 {
			rotten += bytes.Count(data, []byte(text))
			data[at] ^= 0x40
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if rotten != 1 {
		t.Fatalf("%s is in %d places of the log, want one", text, rotten)
	}
}
