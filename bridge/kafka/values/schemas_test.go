package values

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"vitrine/bridge/deadletter"
	"vitrine/bridge/event"
	"vitrine/bridge/kafka/fetch"
	"vitrine/bridge/kafka/schema"
)

// TestHeadless: JSON that was written by a schema of a registry is read behind its
// header, and what cannot be read is kept with it. Nobody is asked.
func TestHeadless(t *testing.T) {
	const header = "\x00\x00\x00\x00\x07"
	r, err := newMaker(Topics{
		Topic: "e", ItemsTopic: "i", UsersTopic: "u", Format: JSON, Map: "user_id=customer,item_id=item_id,event_type==view", Registry: schema.Registry{URL: "http://127.0.0.1:1"},
	}).reader()
	if err != nil {
		t.Fatal(err)
	}
	if r.topics["plain"], err = newMaker(Topics{Registry: schema.Registry{URL: "http://127.0.0.1:1"}}).interactions(); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ topic, value, want string }{
		{"e", header + `{"customer":"a","item_id":"b"}`, ""},
		{"e", `{"customer":"a","item_id":"b"}`, ""},
		{"plain", header + `{"user_id":"a","item_id":"b","event_type":"view"}`, ""},
		{"i", header + `{"item_id":"b"}`, ""},
		{"u", header + `{"user_id":"a"}`, ""},
		{"plain", header, event.CodeInvalidJSON},
		{"i", header, event.CodeInvalidJSON}, // which is no removal
		{"u", header, event.CodeInvalidJSON},
		{"plain", header[:4], event.CodeInvalidJSON},
		{"plain", header + "x", event.CodeInvalidJSON},
	} {
		record := fetch.Record{Value: []byte(test.value)}
		var got event.Record
		_, inv := r.Of(test.topic).decode(&record, &got)
		if (inv == nil) != (test.want == "") || inv != nil && inv.Code != test.want || string(record.Value) != test.value {
			t.Errorf("%s %q: %v, want %q; the record has %q", test.topic, test.value, inv, test.want, record.Value)
		}
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
	topics := Topics{Topic: "user-events", Format: Avro, Registry: schema.Registry{URL: registry.URL}, Now: func() time.Time { return now }}
	readers, err := NewReaders(topics, 4)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range readers {
		if err := r.Of("user-events").Prepare(t.Context(), slices.Values([][]byte{{0, 0, 0, 0, 1}})); err == nil || asked != 1 {
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
	topics := Topics{Topic: "user-events", Format: Avro, Registry: schema.Registry{URL: registry.URL}, Now: func() time.Time { return now }}
	a, err := NewAgain(topics)
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
