package export

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"vitrine/appliance/catalog"
	"vitrine/appliance/httpapi"
	"vitrine/appliance/httpapi/adminapi"
	"vitrine/bridge/archive"
	"vitrine/bridge/event"
)

const day0 = 1_700_000_000_000

// shop is a source with an empty archive and catalogue, where users whose id
// begins with u have a history.
func shop(t *testing.T) Source {
	t.Helper()
	a, err := archive.Open(t.Context(), archive.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	c := catalog.New()
	return Source{
		Catalog: c, Archive: a, Flush: func(context.Context) error { return nil },
		HasHistory: func(user uint32) bool { return strings.HasPrefix(c.UserID(user), "u") },
		Factors:    func() (Factors, bool) { return Factors{}, false },
		Lists: func(ctx context.Context, qs []httpapi.Query, lists []httpapi.List, errs []error) error {
			for i, q := range qs {
				errs[i] = nil
				lists[i] = httpapi.List{Source: httpapi.SourceLive, ModelVersion: "v1"}
				for n := range q.Limit {
					lists[i].Picks = append(lists[i].Picks, httpapi.Pick{ItemID: fmt.Sprint(q.UserID, "-", n), Score: 0.5})
				}
			}
			return ctx.Err()
		},
		Query: httpapi.Query{Limit: 1}, Now: func() time.Time { return time.UnixMilli(day0) },
	}
}

// exported are the lines of a table, without the last, which it checks.
func exported(t *testing.T, src Source, req httpapi.ExportRequest) (rows []string, expected int64) {
	t.Helper()
	var out strings.Builder
	if err := New(src).Export(t.Context(), req, &out, func(n int64) { expected = n }); err != nil {
		t.Fatal(err)
	}
	rows = strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	last := rows[len(rows)-1]
	rows = rows[:len(rows)-1]
	if want := fmt.Sprintf(`{"rows":%d,"failed":0}`, len(rows)); last != want {
		t.Errorf("the last line is %s, want %s", last, want)
	}
	return rows, expected
}

func wantRows(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("rows\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestItemsAndUsers(t *testing.T) {
	src := shop(t)
	c := src.Catalog.(*catalog.Catalog)
	price := []event.Attribute{{Name: "price", Value: event.Value{Kind: event.Number, Num: 2.5}}}
	c.ApplyItem(&event.Item{ID: "i\"1", Time: day0, ExpiresAt: day0 + 1000, Attributes: price}, false)
	c.InternItem("seen only")
	c.ApplyItem(&event.Item{ID: "gone", Time: day0}, false)
	c.DeleteItem("gone", day0+1)
	c.ApplyUser(&event.User{ID: "a", Time: day0 + 5, Attributes: price}, false)
	c.InternUser("u1")
	c.ApplyUser(&event.User{ID: "erased", Time: day0, Attributes: price}, false)
	c.EraseUser("erased", day0)

	rows, expected := exported(t, src, httpapi.ExportRequest{Kind: adminapi.ExportItems})
	wantRows(t, rows,
		`{"item_id":"i\"1","attributes":{"price":2.5},"expires_at":"2023-11-14T22:13:21Z","ts":"2023-11-14T22:13:20Z"}`,
		`{"item_id":"seen only","attributes":{}}`)
	if expected != 3 {
		t.Errorf("%d rows were to be expected", expected)
	}
	rows, _ = exported(t, src, httpapi.ExportRequest{Kind: adminapi.ExportUsers})
	wantRows(t, rows, `{"user_id":"a","attributes":{"price":2.5},"ts":"2023-11-14T22:13:20.005Z"}`, `{"user_id":"u1","attributes":{}}`)
}

// TestEvents: an export has what a training reads: no repeats, nothing of who was
// erased, and guests' events as theirs whom they became.
func TestEvents(t *testing.T) {
	src := shop(t)
	view := func(user, id string, at int64) event.Record {
		return event.Record{Kind: event.KindEvent, Event: event.Event{UserID: user, ItemID: "i1", Type: "view", Time: day0 + at, EventID: id}}
	}
	full := view("u1", "e1", 0)
	full.Event.HasValue, full.Event.Value, full.Event.SessionID, full.Event.RequestID, full.Event.Position = true, 2, "s1", "r1", 3
	full.Event.Scene, full.Event.HasPrice, full.Event.Price, full.Event.Currency, full.Event.Props = "home", true, 9.5, "EUR", `{"a":1}`
	for seq, records := range [][]event.Record{
		{full, view("guest", "", 1), view("gone", "", 2)},
		{view("u1", "e1", 0), {Kind: event.KindUserMerge, User: event.User{ID: "guest", Into: "u2"}}, {Kind: event.KindUserErase, User: event.User{ID: "gone"}}},
		{view("gone", "", 3)},
	} {
		b, err := src.Archive.Begin(t.Context())
		for i := range records {
			if err == nil {
				err = b.Add(uint64(seq+1), &records[i])
			}
		}
		if err == nil {
			err = b.Commit(t.Context(), uint64(seq+1))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	rows, expected := exported(t, src, httpapi.ExportRequest{Kind: adminapi.ExportEvents})
	wantRows(t, rows,
		`{"user_id":"u1","item_id":"i1","event_type":"view","ts":"2023-11-14T22:13:20Z","value":2,"event_id":"e1","session_id":"s1","request_id":"r1","position":3,"scene":"home","price":9.5,"currency":"EUR","props":{"a":1}}`,
		`{"user_id":"u2","item_id":"i1","event_type":"view","ts":"2023-11-14T22:13:20.001Z"}`,
		`{"user_id":"gone","item_id":"i1","event_type":"view","ts":"2023-11-14T22:13:20.003Z"}`)
	if expected != 5 {
		t.Errorf("%d rows were to be expected", expected)
	}
	broken := errors.New("no disk")
	src.Flush = func(context.Context) error { return broken }
	if err := New(src).Export(t.Context(), httpapi.ExportRequest{Kind: adminapi.ExportEvents}, &strings.Builder{}, func(int64) {}); !errors.Is(err, broken) {
		t.Error(err)
	}
}

func TestModel(t *testing.T) {
	src := shop(t)
	c := src.Catalog.(*catalog.Catalog)
	c.InternUser("u1")
	c.InternUser("u2")
	c.EraseUser("u2", day0)
	c.InternUser("without a history")
	var problem *httpapi.Problem
	if err := New(src).Export(t.Context(), httpapi.ExportRequest{Kind: adminapi.ExportModel}, &strings.Builder{}, nil); !errors.As(err, &problem) || problem.Code != "no_model" {
		t.Errorf("without a model: %v", err)
	}
	src.Factors = func() (Factors, bool) {
		return Factors{
			Rank: 2, UserIDs: []string{"u1", "u2", "without a history", "never seen"}, Users: []float32{1, -0.25, 3, 3, 4, 4, 5, 5},
			ItemIDs: []string{"i1", "i2"}, Items: []float32{1e-9, 0, math.MaxFloat32, 7},
		}, true
	}
	rows, _ := exported(t, src, httpapi.ExportRequest{Kind: adminapi.ExportModel})
	wantRows(t, rows, `{"user_id":"u1","factors":[1,-0.25]}`, `{"item_id":"i1","factors":[1e-09,0]}`, `{"item_id":"i2","factors":[3.4028235e+38,7]}`)
}

// TestRecommendations: everybody with a history has a line, in the order of the
// codes whatever the number of workers; a list that cannot be made is counted.
func TestRecommendations(t *testing.T) {
	src := shop(t)
	c := src.Catalog.(*catalog.Catalog)
	var want []string
	for n := range 3*BatchSize + 7 {
		id := fmt.Sprint("u", n)
		if n%3 == 0 {
			c.InternUser(fmt.Sprint("x", n))
		}
		c.InternUser(id)
		want = append(want, fmt.Sprintf(`{"user_id":"%s","recommendations":[{"item_id":"%s-0","score":0.5},{"item_id":"%s-1","score":0.5}],"source":"live","model":"v1"}`, id, id, id))
	}
	listing := 0
	src.Listing = func() func() { listing++; return func() { listing += 10 } }
	for _, workers := range []int{0, 1, 3, 50} {
		src.Workers, listing = workers, 0
		rows, expected := exported(t, src, httpapi.ExportRequest{Kind: adminapi.ExportRecommendations, Limit: 2})
		wantRows(t, rows, want...)
		if expected != int64(len(want)) || listing != 11 {
			t.Errorf("%d rows were to be expected; told %d", expected, listing)
		}
	}
	whole := src.Lists
	src.Lists = func(ctx context.Context, qs []httpapi.Query, lists []httpapi.List, errs []error) error {
		if err := whole(ctx, qs, lists, errs); err != nil {
			return err
		}
		lists[0], errs[1] = httpapi.List{Source: httpapi.SourceEmpty, Reason: "no_items"}, errors.New("oh no")
		return nil
	}
	var out strings.Builder
	if err := New(src).Export(t.Context(), httpapi.ExportRequest{Kind: adminapi.ExportRecommendations}, &out, func(int64) {}); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(out.String(), `{"user_id":"u0","recommendations":[],"source":"empty","reason":"no_items"}`) || !strings.HasSuffix(out.String(), "\n{\"rows\":99,\"failed\":4}\n") {
		t.Errorf("it begins\n%.200s\nand ends %s", out.String(), out.String()[out.Len()-30:])
	}
}

// TestCancel: every table gives up when nobody waits any more, and what cannot be
// written ends it.
func TestCancel(t *testing.T) {
	src := shop(t)
	c := src.Catalog.(*catalog.Catalog)
	c.InternUser("u1")
	c.InternItem("i1")
	src.Factors = func() (Factors, bool) {
		return Factors{Rank: 1, UserIDs: []string{"u1"}, Users: []float32{1}}, true
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, kind := range []adminapi.ExportKind{adminapi.ExportEvents, adminapi.ExportItems, adminapi.ExportUsers, adminapi.ExportModel, adminapi.ExportRecommendations} {
		var out strings.Builder
		if err := New(src).Export(ctx, httpapi.ExportRequest{Kind: kind}, &out, func(int64) {}); !errors.Is(err, context.Canceled) || strings.Contains(out.String(), `"rows"`) {
			t.Errorf("%s: %v, %s", kind, err, out.String())
		}
		if kind == adminapi.ExportEvents {
			continue // there are none
		}
		if err := New(src).Export(t.Context(), httpapi.ExportRequest{Kind: kind}, full{}, func(int64) {}); !errors.Is(err, errFull) {
			t.Errorf("%s to a full disk: %v", kind, err)
		}
	}
}

var errFull = errors.New("no space left")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }
