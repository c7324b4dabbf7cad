package kafka

import (
	"reflect"
	"testing"
	"time"

	"vitrine/bridge"
	"vitrine/bridge/event"
	"vitrine/bridge/event/frames"
	"vitrine/bridge/kafka/fetch"
)

// TestRecordsAgain: what a batch held before leaves no trace in its records.
func TestRecordsAgain(t *testing.T) {
	values := []struct {
		decode decoder
		text   string
	}{
		{newJSON(nil), `{"user_id":"u","item_id":"i","event_type":"rating","value":3,"event_id":"e","session_id":"s","request_id":"r","position":4,"scene":"home","price":1.5,"currency":"EUR","props":{"a":1}}`},
		{newJSON(nil), `{"user_id":"v","item_id":"j","event_type":"view"}`},
		{newJSON(nil), `{"user_id":`},
		{newJSON(nil), ``},
		{decodeItem, `{"item_id":"k","color":"red","expires_at":1}`},
		{decodeItem, `{"item_id":7.5}`},
		{decodeUser, `{"user_id":"w","age":7}`},
	}
	s := &session{Source: &Source{opt: Options{Now: time.Now}}}
	now, ready := time.UnixMilli(1_760_000_000_000), bridge.New(nil, nil, bridge.Options{}).Batch()
	record := func(into *batch, n int) []event.Record {
		into.records, into.letters = into.records[:0], into.letters[:0]
		s.add(into, &origin{name: "x", decode: values[n].decode}, &fetch.Record{Offset: int64(n), Value: []byte(values[n].text), Time: now.UnixMilli()}, now)
		return into.records
	}
	for first := range values {
		for second := range values {
			again := &batch{ready: ready, frame: new(frames.Builder)}
			record(again, first)
			if got, want := record(again, second), record(&batch{ready: ready, frame: new(frames.Builder)}, second); !reflect.DeepEqual(got, want) {
				t.Errorf("%s behind %s is %+v, want %+v", values[second].text, values[first].text, got, want)
			}
		}
	}
}
