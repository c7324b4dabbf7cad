package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"

	"vitrine/appliance/httpapi/publicapi"
	"vitrine/bridge/event"
)

func ingest(t testing.TB, h http.Handler, contentType, body string) publicapi.IngestResult {
	t.Helper()
	w := call{do: "POST /v1/events", headers: "Content-Type: " + contentType, body: body}.to(h)
	var res publicapi.IngestResult
	if err := json.Unmarshal(w.Body.Bytes(), &res); err != nil || w.Code != 202 {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	return res
}

func TestPartlyBadBatches(t *testing.T) {
	noUser, unknown := `{"item_id":"i","event_type":"view"}`, `{"user_id":"u","item_id":"i","event_type":"stare"}`
	late := `{"user_id":"u","item_id":"i","event_type":"view","ts":"2100-01-01T00:00:00Z","extra":1,"more":[{}]}`
	tests := []struct {
		name, media, body string
		accepted          int
		rejected          map[int]string
		unknown, clamped  int
	}{
		{"object", "application/json", goodEvent, 1, nil, 0, 0},
		{"object with charset", "application/json; charset=utf-8", goodEvent, 1, nil, 0, 0},
		{"one bad object", "application/json", noUser, 0, map[int]string{0: "missing_user_id"}, 0, 0},
		{"empty array", "application/json", "[]", 0, nil, 0, 0},
		{"array", "application/json", "[" + goodEvent + "," + noUser + "," + unknown + ",7," + late + "]", 2, map[int]string{1: "missing_user_id", 2: "unknown_event_type", 3: "invalid_json"}, 2, 1},
		{"broken array", "application/json", "[" + goodEvent + "," + goodEvent + `,{"user_id":"u" "item_id"}` + "," + goodEvent, 2, map[int]string{2: "invalid_json"}, 0, 0},
		{"lines", "application/x-ndjson", goodEvent + "\n\nnonsense\r\n" + goodEvent + "\n{\"user_id\":\n" + noUser + "\n" + goodEvent, 3, map[int]string{1: "invalid_json", 3: "invalid_json", 4: "missing_user_id"}, 0, 0},
		{"one bad line", "application/x-ndjson", "nonsense", 0, map[int]string{0: "invalid_json"}, 0, 0},
		{"bad utf-8", "application/json", "[{\"user_id\":\"\xff\",\"item_id\":\"i\",\"event_type\":\"view\"}," + goodEvent + "]", 1, map[int]string{0: "invalid_utf8"}, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newShop()
			srv, _ := serverOf(t, s, Config{})
			// Twice, so that the second uses the scratch of the first.
			for round := 1; round <= 2; round++ {
				res := ingest(t, srv.API(), tt.media, tt.body)
				if res.Accepted != tt.accepted || res.Duplicate != 0 || res.Rejected == nil {
					t.Errorf("%+v, want %d accepted", res, tt.accepted)
				}
				got := map[int]string{}
				for _, r := range res.Rejected {
					if r.Detail == "" {
						t.Errorf("no detail: %+v", r)
					}
					got[r.Index] = r.Code
				}
				if len(got) != len(tt.rejected) || (len(got) > 0 && !reflect.DeepEqual(got, tt.rejected)) {
					t.Errorf("rejected %v, want %v", got, tt.rejected)
				}
				if len(s.records) != round*tt.accepted || len(s.letters) != round*len(tt.rejected) {
					t.Fatalf("%d records and %d letters after round %d", len(s.records), len(s.letters), round)
				}
				want := Ingested{Accepted: tt.accepted, Rejected: len(tt.rejected), UnknownFields: tt.unknown, Clamped: tt.clamped}
				if s.ingested != want {
					t.Errorf("observed %+v, want %+v", s.ingested, want)
				}
			}
			for _, r := range s.records {
				if r.Kind != event.KindEvent || r.Source.Name != "http" || r.Event.UserID != "u" || r.Event.ItemID != "i" ||
					r.Event.Time < 1790000000000 || r.Event.Time > 1790000000000+5*60*1000 {
					t.Errorf("record %+v", r)
				}
			}
			for _, l := range s.letters {
				if l.Source != "http" || l.Time != 1790000000000 || len(l.Raw) == 0 || !strings.Contains(tt.body, string(l.Raw)) {
					t.Errorf("letter %+v", l)
				}
			}
		})
	}
}

