package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestReplay refuses events of a type that is not configured, from a topic, a
// file and over HTTP; with the type, a replay takes them, each once.
func TestReplay(t *testing.T) {
	skipShort(t)
	t.Parallel()
	broker := fakeKafka(t)
	cl := kafkaClient(t, broker, "user-events")
	args := []string{"--set", "kafka.brokers=" + broker, "--set", "archive.commit_every=1s"}
	d := start(t, t.TempDir(), args...)
	produce(t, cl, "user-events", "k", `{"user_id":"k","item_id":"i1","event_type":"wish"}`, `{"user_id":"k","item_id":"i2","event_type":"view"}`, `{"item_id":"i3"}`)
	// Of another partition, whose end is read again with the next start.
	produce(t, cl, "user-events", "end", `{"user_id":"e","item_id":"i2","event_type":"view"}`, `{"user_id":"e","item_id":"i1","event_type":"wish"}`)
	d.until("the topic is read", func(p pipeline) bool { return p.Kafka.Accepted == 2 && p.Kafka.Rejected == 3 })
	rows := filepath.Join(t.TempDir(), "shop.csv")
	if err := os.WriteFile(rows, []byte("u,i,e\nf,i1,wish\nf,i2,view\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	vitrine(t, "import", rows, "--map", "user_id=u,item_id=i,event_type=e", "--data", d.dir).must(t)
	if code, answer := d.send("POST", "/v1/events", "application/json", `[{"user_id":"h","item_id":"i1","event_type":"wish"},{"user_id":"h","item_id":"i2","event_type":"view"}]`); code != 202 {
		t.Fatalf("%d %s", code, answer)
	}
	replay := func() string {
		t.Helper()
		return vitrine(t, "deadletters", "replay", "--data", d.dir).must(t).out
	}
	if out := replay(); !strings.HasPrefix(out, "5 read again: 0 accepted, 0 known already, 0 left out, 5 stay") {
		t.Errorf("before the type is configured: %s", out)
	}
	d.stop()
	d = start(t, d.dir, append(args, "--set", "ingest.types.wish=3")...)
	d.until("the end of a partition is read again", func(p pipeline) bool { return p.Kafka.Accepted == 1 && p.Kafka.Lag == 0 })
	if out := replay(); !strings.HasPrefix(out, "5 read again: 3 accepted, 1 known already, 0 left out, 1 stay") || !strings.Contains(out, "missing_user_id") {
		t.Errorf("with the type: %s", out)
	}
	if out := replay(); !strings.HasPrefix(out, "1 read again: 0 accepted, 0 known already, 0 left out, 1 stay") {
		t.Errorf("again: %s", out)
	}
	d.settle()
	got := archivedEvents(t, d.dir)
	for i := range got {
		got[i] = strings.Join(strings.Fields(got[i])[:2], " ")
	}
	slices.Sort(got)
	if want := []string{"e i1", "e i2", "f i1", "f i2", "h i1", "h i2", "k i1", "k i2"}; !slices.Equal(got, want) {
		t.Errorf("archive %q, want %q", got, want)
	}
}
