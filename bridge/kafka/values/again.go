package values

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"vitrine/bridge/deadletter"
	"vitrine/bridge/event"
	"vitrine/bridge/kafka/fetch"
)

// Again reads records that were refused before, as the topics say now. It
// connects to no broker, only to a schema registry. It may be used by any
// goroutine.
type Again struct {
	now func() time.Time

	mu     sync.Mutex
	reader *Reader
}

// NewAgain makes one.
func NewAgain(t Topics) (*Again, error) {
	m := newMaker(t)
	m.again = true
	r, err := m.reader()
	if err != nil {
		return nil, err
	}
	return &Again{now: m.Now, reader: r}, nil
}

// Knows tells whether the source of letters is one of the topics.
func (a *Again) Knows(source string) bool { return a.reader.Of(source) != nil }

// Read reads the record of a letter. Its Source is the topic's name alone, since
// the partition has long gone on: the fence of positions does not hold for it.
// An error is no fault of the record.
func (a *Again) Read(ctx context.Context, l *deadletter.Letter) (event.Record, *event.Invalid, error) {
	var c letterContext
	if len(l.Context) > 0 {
		if err := json.Unmarshal(l.Context, &c); err != nil {
			return event.Record{}, nil, fmt.Errorf("read the key and the headers of the record: %w", err)
		}
	}
	if c.Time == 0 {
		c.Time = l.Time
	}
	r := &fetch.Record{Offset: l.Offset, Key: c.Key, Value: l.Raw, Time: c.Time}
	for _, h := range c.Headers {
		r.Headers.Add(h.Key, h.Value)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	decoder := a.reader.Of(l.Source)
	if decoder.Prepare != nil {
		if err := decoder.Prepare(ctx, slices.Values([][]byte{r.Value})); err != nil {
			return event.Record{}, nil, err
		}
	}
	out := event.Record{Source: event.Source{Name: l.Source, Partition: l.Partition, Offset: l.Offset}}
	_, _, inv := decoder.Read(r, &out, a.now())
	return out, inv, nil
}

// letterContext is what a letter keeps of a record beside its value.
type letterContext struct {
	Key     []byte         `json:"key,omitempty"`
	Time    int64          `json:"time,omitempty"`
	Headers []letterHeader `json:"headers,omitempty"`
}

type letterHeader struct {
	Key   string `json:"key"`
	Value []byte `json:"value,omitempty"`
}

// LetterContext writes it. Headers that are too long are left out, and then the key.
func LetterContext(r *fetch.Record) []byte {
	c := letterContext{Key: r.Key, Time: r.Time}
	size := len(c.Key)
	for key, value := range r.Headers.All() {
		if size += len(key) + len(value) + 32; size > deadletter.MaxContext/2 {
			break
		}
		c.Headers = append(c.Headers, letterHeader{key, value})
	}
	if len(c.Key) > deadletter.MaxContext/2 {
		c.Key = nil
	}
	out, err := json.Marshal(&c)
	if err != nil {
		return nil // no field of it has no form in JSON
	}
	return out
}
