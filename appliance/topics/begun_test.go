package topics

import (
	"bytes"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vitrine/bridge"
	"vitrine/bridge/archive"
	"vitrine/bridge/event"
)

func TestBegun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "begun.json")
	var said bytes.Buffer
	log := slog.New(slog.NewTextHandler(&said, nil))
	old, now := event.TopicSource("views", [16]byte{1}), event.TopicSource("views", [16]byte{2})
	other := event.TopicSource("items", [16]byte{3})
	reopen := func(archived ...archive.TopicPosition) *Begun {
		t.Helper()
		b, err := OpenBegun(path, archived, log)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	keep := func(b *Begun, from map[bridge.Place]int64) {
		t.Helper()
		if err := b.Keep(from); err != nil {
			t.Fatal(err)
		}
	}
	has := func(what string, b *Begun, want map[bridge.Place]int64) {
		t.Helper()
		if got := b.Places(); !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}

	has("no file", reopen(), map[bridge.Place]int64{})
	b := reopen()
	keep(b, map[bridge.Place]int64{{Name: old, Partition: 0}: 0, {Name: old, Partition: 1}: 7, {Name: other, Partition: 0}: 3})
	keep(b, map[bridge.Place]int64{{Name: old, Partition: 1}: 9})
	has("a file", reopen(), map[bridge.Place]int64{{Name: old, Partition: 0}: 0, {Name: old, Partition: 1}: 9, {Name: other, Partition: 0}: 3})
	b = reopen(archive.TopicPosition{Name: old, Partition: 1, Next: 20})
	has("the archive has some", b, map[bridge.Place]int64{{Name: old, Partition: 0}: 0, {Name: other, Partition: 0}: 3})
	keep(b, map[bridge.Place]int64{{Name: now, Partition: 0}: 0})
	has("the topic was created again", reopen(), map[bridge.Place]int64{{Name: now, Partition: 0}: 0, {Name: other, Partition: 0}: 3})
	if said.Len() > 0 {
		t.Errorf("said %s", &said)
	}

	if err := os.WriteFile(path, []byte(`{"partitions":[{"to`), 0o600); err != nil {
		t.Fatal(err)
	}
	b = reopen()
	if has("a damaged file", b, map[bridge.Place]int64{}); !strings.Contains(said.String(), path) {
		t.Errorf("said %q, want the path", &said)
	}
	said.Reset()
	if reopen(); said.Len() > 0 {
		t.Errorf("it is told again: %s", &said)
	}
	keep(b, map[bridge.Place]int64{{Name: now, Partition: 0}: 5})
	has("the file anew", reopen(), map[bridge.Place]int64{{Name: now, Partition: 0}: 5})

	b.path = filepath.Join(path, "none")
	if err := b.Keep(map[bridge.Place]int64{{Name: now, Partition: 1}: 0}); err == nil {
		t.Error("no error though nothing could be written")
	}
	has("what could not be written", b, map[bridge.Place]int64{{Name: now, Partition: 0}: 5})
}
