package topics

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"vitrine/bridge"
	"vitrine/bridge/archive"
	"vitrine/bridge/event"
	"vitrine/internal/durable"
	"vitrine/internal/logkey"
)

// Begun is where partitions began to be read, in a file. It is needed where the log
// loses the first frame of one, so it has only those that are not in the archive
// yet: mostly none.
type Begun struct {
	path string

	mu sync.Mutex
	at map[bridge.Place]int64
}

// begunFile is the file.
type begunFile struct {
	Partitions []beginning `json:"partitions"`
}

// beginning is the offset of the first record of a partition that was wanted; Topic
// is a Source.Name.
type beginning struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	From      int64  `json:"from"`
}

// OpenBegun reads the file, which need not be there, and leaves out what the
// archive has. One that is damaged is told and removed: it keeps nobody from
// starting.
func OpenBegun(path string, archived []archive.TopicPosition, log *slog.Logger) (*Begun, error) {
	b := &Begun{path: path, at: map[bridge.Place]int64{}}
	var file begunFile
	err := durable.ReadJSON(path, &file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return b, nil
	case errors.Is(err, durable.ErrDamaged):
		log.Warn("where the topics began cannot be read, and is noted anew", logkey.Path, path, logkey.Error, err)
		if err := durable.Remove(path); err != nil {
			return nil, fmt.Errorf("remove a damaged file: %w", err)
		}
		return b, nil
	case err != nil:
		return nil, fmt.Errorf("read where the topics began: %w", err)
	}
	for _, p := range file.Partitions {
		if p.From >= 0 {
			b.at[bridge.Place{Name: p.Topic, Partition: p.Partition}] = p.From
		}
	}
	for _, t := range archived {
		delete(b.at, bridge.Place{Name: t.Name, Partition: t.Partition})
	}
	return b, nil
}

// Places gives all that are known.
func (b *Begun) Places() map[bridge.Place]int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.at)
}

// Keep adds where partitions begin, and returns when that is on disk. A topic that
// was deleted and created again has new ones; those of its life before are dropped.
func (b *Begun) Keep(from map[bridge.Place]int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	at, earlier := maps.Clone(b.at), Earlier(from)
	maps.DeleteFunc(at, func(old bridge.Place, _ int64) bool { return earlier(old) })
	maps.Copy(at, from)
	if maps.Equal(at, b.at) {
		return nil
	}
	if err := write(b.path, at); err != nil {
		return fmt.Errorf("keep where the topics begin: %w", err)
	}
	b.at = at
	return nil
}

// topic is the name of a place's topic, whichever life it is of.
func topic(p bridge.Place) string {
	s := event.Source{Name: p.Name}
	if !s.IsTopic() {
		return ""
	}
	return s.Topic()
}

func write(path string, at map[bridge.Place]int64) error {
	var file begunFile
	for place, from := range at {
		file.Partitions = append(file.Partitions, beginning{place.Name, place.Partition, from})
	}
	slices.SortFunc(file.Partitions, func(a, b beginning) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return durable.ReplaceJSON(path, file)
}
