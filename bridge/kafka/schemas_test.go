package kafka

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"vitrine/bridge/kafka/schema"
	"vitrine/bridge/kafka/values"
)

// TestNoSchemas: while no registry is at the address, and then while it refuses the
// user, records wait, and it is told how to mend that; then all of them are read,
// without a start.
func TestNoSchemas(t *testing.T) {
	t.Parallel()
	const text = `{"type":"record","name":"E","fields":[{"name":"user_id","type":"string"},{"name":"item_id","type":"string"},{"name":"event_type","type":"string"}]}`
	var there atomic.Bool
	registry := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch user, password, _ := r.BasicAuth(); {
		case !there.Load():
			http.NotFound(w, r)
		case user != "shop" || password != "right":
			http.Error(w, "{}", http.StatusUnauthorized)
		default:
			fmt.Fprintf(w, `{"schema":%q}`, text)
		}
	}))
	defer registry.Close()
	at := schema.Registry{
		URL: registry.URL, User: "shop", PasswordFile: write(t, "wrong\n"),
		CAFile: write(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: registry.Certificate().Raw}))),
	}
	broker, cl := cluster(t, 1)
	produce(t, cl, &kgo.Record{Value: []byte("\x00\x00\x00\x00\x01\x02u\x02a\x08view")}, &kgo.Record{Value: []byte("\x00\x00\x00\x00\x01\x02u\x02b\x08view")})
	var later atomic.Int64
	log := &memLog{}
	r := read(t, log, Options{Brokers: []string{broker}, Topics: values.Topics{Format: values.Avro, Registry: at, Now: func() time.Time { return time.Now().Add(time.Duration(later.Load())) }}})
	for _, want := range []struct{ what, hint string }{
		{"no schema registry: it says 404 Not Found", "check the path of kafka.schema_registry"}, {`it refuses user "shop"`, "kafka.schema_registry_password_file"},
	} {
		s := r.until("the reading waits", func(s Status) bool { return strings.Contains(s.Error, want.what) })
		if !strings.Contains(s.Hint, want.hint) || s.Counts != (Counts{}) {
			t.Errorf("%+v", s)
		}
		there.Store(true)
		later.Add(int64(time.Minute))
	}
	if err := os.WriteFile(at.PasswordFile, []byte("right\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	later.Add(int64(time.Minute))
	s := r.until("all is read", accepted(2))
	if got := log.items(t); got != "a b" || s.Counts.Rejected != 0 {
		t.Errorf("log %q, %+v", got, s)
	}
}

// TestHeldPartition: while a schema is not given, what needs it is told to wait since
// then, whatever comes of another partition; when it is given, that is taken back.
func TestHeldPartition(t *testing.T) {
	t.Parallel()
	const text = `{"type":"record","name":"E","fields":[{"name":"user_id","type":"string"},{"name":"item_id","type":"string"},{"name":"event_type","type":"string"}]}`
	var given atomic.Bool
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/schemas/ids/2" && !given.Load() {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		fmt.Fprintf(w, `{"schema":%q}`, text)
	}))
	defer registry.Close()
	broker, _ := cluster(t, 2)
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.DefaultProduceTopic("user-events"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	add := func(partition int32, schema, item string) {
		produce(t, cl, &kgo.Record{Partition: partition, Value: []byte("\x00\x00\x00\x00" + schema + "\x02u\x02" + item + "\x08view")})
	}
	var later atomic.Int64
	began := time.Now()
	topics := values.Topics{
		Format: values.Avro, Registry: schema.Registry{URL: registry.URL, User: "shop", PasswordFile: write(t, "right")},
		Now: func() time.Time { return began.Add(time.Duration(later.Load())) },
	}
	add(0, "\x01", "a")
	add(0, "\x02", "b")
	r := read(t, &memLog{}, Options{Brokers: []string{broker}, Topics: topics})
	r.until("the partition waits", func(s Status) bool { return s.Error != "" })
	want := `reading waits: partition 0 of user-events: the schema registry does not give schema 2: user "shop" may not read it, since ` + began.UTC().Format(time.RFC3339)
	for i := range 5 {
		later.Add(int64(time.Minute))
		add(1, "\x01", "c")
		if s := r.until("the other is read", accepted(i+2)); s.Error != want || !strings.Contains(s.Hint, "kafka.schema_registry_skip = [2]") || !s.Connected {
			t.Fatalf("%+v, want %q", s, want)
		}
	}
	given.Store(true)
	s := r.until("all is read", func(s Status) bool {
		later.Add(int64(time.Second)) // a refusal may be under way, and counts from when it comes
		return accepted(7)(s) && s.Error == ""
	})
	r.stop()
	if said := r.said.String(); s.Hint != "" || !strings.Contains(said, "kafka: reading waits") || strings.Count(said, "the partition is read again") != 1 {
		t.Errorf("%+v; the log says\n%s", s, said)
	}
}
