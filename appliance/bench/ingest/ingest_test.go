package ingest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"vitrine/bridge/event"
	"vitrine/bridge/kafka"
)

func newBench(t *testing.T, invalid *[]string) *Bench {
	return &Bench{
		Dir: t.TempDir(), Duration: 50 * time.Millisecond, Rows: 5000, Repetitions: 1,
		Progress: func(string, int64, int64) {},
		Invalid:  func(format string, args ...any) { *invalid = append(*invalid, fmt.Sprintf(format, args...)) },
	}
}

// The real bus and archive, in small.
func TestArchive(t *testing.T) {
	var invalid []string
	b := newBench(t, &invalid)
	if err := b.Disk(); err != nil {
		t.Fatal(err)
	}
	if err := b.Archive(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, f := range b.Figures {
		if f.Value <= 0 && f.Name != "ingest.archive.write_cpu" { // counted in ticks
			t.Errorf("%+v", f)
		}
	}
	if len(b.Figures) != 6 || len(invalid) > 0 {
		t.Errorf("%d figures, invalid: %q", len(b.Figures), invalid)
	}
}

// A topic of a small cluster, read in all three ways and deleted.
func TestKafka(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	var invalid []string
	b := newBench(t, &invalid)
	if err := b.Kafka(t.Context(), kafka.Options{Brokers: cluster.ListenAddrs()}, 20_000); err != nil {
		t.Fatal(err)
	}
	ratios := 0
	for _, f := range b.Figures {
		if strings.HasSuffix(f.Name, ".ratio") {
			ratios++
		}
		if f.Value <= 0 && !strings.HasSuffix(f.Name, "cpu") { // counted in ticks
			t.Errorf("%+v", f)
		}
	}
	if len(b.Figures) != 13 || ratios != 2 || len(invalid) > 0 {
		t.Errorf("%d figures, %d ratios, invalid: %q", len(b.Figures), ratios, invalid)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	topics, err := kadm.NewClient(client).ListTopics(t.Context())
	if err != nil || len(topics) > 0 {
		t.Errorf("left behind: %v, %v", topics.Names(), err)
	}
}

func TestKafkaRecord(t *testing.T) {
	for _, i := range []int{0, 1, 4_999_999} {
		_, value := kafkaRecord(i)
		var e event.Event
		if unknown, inv := event.ParseEvent(value, &e); len(value) != recordBytes || unknown != 0 || inv != nil || e.Validate(nil) != nil {
			t.Errorf("%s: %d bytes, %d unknown, %v", value, len(value), unknown, inv)
		}
	}
}

// Every event is new, and an answer that does not take all of a request is
// a fault.
func TestHTTP(t *testing.T) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Max < 512 {
		t.Skipf("%d files may be open (%v)", limit.Max, err)
	}
	var answers atomic.Int64
	var lose atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		n := bytes.Count(body, []byte("\n"))
		answers.Add(1)
		if lose.Load() && n > 1 {
			n--
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprintf(w, `{"accepted":%d,"duplicate":0,"rejected":[]}`, n)
	}))
	defer server.Close()
	var invalid []string
	b := newBench(t, &invalid)
	address := strings.TrimPrefix(server.URL, "http://")
	s := Server{address, func() time.Duration { return time.Duration(answers.Load()) * time.Microsecond }}
	// On a busy machine so short a run may be over before its first answer.
	const early = "no answer came in time"
	measured := func() (faults []string) {
		for range 20 {
			invalid, b.Figures = nil, nil
			if err := b.HTTP(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			faults = slices.DeleteFunc(invalid, func(text string) bool { return strings.HasSuffix(text, early) })
			if len(faults) > 0 || len(invalid) == 0 {
				return faults
			}
		}
		t.Skip("the machine is too busy to tell")
		return nil
	}
	if faults := measured(); len(b.Figures) != 10 || len(faults) > 0 {
		t.Errorf("%d figures, invalid: %q", len(b.Figures), faults)
	}
	lose.Store(true)
	if faults := measured(); len(faults) == 0 {
		t.Error("a lost event is no fault")
	}
}

func TestRequestsAreDistinct(t *testing.T) {
	w := way{events: 3}
	seen := map[string]bool{}
	for _, r := range requests("127.0.0.1:1", w, 50, "0-1") {
		_, body, _ := strings.Cut(string(r), "\r\n\r\n")
		for line := range strings.Lines(body) {
			_, id, _ := strings.Cut(line, `"event_id":"`)
			id, _, _ = strings.Cut(id, `"`)
			if seen[id] {
				t.Fatalf("event %s is sent twice", id)
			}
			seen[id] = true
		}
	}
	if len(seen) != 150 {
		t.Errorf("%d events", len(seen))
	}
}