// TestBrokenArray: what was given up behind a syntax error is said, and only
// then.
func TestBrokenArray(t *testing.T) {
	srv, _ := serverOf(t, newShop(), Config{})
	for body, lost := range map[string]bool{
		"[" + goodEvent + `,{"user_id":"u" "item_id":"i"},` + goodEvent + "]": true,
		"[" + goodEvent: true,
		"[" + goodEvent + ",5," + goodEvent + "]": false,
	} {
		w := call{do: "POST /v1/events", body: body}.to(srv.API())
		if w.Code != 202 || strings.Contains(w.Body.String(), "nothing behind this one was read, send the rest again") != lost {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
}

func TestUndecodableBodyIsKeptAsALetter(t *testing.T) {
	s := newShop()
	srv, _ := serverOf(t, s, Config{})
	w := call{do: "POST /v1/events", body: "nonsense"}.to(srv.API())
	if w.Code != 400 || len(s.letters) != 1 || string(s.letters[0].Raw) != "nonsense" {
		t.Errorf("%d, letters %+v", w.Code, s.letters)
	}
}

func TestLettersThatCannotBeKeptRefuseTheRequest(t *testing.T) {
	s := newShop()
	s.lettersErr = errors.New("no space left on device")
	srv, _ := serverOf(t, s, Config{})
	w := call{do: "POST /v1/events", body: "[" + goodEvent + ",{}]"}.to(srv.API())
	if w.Code != 500 || len(s.records) != 0 {
		t.Errorf("%d with %d records kept: %s", w.Code, len(s.records), w.Body)
	}
}

func TestALogThatFillsUpMidwayListsWhatIsLost(t *testing.T) {
	const n = 2*chunkRecords + 100 // one event is 48 bytes: the count closes a chunk, not the bytes
	body := strings.Repeat(goodEvent+"\n", n-1) + "{}\n"
	s := newShop()
	calls := 0
	s.submit = func(records []event.Record) (Result, error) {
		if calls++; calls > 1 {
			return Result{}, fmt.Errorf("append: %w", ErrBusy)
		}
		return Result{Accepted: len(records) - 1, Duplicate: 1}, nil
	}
	srv, _ := serverOf(t, s, Config{})
	res := ingest(t, srv.API(), "application/x-ndjson", body)
	if res.Accepted != chunkRecords-1 || res.Duplicate != 1 || len(res.Rejected) != n-chunkRecords {
		t.Fatalf("%d accepted, %d rejected", res.Accepted, len(res.Rejected))
	}
	for i, r := range res.Rejected {
		if r.Index != chunkRecords+i || r.Code != "bus_full" {
			t.Fatalf("rejected[%d] = %+v", i, r)
		}
	}
	if calls != 2 || len(s.letters) != 0 {
		t.Errorf("%d calls of the log, %d letters for events that are not broken", calls, len(s.letters))
	}
	// Refused at once, nothing is kept and the whole request fails.
	w := call{do: "POST /v1/events", headers: "Content-Type: application/x-ndjson", body: body}.to(srv.API())
	if p := problemOf(t, w); w.Code != 503 || p.Code != "bus_full" {
		t.Errorf("%d %+v", w.Code, p)
	}
}

// TestConcurrentIngest is for the race detector: pooled scratch must not be
// shared, and what the log has seen must not change afterwards.
func TestConcurrentIngest(t *testing.T) {
	s := newShop()
	srv, _ := serverOf(t, s, Config{})
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 50 {
				body := fmt.Sprintf(`[{"user_id":"u%d","item_id":"%d","event_type":"view"},{"user_id":"bad"}]`, g, i)
				if res := ingest(t, srv.API(), "application/json", body); res.Accepted != 1 || len(res.Rejected) != 1 {
					t.Errorf("%+v", res)
				}
				call{do: "GET /v1/recommend?user_id=u"}.to(srv.API())
			}
		})
	}
	all.Wait()
	seen := map[string]int{}
	for _, r := range s.records {
		seen[r.Event.UserID+" "+r.Event.ItemID]++
	}
	if len(seen) != 8*50 {
		t.Errorf("%d distinct events, want %d", len(seen), 8*50)
	}
}

func TestLargeBatchesDoNotStayInMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("allocates a body of 16 MiB")
	}
	s := newShop()
	s.submit = func(records []event.Record) (Result, error) {
		if len(records) > chunkRecords {
			t.Errorf("%d records at once", len(records))
		}
		return Result{Accepted: len(records)}, nil
	}
	srv, _ := serverOf(t, s, Config{})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	n := (16 << 20) / (len(goodEvent) + 1)
	if res := ingest(t, srv.API(), "application/x-ndjson", strings.Repeat(goodEvent+"\n", n)); res.Accepted != n {
		t.Errorf("%d accepted, want %d", res.Accepted, n)
	}
	runtime.GC()
	runtime.GC() // pools let go at the second
	runtime.ReadMemStats(&after)
	if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); kept > 8<<20 {
		t.Errorf("%d bytes are still in use", kept)
	}
}

// nobody takes every record and keeps none.
type nobody struct{}

func (nobody) WriteHeader(int)             {}
func (nobody) Write(p []byte) (int, error) { return len(p), nil }

type sink struct {
	nobody
	h http.Header
}

func (s sink) Header() http.Header { return s.h }

// The limit: reading the JSON of an event costs about 0.3 us; everything else
// here should cost less than 1 us an event.
// TestManyRejected: an answer names each rejected record, so there is an end to
// them, and the answer says that the rest was not read; what stood before it is
// taken.
func TestManyRejected(t *testing.T) {
	for _, c := range []struct {
		bad, good int
		cut       bool
	}{{maxRejected, 0, false}, {maxRejected, 1, true}, {maxRejected + 5, 0, true}} {
		s := newShop()
		s.submit = func(records []event.Record) (Result, error) { return Result{Accepted: len(records)}, nil }
		srv, _ := serverOf(t, s, Config{})
		body := goodEvent + "\n" + strings.Repeat("{}\n", c.bad) + strings.Repeat(goodEvent+"\n", c.good)
		w := call{do: "POST /v1/events", headers: "Content-Type: application/x-ndjson", body: body}.to(srv.API())
		var got struct {
			Accepted int
			Rejected []struct{ Detail string }
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 202 {
			t.Fatal(w.Code, err)
		}
		last := got.Rejected[len(got.Rejected)-1].Detail
		if got.Accepted != 1 || len(got.Rejected) != maxRejected || strings.Contains(last, "send the rest again") != c.cut {
			t.Errorf("%d bad and %d good: %d accepted, %d rejected, the last %q", c.bad, c.good, got.Accepted, len(got.Rejected), last)
		}
	}
}

func BenchmarkIngest100(b *testing.B) {
	s := newShop()
	s.submit = func(records []event.Record) (Result, error) { return Result{Accepted: len(records)}, nil }
	srv, _ := serverOf(b, s, Config{})
	var body strings.Builder
	for i := range 100 {
		fmt.Fprintf(&body, `{"user_id":"user-%d","item_id":"item-%d","event_type":"view","ts":"2026-09-22T10:00:00Z","event_id":"e-%d","session_id":"s-%d"}`+"\n", i%40, i*7, i, i%40)
	}
	h := srv.API()
	c := call{do: "POST /v1/events", headers: "Content-Type: application/x-ndjson", body: body.String()}
	b.Run("handler", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			h.ServeHTTP(sink{h: http.Header{}}, c.request())
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/event")
	})
	b.Run("parse-only", func(b *testing.B) {
		raw := []byte(body.String())
		var e event.Event
		for b.Loop() {
			event.SplitBatch(mediaNDJSON, raw, func(_ int, line []byte) error {
				event.ParseEvent(line, &e)
				return nil
			})
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/event")
	})
}

// The limit: an echo hello-world spends 18 to 28 us of CPU on a whole request,
// nearly all of it in the kernel and net/http; what is added here should be
// lost in that.
func BenchmarkRecommend(b *testing.B) {
	s := newShop()
	s.list.Picks = nil
	for i := range 20 {
		s.list.Picks = append(s.list.Picks, Pick{ItemID: fmt.Sprintf("item-%d", i), Score: 1 / float32(i+1)})
	}
	srv, _ := serverOf(b, s, Config{})
	h := srv.API()
	for _, do := range []string{"GET /livez", "GET /recommend?user_id=user-17", "GET /v1/recommend?user_id=user-17&limit=20"} {
		b.Run(strings.ReplaceAll(do, "/", "."), func(b *testing.B) {
			r := call{do: do}.request()
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(sink{h: http.Header{}}, r)
			}
		})
	}
}
