package topics

import (
	"strings"
	"testing"
	"time"

	"vitrine/bridge"
	"vitrine/bridge/event"
	"vitrine/bridge/kafka"
)

// What is to be read again is told with the reason where it is not, and the way out.
func TestWanted(t *testing.T) {
	source := &kafka.Source{} // has seen no topic
	place := bridge.Place{Name: event.TopicSource("views", [16]byte{1}), Partition: 3}
	for _, tc := range []struct {
		reading     Reading
		hole        bridge.Hole
		error, hint string
	}{
		{Reading{[]string{"views", "", ""}, source}, bridge.Hole{Place: place, From: 2, To: 5}, "", ""},
		{Reading{[]string{"views"}, nil}, bridge.Hole{Place: place, From: 2, To: 5}, "no Kafka is configured", "set kafka.brokers, or DELETE /v1/pipeline/wanted?topic=views "},
		{Reading{[]string{"others"}, source}, bridge.Hole{Place: place, From: 2, To: 2}, "topic views is not in the configuration", "[kafka]"},
	} {
		got := tc.reading.Wanted([]bridge.Hole{tc.hole})[0]
		if got.Topic != "views" || got.Partition != 3 || got.From != 2 || (got.To == nil) != (tc.hole.To == 2) || got.To != nil && *got.To != 5 {
			t.Errorf("%+v", got)
		}
		if (got.Error == nil) != (tc.error == "") || got.Error != nil && (!strings.Contains(*got.Error, tc.error) || !strings.Contains(*got.Hint, tc.hint)) {
			t.Errorf("%v: %s, %s", tc.reading, *got.Error, *got.Hint)
		}
	}
	if out := (Reading{}).Wanted(nil); out == nil {
		t.Error("nothing is no list")
	}
	at := time.UnixMilli(1790000000000)
	got := Missed([]bridge.Missed{{Hole: bridge.Hole{Place: place, From: 2, To: 9}, Offsets: 4, Why: bridge.Passed, At: at}, {Hole: bridge.Hole{Place: place, From: 2, To: 2}}})
	if *got[0].To != 9 || *got[0].Offsets != 4 || got[0].Why != "passed" || !got[0].At.Equal(at) || got[1].To != nil || got[1].Offsets != nil {
		t.Errorf("%+v", got)
	}
}

// A topic that was created again is known by its name, and its earlier life as such.
func TestLives(t *testing.T) {
	old, now := bridge.Place{Name: event.TopicSource("views", [16]byte{1})}, bridge.Place{Name: event.TopicSource("views", [16]byte{2}), Partition: 1}
	other := bridge.Place{Name: event.TopicSource("items", [16]byte{2})}
	if of := Of("views"); !of(old) || !of(now) || of(other) {
		t.Error("the places of a topic")
	}
	if earlier := Earlier(map[bridge.Place]int64{now: 0}); !earlier(old) || earlier(now) || earlier(other) {
		t.Error("the places of before")
	}
}
