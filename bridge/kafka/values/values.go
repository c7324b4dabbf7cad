// Package values reads what the records of topics say: interactions in the formats
// that shops write, changes of items and users, and the letters of records that were
// refused before.
//
// It owns the formats, and what a letter keeps of a record beside its value. Where a
// record is and what becomes of it is its reader's: it must not import bridge or
// bridge/kafka, and connects to nothing but a schema registry.
//
//	readers, err := values.NewReaders(values.Topics{Topic: "user-events"}, 4)
//	unknown, clamped, inv := readers[0].Of("user-events").Read(record, &into, now)
package values

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"time"

	"vitrine/bridge/event"
	"vitrine/bridge/kafka/fetch"
	"vitrine/bridge/kafka/schema"
)

// The formats of record values.
const (
	// JSON is an interaction as POST /v1/events takes it.
	JSON = "json"
	// CSV is a line without a header.
	CSV = "csv"
	// CloudEvents are structured or, by the headers of the record, binary.
	CloudEvents = "cloudevents"
	// Avro values are read by the schema of a registry or a file, Protobuf ones
	// by a descriptor set.
	Avro     = "avro"
	Protobuf = "protobuf"
)

// Formats lists the formats of interactions.
func Formats() []string { return []string{JSON, CSV, CloudEvents, Avro, Protobuf} }

// CheckMap says what is wrong with a map of a format; an empty map is right.
func CheckMap(format, mapping string) error {
	if mapping == "" {
		return nil
	}
	if format == Avro || format == Protobuf {
		format = JSON // which it is applied to
	}
	m := maker{Topics: Topics{Format: format, Map: mapping}}
	_, err := m.interactions()
	return err
}

// Topics are what is read, and how; zero fields are the documented default.
type Topics struct {
	// Topic has interactions, ItemsTopic and UsersTopic have attributes; empty
	// ones are not read.
	Topic, ItemsTopic, UsersTopic string
	// Format of the interactions: one of Formats. Default JSON.
	Format string
	// Map says which field, or column of CSV, becomes which field of an
	// interaction, as an import's --map does. Default: those of the same name.
	Map string
	// Schema is the file of an Avro schema or of a Protobuf descriptor set,
	// Message the full name of the Protobuf message.
	Schema, Message string
	// Registry is the schema registry whose header the values have. Default: none.
	Registry schema.Registry
	// Types knows the configured event types. Default: every type passes.
	Types event.Types
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// Names are those of the topics, sorted.
func (t *Topics) Names() []string {
	names := slices.DeleteFunc([]string{t.Topic, t.ItemsTopic, t.UsersTopic}, func(name string) bool { return name == "" })
	slices.Sort(names)
	return slices.Compact(names)
}

// Reader reads the records of the topics; it is for one goroutine at a time.
type Reader struct{ topics map[string]*Decoder }

// Decoder reads the records of one topic.
type Decoder struct {
	decode decoding
	// Prepare fetches what decoding these values needs, and has all of that until it
	// is called again; nil when that is nothing. Its error is no fault of the values.
	Prepare func(ctx context.Context, values iter.Seq[[]byte]) error
}

// NewReaders makes so many, which share the schemas that they ask a registry for.
func NewReaders(t Topics, n int) ([]*Reader, error) {
	m := newMaker(t)
	readers := make([]*Reader, n)
	for i := range readers {
		var err error
		if readers[i], err = m.reader(); err != nil {
			return nil, err
		}
	}
	return readers, nil
}

// Of is what decodes a topic, nil for one that is none of them.
func (r *Reader) Of(topic string) *Decoder { return r.topics[topic] }

// Read makes dst, whose Source is set, what a record says; it empties what its kind of
// record has of dst. The strings of dst may be parts of the record, which nobody
// changes. It says how many fields it did not know, and whether the time was too far
// ahead and is clamped.
func (d *Decoder) Read(r *fetch.Record, dst *event.Record, now time.Time) (unknown int, clamped bool, inv *event.Invalid) {
	unknown, inv = d.decode(r, dst)
	if inv != nil || dst.Kind != event.KindEvent {
		return unknown, false, inv
	}
	if dst.Event.Time == 0 {
		dst.Event.Time = max(r.Time, 0)
	}
	return unknown, dst.Event.Normalize(now), nil
}

// maker makes readers that belong together.
type maker struct {
	Topics
	// avro is made with the first decoder of it, and is what all of them read by.
	avro *schema.Avro
	// again tells that records were refused before, and are few.
	again bool
}

func newMaker(t Topics) *maker {
	t.Format = cmp.Or(t.Format, JSON)
	if t.Now == nil {
		t.Now = time.Now
	}
	return &maker{Topics: t}
}

func (m *maker) reader() (*Reader, error) {
	r := &Reader{topics: map[string]*Decoder{}}
	if m.Topic != "" {
		var err error
		if r.topics[m.Topic], err = m.interactions(); err != nil {
			return nil, err
		}
	}
	if m.ItemsTopic != "" {
		r.topics[m.ItemsTopic] = &Decoder{decode: m.headless(decodeItem)}
	}
	if m.UsersTopic != "" {
		r.topics[m.UsersTopic] = &Decoder{decode: m.headless(decodeUser)}
	}
	return r, nil
}
