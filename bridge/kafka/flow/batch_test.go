package flow

import (
	"reflect"
	"testing"
	"time"

	"vitrine/bridge"
	"vitrine/bridge/event"
	"vitrine/bridge/event/frames"
	"vitrine/bridge/kafka/fetch"
	"vitrine/bridge/kafka/values"
)

// TestRecordsAgain: what a batch held before leaves no trace in its records.
func TestRecordsAgain(t *testing.T) {
	readers, err := values.NewReaders(values.Topics{Topic: "events", ItemsTopic: "items", UsersTopic: "users"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	records := []struct{ topic, text string }{
		{"events", `{"user_id":"u","item_id":"i","event_type":"rating","value":3,"event_id":"e","session_id":"s","request_id":"r","position":4,"scene":"home","price":1.5,"currency":"EUR","props":{"a":1}}`},
		{"events", `{"user_id":"v","item_id":"j","event_type":"view"}`},
		{"events", `{"user_id":`},
		{"events", ``},
		{"items", `{"item_id":"k","color":"red","expires_at":1}`},
		{"items", `{"item_id":7.5}`},
		{"users", `{"user_id":"w","age":7}`},
	}
	now, ready := time.UnixMilli(1_760_000_000_000), bridge.New(nil, nil, bridge.Options{}).Batch()
	record := func(into *batch, n int) []event.Record {
		into.records, into.letters = into.records[:0], into.letters[:0]
		into.add(&origin{name: "x", decoder: readers[0].Of(records[n].topic)}, &fetch.Record{Offset: int64(n), Value: []byte(records[n].text), Time: now.UnixMilli()}, now)
		return into.records
	}
	for first := range records {
		for second := range records {
			again := &batch{ready: ready, frame: new(frames.Builder)}
			record(again, first)
			if got, want := record(again, second), record(&batch{ready: ready, frame: new(frames.Builder)}, second); !reflect.DeepEqual(got, want) {
				t.Errorf("%s behind %s is %+v, want %+v", records[second].text, records[first].text, got, want)
			}
		}
	}
}
