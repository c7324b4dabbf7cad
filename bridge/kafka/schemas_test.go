package kafka

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"vitrine/bridge/deadletter"
	"vitrine/bridge/event"
	"vitrine/bridge/kafka/fetch"
	"vitrine/bridge/kafka/schema"
)

// TestHeadless: JSON that was written by a schema of a registry is read behind its
// header, and what cannot be read is kept with it. Nobody is asked.
func TestHeadless(t *testing.T) {
	const header = "\x00\x00\x00\x00\x07"
	r, err := newReader(&Options{
		Topic: "e", ItemsTopic: "i", UsersTopic: "u", Format: JSON, Map: "user_id=customer,item_id=item_id,event_type==view", Registry: schema.Registry{URL: "http://127.0.0.1:1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	plain, _, err := newDecoder(&Options{Format: JSON, Registry: schema.Registry{URL: "http://127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	r.decode["plain"] = plain
	for _, test := range []struct{ topic, value, want string }{
		{"e", header + `{"customer":"a","item_id":"b"}`, ""},
		{"e", `{"customer":"a","item_id":"b"}`, ""},
		{"plain", header + `{"user_id":"a","item_id":"b","event_type":"view"}`, ""},
		{"i", header + `{"item_id":"b"}`, ""},
		{"u", header + `{"user_id":"a"}`, ""},
		{"plain", header, event.CodeInvalidJSON},
		{"plain", header[:4], event.CodeInvalidJSON},
		{"plain", header + "x", event.CodeInvalidJSON},
	} {
		record := fetch.Record{Value: []byte(test.value)}
		var got event.Record
		_, inv := r.decode[test.topic](&record, &got)
		if (inv == nil) != (test.want == "") || inv != nil && inv.Code != test.want || string(record.Value) != test.value {
			t.Errorf("%s %q: %v, want %q; the record has %q", test.topic, test.value, inv, test.want, record.Value)
		}
	}
}

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
	r := read(t, log, Options{Brokers: []string{broker}, Format: Avro, Registry: at, Now: func() time.Time { return time.Now().Add(time.Duration(later.Load())) }})
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

// TestReadersShareSchemas: all readers of a source ask a registry as one.
func TestReadersShareSchemas(t *testing.T) {
	asked := 0
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer registry.Close()
	now := time.Now()
	opt := Options{Topic: "user-events", Format: Avro, Registry: schema.Registry{URL: registry.URL}, Now: func() time.Time { return now }}
	for range maxReaders {
		r, err := newReader(&opt)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.prepare(t.Context(), slices.Values([][]byte{{0, 0, 0, 0, 1}})); err == nil || asked != 1 {
			t.Errorf("asked %d times: %v", asked, err)
		}
	}
}

// TestLettersAskForAllSchemas: of many letters whose schemas are not there the one whose
// schema is there by now is read, however late it comes.
func TestLettersAskForAllSchemas(t *testing.T) {
	const text = `{"type":"record","name":"E","fields":[{"name":"user_id","type":"string"},{"name":"item_id","type":"string"},{"name":"event_type","type":"string"}]}`
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/schemas/ids/999" {
			http.Error(w, `{"error_code":40403}`, http.StatusNotFound)
			return
		}
		fmt.Fprintf(w, `{"schema":%q}`, text)
	}))
	defer registry.Close()
	now := time.Now()
	opt := Options{Topic: "user-events", Format: Avro, Registry: schema.Registry{URL: registry.URL}, Now: func() time.Time { return now }}
	a, err := NewAgain(opt)
	if err != nil {
		t.Fatal(err)
	}
	for id := range uint16(1000) {
		l := &deadletter.Letter{Source: "user-events", Raw: append([]byte{0, 0, 0, byte(id >> 8), byte(id)}, "\x02u\x02a\x08view"...)}
		if _, inv, err := a.Read(t.Context(), l); err != nil || (inv == nil) != (id == 999) {
			t.Fatalf("schema %d: %v, %v", id, inv, err)
		}
	}
}
