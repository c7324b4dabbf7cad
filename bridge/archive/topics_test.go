package archive

import (
	"slices"
	"testing"

	"vitrine/bridge/event"
)

func TestTopicPositionsAreCommitted(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	name := event.TopicSource("user-events", [16]byte{7})
	from := func(partition int32, offset int64) event.Record {
		r := view("u", "i", "", day0)
		r.Source = event.Source{Name: name, Partition: partition, Offset: offset}
		return r
	}
	item := put("x", 1)
	item.Source = event.Source{Name: event.TopicSource("items", [16]byte{8}), Offset: 4}
	file := view("u", "i", "", day0)
	file.Source = event.Source{Name: "sales.csv", Offset: 9}
	commit(t, a, from(0, 0), from(0, 1), from(2, 40), file, item)
	commit(t, a, from(2, 41))
	want := []TopicPosition{
		{Name: item.Source.Name, Next: 5},
		{Name: name, Next: 2},
		{Name: name, Partition: 2, Next: 42},
	}
	if got := a.Topics(); !slices.Equal(got, want) {
		t.Errorf("after the commits %v, want %v", got, want)
	}
	if got := open(t, dir).Topics(); !slices.Equal(got, want) {
		t.Errorf("opened again %v, want %v", got, want)
	}
}
