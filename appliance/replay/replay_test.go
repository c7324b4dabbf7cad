package replay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"vitrine/bridge/deadletter"
	"vitrine/bridge/event"
	"vitrine/bridge/file"
	"vitrine/bridge/kafka/values"
)

// types are the configured event types.
type types map[string]bool

func (t types) Known(name string) bool { return t[name] }

// log is a log that knows event ids.
type log struct {
	known   map[string]bool
	records []string
	down    error
}

func (l *log) submit(_ context.Context, records []event.Record) (duplicate int, err error) {
	if l.down != nil {
		return 0, l.down
	}
	for i := range records {
		r := &records[i]
		if id := r.Event.EventID; id != "" {
			if l.known[id] {
				duplicate++
				continue
			}
			l.known[id] = true
		}
		l.records = append(l.records, fmt.Sprintf("%s:%d %s%s%s %d", r.Source.Name, r.Source.Offset, r.Event.UserID, r.Item.ID, r.Event.Type, r.Event.Time+r.Item.Time))
	}
	return duplicate, nil
}

// newer says that one item has changed.
type newer string

func (n newer) Newer(r *event.Record) bool { return r.Item.ID == string(n) }

func setUp(t *testing.T, letters ...deadletter.Letter) (*Replayer, *log) {
	t.Helper()
	store, err := deadletter.Open(deadletter.Options{Dir: t.TempDir(), MaxAge: 100 * 365 * 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	if _, err := store.Add(t.Context(), letters); err != nil {
		t.Fatal(err)
	}
	ty := types{"view": true, "wish": true}
	again, err := values.NewAgain(values.Topics{Topic: "clicks", ItemsTopic: "items", Types: ty})
	if err != nil {
		t.Fatal(err)
	}
	l := &log{known: map[string]bool{}}
	return &Replayer{Letters: store, Kafka: again, Submit: l.submit, Known: newer("i9"), Types: ty, Now: time.Now}, l
}

// rows are the letters of a file that is imported.
func rows(t *testing.T, how Import, body string) []deadletter.Letter {
	t.Helper()
	spec, err := how.Spec()
	if err != nil {
		t.Fatal(err)
	}
	spec.Name, spec.Types = "shop.csv", types{"view": true}
	var sink rejects
	if _, err := file.Read(t.Context(), strings.NewReader(body), spec, &sink); err != nil {
		t.Fatal(err)
	}
	var out []deadletter.Letter
	for _, r := range sink {
		how.Head = r.Head
		out = append(out, deadletter.Letter{Source: "shop.csv", Line: r.Line, Code: r.Code, Raw: r.Raw, Time: 5_000_000, Context: how.Context()})
	}
	return out
}

type rejects []file.Rejected

func (r *rejects) Records(context.Context, []event.Record) error { return nil }

func (r *rejects) Reject(_ context.Context, in []file.Rejected) error {
	*r = append(*r, in...)
	return nil
}

func TestReplay(t *testing.T) {
	letters := []deadletter.Letter{
		{Source: "clicks", Partition: 2, Offset: 7, Code: "unknown_event_type", Raw: []byte(`{"user_id":"a","item_id":"i","event_type":"wish"}`), Context: []byte(`{"time":1000}`)},
		{Source: "clicks", Partition: 2, Offset: 8, Code: "missing_user_id", Raw: []byte(`{"item_id":"i","event_type":"wish"}`)},
		{Source: "items", Offset: 3, Code: "invalid_attribute", Raw: []byte(`{"price":2}`), Context: []byte(`{"time":2000,"key":"aTE="}`)},
		{Source: "items", Offset: 4, Code: "invalid_attribute", Raw: []byte(`{"price":2}`), Context: []byte(`{"time":2000,"key":"aTk="}`)},
		{Source: deadletter.SourceHTTP, Time: 3000, Raw: []byte(`{"user_id":"b","item_id":"i","event_type":"wish"}`)},
		{Source: deadletter.SourceHTTP, Time: 3000, Raw: []byte(`{"specversion":"1.0","id":"8","source":"/s","type":"wish","subject":"i","data":{"user_id":"c"}}`), Context: []byte("Content-Type: application/cloudevents+json\r\n")},
		{Source: deadletter.SourceHTTP, Time: 3000, Raw: []byte(`{"user_id":"d"}`), Context: []byte("Ce-Id: 9\r\nCe-Source: /s\r\nCe-Specversion: 1.0\r\nCe-Subject: i\r\nCe-Type: wish\r\n")},
		{Source: deadletter.SourceHTTP, Raw: []byte(`{"item_id":7}`), Context: []byte("Path: /v1/items:batch\r\n")},
		{Source: "clicks", Offset: 9, Code: "too_large", Raw: []byte("x"), Truncated: true},
		{Source: "old.csv", Line: 2, Raw: []byte("a,b")},
	}
	letters = append(letters, rows(t, Import{Map: "user_id=u,item_id=i,event_type=e,ts=t"},
		"u;i;e;t;x\nq;i;wish;4000;\nr;i;view;4000;\ns;i;wish;4000;\"a\nb\"\nq;i;wish;4000;\n;i;wish;4000;\n")...)
	r, l := setUp(t, letters...)
	want := []string{
		"clicks:7 awish 1000", "items:3 i1 2000", "http:0 bwish 3000", "http:0 cwish 3000", "http:0 dwish 3000",
		"shop.csv:2 qwish 4000000", "shop.csv:4 swish 4000000", "shop.csv:6 qwish 4000000",
	}
	stay := []string{"missing_user_id", "unknown_source", "cut", "unknown_source", "missing_user_id"}
	l.down = errors.New("down")
	if _, err := r.Replay(t.Context(), Request{}); !errors.Is(err, l.down) {
		t.Errorf("while the log is down: %v", err)
	}
	l.down = nil
	result, err := r.Replay(t.Context(), Request{})
	if err != nil {
		t.Fatal(err)
	}
	var codes []string
	for _, x := range result.Rejected {
		codes = append(codes, x.Code)
	}
	if !slices.Equal(l.records, want) || !slices.Equal(codes, stay) {
		t.Errorf("records %q\nwant %q\nstay %q\nwant %q", l.records, want, codes, stay)
	}
	if result.Read != len(letters) || result.Accepted != len(want) || result.Duplicate != 1 || result.Skipped != 0 || r.Letters.Stats().Letters != int64(len(stay)) {
		t.Errorf("%+v, %d letters left", result, r.Letters.Stats().Letters)
	}
	// As after a crash between the log and the letters: they come again.
	if _, err := r.Letters.Add(t.Context(), letters); err != nil {
		t.Fatal(err)
	}
	result, err = r.Replay(t.Context(), Request{})
	if err != nil || result.Accepted != 1 || result.Duplicate != len(want) || len(l.records) != len(want)+1 {
		t.Errorf("again: %+v %v; only the item, which has no id, counts as new: %q", result, err, l.records[len(want):])
	}
}

// TestChoice replays some letters, by id, source, code and page.
func TestChoice(t *testing.T) {
	letter := func(source, code string, offset int64) deadletter.Letter {
		return deadletter.Letter{Source: source, Code: code, Offset: offset, Raw: fmt.Appendf(nil, `{"user_id":"u%d","item_id":"i","event_type":"wish","event_id":"%d"}`, offset, offset)}
	}
	r, l := setUp(t, letter("clicks", "a", 1), letter("clicks", "b", 2), letter("http", "a", 3), letter("clicks", "a", 4), letter("clicks", "a", 5))
	for _, step := range []struct {
		req      Request
		accepted int
		next     string
	}{
		{Request{Code: "b"}, 1, ""},
		{Request{Source: "http"}, 1, ""},
		{Request{IDs: []string{"5"}}, 1, ""},
		{Request{Limit: 1}, 1, "4"},
		{Request{Cursor: "4"}, 1, ""},
	} {
		result, err := r.Replay(t.Context(), step.req)
		if err != nil || result.Accepted != step.accepted || result.Next != step.next {
			t.Errorf("%+v: %+v %v", step.req, result, err)
		}
	}
	if len(l.records) != 5 {
		t.Errorf("%q", l.records)
	}
	if _, err := r.Replay(t.Context(), Request{IDs: []string{"5"}}); !errors.Is(err, deadletter.ErrNotFound) {
		t.Errorf("a letter that is gone: %v", err)
	}
	if _, err := r.Replay(t.Context(), Request{Cursor: "x"}); !errors.Is(err, deadletter.ErrCursor) {
		t.Errorf("a cursor of nobody: %v", err)
	}
}

// TestMendedMap replays the rows of a file with another map.
func TestMendedMap(t *testing.T) {
	letters := rows(t, Import{Map: "user_id=i,item_id=u,event_type==view,ts=t", Where: `t != 0`}, "u,i,t\n1,,4000\n2,,0\n3,,5000\n")
	r, l := setUp(t, letters...)
	result, err := r.Replay(t.Context(), Request{Map: "user_id=u,item_id==i,event_type==view,ts=t"})
	if err != nil || result.Accepted != 2 || len(result.Rejected) != 0 {
		t.Errorf("%+v %v %q", result, err, l.records)
	}
	if _, err := r.Replay(t.Context(), Request{Map: "nonsense"}); err != nil {
		t.Errorf("a map that no letter needs: %v", err)
	}
}
