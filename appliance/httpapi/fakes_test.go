package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"vitrine/appliance/access"
	"vitrine/appliance/httpapi/adminapi"
	"vitrine/appliance/httpapi/entities"
	"vitrine/bridge/event"
)

// What the routes that take many records are told by, and where they end; see
// intake.
const (
	mediaJSON    = "application/json"
	mediaNDJSON  = "application/x-ndjson"
	chunkRecords = 4096
	maxRejected  = 10_000
	maxItems     = 10_000
)

// shop fakes all parts behind the handlers. Its fields say how it behaves.
type shop struct {
	mu        sync.Mutex
	records   []event.Record
	letters   []Letter
	listQuery ListQuery
	query     Query
	imports   []ImportRequest

	// submit, when set, answers instead of keeping.
	submit     func(records []event.Record) (Result, error)
	lettersErr error
	list       List
	recommend  func(q *Query) error
	importer   func(ctx context.Context, body io.Reader) (adminapi.ImportResult, error)
	ready      error
	past       []entities.Past
	rollback   error
	routes     map[string]int
	ingested   Ingested
	served     []string
}

// Served notes a list as KIND SUBJECT REQUEST USER ITEMS.
func (s *shop) Served(in Served) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.served = append(s.served, fmt.Sprint(in.Kind, " ", in.Subject, " ", in.RequestID, " ", in.Query.UserID, " ", len(in.List.Picks)))
}

func newShop() *shop {
	return &shop{
		list: List{
			Picks: []Pick{{ItemID: "i1", Score: 0.5}, {ItemID: "i2", Score: 0.25}}, Source: SourceLive, ModelVersion: "20260101-000000",
			ModelAge: 90 * time.Second, Exact: true,
		},
		routes: map[string]int{},
	}
}

func (s *shop) Submit(_ context.Context, records []event.Record) (Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.submit != nil {
		return s.submit(records)
	}
	s.records = append(s.records, records...)
	return Result{Accepted: len(records)}, nil
}

func (s *shop) Known(t string) bool { return t == "view" || t == "purchase" }

func (s *shop) answer(list *List) error {
	picks := append(list.Picks[:0], s.list.Picks...)
	*list = s.list
	list.Picks = picks
	return nil
}

func (s *shop) Rank(ctx context.Context, q *Query, items []string, list *List) error {
	if err := s.Recommend(ctx, q, list); err != nil {
		return err
	}
	list.Picks = list.Picks[:0]
	for _, id := range items {
		list.Picks = append(list.Picks, Pick{ItemID: id})
	}
	return nil
}

func (s *shop) Explain(_ context.Context, q *Query, itemID string) (Explanation, error) {
	if itemID == "nothing" {
		return Explanation{}, ErrNotFound
	}
	s.mu.Lock()
	s.query = *q
	s.mu.Unlock()
	return Explanation{Stage: "seen", Detail: "was seen", Score: 2, ModelRank: 3, Reasons: []Reason{{"item", "i2", 0.5}}, Source: SourceLive}, nil
}

// shopRules are rules that keep what they are given.
type shopRules struct{ set *adminapi.RuleSet }

func (r shopRules) Rules(version int) (adminapi.RuleSet, int, error) {
	if version > r.set.Version {
		return adminapi.RuleSet{}, 0, &Problem{Status: 404, Code: "unknown_version"}
	}
	set := *r.set
	if version != 0 {
		set.Version = version
	}
	return set, r.set.Version, nil
}

func (r shopRules) SetRules(body []byte, check bool, hold func(int) error) (adminapi.RuleSet, error) {
	var set adminapi.RuleSet
	if err := hold(r.set.Version); err != nil {
		return set, err
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return set, &Problem{Status: 400, Code: "invalid_rules", Faults: []adminapi.Fault{{Rule: 1, Field: "slot", Detail: "no"}}}
	}
	set.Version = r.set.Version + 1
	if !check {
		*r.set = set
	}
	return set, nil
}

func (s *shop) Recommend(_ context.Context, q *Query, list *List) error {
	s.mu.Lock()
	s.query = *q
	s.mu.Unlock()
	if s.recommend != nil {
		if err := s.recommend(q); err != nil {
			return err
		}
	}
	return s.answer(list)
}

func (s *shop) RecommendBatch(ctx context.Context, qs []Query, lists []List) (int, error) {
	for i := range qs {
		if err := s.Recommend(ctx, &qs[i], &lists[i]); err != nil {
			return i, err
		}
	}
	return 0, nil
}

func (s *shop) Similar(_ context.Context, id string, limit int, list *List) error {
	s.mu.Lock()
	s.query = Query{Limit: limit, UserID: id}
	s.mu.Unlock()
	if id == "nope" {
		return fmt.Errorf("similar to %s: %w", id, ErrNotFound)
	}
	return s.answer(list)
}

func (s *shop) Popular(_ context.Context, q *ListQuery, list *List) error {
	s.mu.Lock()
	s.listQuery = *q
	s.mu.Unlock()
	*list = List{Picks: append(list.Picks[:0], s.list.Picks[:min(q.Limit, len(s.list.Picks))]...), Source: SourcePopular}
	return nil
}

func (s *shop) Trending(_ context.Context, q *ListQuery, list *List) error {
	s.mu.Lock()
	s.listQuery = *q
	s.mu.Unlock()
	return s.answer(list)
}

func (s *shop) Latest(ctx context.Context, q *ListQuery, list *List) error {
	return s.Trending(ctx, q, list)
}

func (s *shop) Attributes(id string, dst []event.Attribute) []event.Attribute {
	it, _ := s.Item(id)
	return append(dst, it.Attributes...)
}

func (s *shop) Item(id string) (event.Item, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	it, ok := firstItem(id)
	for i := range s.records {
		switch r := &s.records[i]; {
		case r.Item.ID != id:
		case r.Kind == event.KindItemDelete:
			it, ok = event.Item{}, false
		case r.Kind == event.KindItemPut:
			it, ok = r.Item, true
		case r.Kind == event.KindItemPatch:
			it.Attributes, ok = event.MergeAttributes(it.Attributes, r.Item.Attributes), true
			if r.Item.ExpiresAt != 0 {
				it.ExpiresAt = r.Item.ExpiresAt
			}
		}
	}
	return it, ok
}

func (s *shop) User(id string) (u event.User, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id == "u1" {
		u, ok = event.User{ID: "u1", Attributes: []event.Attribute{{Name: "region", Value: event.Value{Kind: event.String, Str: "north"}}}}, true
	}
	for i := range s.records {
		switch r := &s.records[i]; {
		case r.User.ID != id:
		case r.Kind == event.KindUserErase:
			u, ok = event.User{}, false
		case r.Kind == event.KindUserPut:
			u, ok = r.User, true
		case r.Kind == event.KindUserPatch:
			u.Attributes, ok = event.MergeAttributes(u.Attributes, r.User.Attributes), true
		}
	}
	return u, ok
}

func (s *shop) Seen(id string) bool { _, ok := s.Item(id); return ok }

func (s *shop) Erased(id string) (e entities.Erasure, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.records {
		if r := &s.records[i]; r.Kind == event.KindUserErase && r.User.ID == id {
			e, ok = entities.Erasure{At: r.User.Time}, true
		}
	}
	return e, ok
}

func (s *shop) History(id string, dst []entities.Past) []entities.Past {
	if id != "u1" {
		return dst
	}
	return append(dst, s.past...)
}

// firstItem is the one item that every shop has.
func firstItem(id string) (event.Item, bool) {
	if id != "i1" {
		return event.Item{}, false
	}
	return event.Item{ID: "i1", ExpiresAt: 1790000000500, Attributes: []event.Attribute{
		{Name: "price", Value: event.Value{Kind: event.Number, Num: 9.5}},
		{Name: "tags", Value: event.Value{Kind: event.Set, Set: []string{"a", "b"}}},
		{Name: "title", Value: event.Value{Kind: event.String, Str: "A \"quoted\" <title>"}},
		{Name: "vegan", Value: event.Value{Kind: event.Bool, Bool: true}},
	}}, true
}

// shopLetters is apart because List and Get are other methods elsewhere.
type shopLetters struct{ *shop }

func (s shopLetters) Add(_ context.Context, letters []Letter) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lettersErr != nil {
		return 0, s.lettersErr
	}
	for _, l := range letters {
		l.Raw = bytes.Clone(l.Raw)
		s.letters = append(s.letters, l)
	}
	return len(letters), nil
}

func (s shopLetters) List(_ int, cursor string) (LetterPage, error) {
	if cursor == "bad" {
		return LetterPage{}, ErrNotFound
	}
	return LetterPage{Total: 2, Next: "c2", Letters: []Letter{
		{ID: "a1", Source: "x.csv", Line: 3, Code: "missing_user_id", Detail: "no user", Time: 1790000000000, Raw: []byte("x,y")},
	}}, nil
}

func (s shopLetters) Replay(_ context.Context, req adminapi.Replay) (adminapi.ReplayResult, error) {
	if req.Ids != nil && (*req.Ids)[0] != "a1" {
		return adminapi.ReplayResult{}, ErrNotFound
	}
	return adminapi.ReplayResult{Read: 2, Accepted: 1, Rejected: []adminapi.ReplayRejection{{ID: "a1", Code: "missing_user_id", Detail: "no user"}}}, nil
}

func (s shopLetters) Get(id string) (Letter, error) {
	if id != "a1" {
		return Letter{}, ErrNotFound
	}
	return Letter{ID: "a1", Source: "x.csv", Line: 3, Code: "missing_user_id", Detail: "no user", Time: 1790000000000, Raw: []byte("x,\xff"), Truncated: true}, nil
}

type shopAdmin struct{ *shop }

func (s shopAdmin) Import(ctx context.Context, body io.Reader, req ImportRequest) (adminapi.ImportResult, error) {
	s.mu.Lock()
	s.imports = append(s.imports, req)
	s.mu.Unlock()
	if s.importer != nil {
		return s.importer(ctx, body)
	}
	n, err := io.Copy(io.Discard, body)
	return adminapi.ImportResult{Read: n, Accepted: n, Seconds: 0.5}, err
}

func (s shopAdmin) Start(_ context.Context, req adminapi.JobRequest) (adminapi.Job, error) {
	return adminapi.Job{ID: "j 1", Kind: req.Kind, State: adminapi.Queued, CreatedAt: time.Unix(1790000000, 0).UTC()}, nil
}

func (s shopAdmin) Jobs() []adminapi.Job {
	job, _ := s.Job("j 1")
	return []adminapi.Job{job}
}

func (s shopAdmin) Job(id string) (adminapi.Job, error) {
	if id != "j 1" {
		return adminapi.Job{}, ErrNotFound
	}
	at := time.Unix(1790000000, 0).UTC()
	return adminapi.Job{
		ID: id, Kind: adminapi.Train, State: adminapi.Done, CreatedAt: at, StartedAt: &at, FinishedAt: &at,
		Progress: &adminapi.JobProgress{Stage: "train", Done: 16, Total: 16},
		Report: &adminapi.TrainReport{
			Users: 5, Items: 6, Interactions: 7, Seconds: map[string]float64{"fit": 1.5}, Options: map[string]any{"train.rank": 64, "k": 10},
			Models: []adminapi.ModelMetrics{{
				Name: "als", Published: true, Metrics: map[string]float64{"ndcg@10": 0.1},
				Interval: map[string][]float64{"ndcg@10": {0.05, 0.15}},
			}},
		},
		Verdict: &adminapi.Verdict{Published: true, Version: "v2", Reason: "better than popularity"},
	}, nil
}

func (s shopAdmin) List() ([]adminapi.Model, error) {
	return []adminapi.Model{{Version: "v2", Parent: "v1", State: adminapi.Live, CreatedAt: time.Unix(1790000000, 0).UTC(), Position: 9}}, nil
}

func (s shopAdmin) Rollback(context.Context) (adminapi.Model, error) {
	return adminapi.Model{Version: "v1", State: adminapi.Live, CreatedAt: time.Unix(1790000000, 0).UTC()}, s.rollback
}

func (s shopAdmin) Pipeline(context.Context) (adminapi.Pipeline, error) {
	var p adminapi.Pipeline
	p.Bus.State, p.Bus.Last, p.Archive.Position, p.Archive.Lag = adminapi.BusOk, 9, 7, 2
	p.Bus.Lost = []adminapi.PipelineLoss{}
	p.Bus.Wanted = []adminapi.PipelineWanted{{Topic: "user-events", Partition: 3, From: 7, To: new(int64(9)), Error: new("no Kafka is configured"), Hint: new("set kafka.brokers")}}
	p.Bus.Missed = []adminapi.PipelineMissed{{Topic: "user-events", From: 7, Why: adminapi.MissedPassed, At: time.Unix(1790000000, 0).UTC()}}
	return p, nil
}

func (s shopAdmin) GiveUp(_ context.Context, topic string) ([]adminapi.PipelineWanted, error) {
	if topic != "user-events" {
		return nil, &Problem{Status: http.StatusNotFound, Code: "nothing_wanted", Detail: "nothing of it", Hint: "/v1/pipeline"}
	}
	return []adminapi.PipelineWanted{{Topic: topic, Partition: 3, From: 7}}, nil
}

func (s shopAdmin) Backup(_ context.Context, w io.Writer) error {
	if s.ready != nil {
		return s.ready
	}
	_, err := io.WriteString(w, "a tar stream")
	return err
}

func (s shopAdmin) Export(_ context.Context, req ExportRequest, w io.Writer, begin func(int64)) error {
	if s.ready != nil {
		return s.ready
	}
	begin(int64(req.Limit))
	_, err := io.WriteString(w, `{"rows":0,"failed":0}`+"\n")
	return err
}

func (s *shop) Live() error  { return nil }
func (s *shop) Ready() error { return s.ready }

func (s *shop) Request(route string, code int, _ time.Duration) {
	s.mu.Lock()
	s.routes[fmt.Sprintf("%s %d", route, code)]++
	s.mu.Unlock()
}
func (s *shop) Listed(string, string) {}
func (s *shop) Ingested(n Ingested)   { s.mu.Lock(); s.ingested = n; s.mu.Unlock() }

// shopPlugins fakes the plugin host with one plugin.
type shopPlugins struct{}

func (shopPlugins) List() []adminapi.Plugin {
	return []adminapi.Plugin{{Name: "boost", Version: "1.0.0", State: adminapi.Active, Sha256: "00"}}
}

func (p shopPlugins) Install(_ context.Context, in adminapi.PluginInstall) (adminapi.Plugin, error) {
	if string(in.Wasm) != "\x00asm" {
		return adminapi.Plugin{}, &Problem{Status: http.StatusUnprocessableEntity, Code: "plugin_refused", Detail: "it is no wasm module"}
	}
	return p.List()[0], nil
}

func (p shopPlugins) SetEnabled(_ context.Context, name string, _ bool) (adminapi.Plugin, error) {
	if name != "boost" {
		return adminapi.Plugin{}, ErrNotFound
	}
	return p.List()[0], nil
}

func (p shopPlugins) Remove(_ context.Context, name string) error {
	_, err := p.SetEnabled(context.Background(), name, false)
	return err
}

// shopKeys are none, until a test makes some.
func shopKeys(t testing.TB) *access.Store {
	t.Helper()
	store, err := access.Open(filepath.Join(t.TempDir(), "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// serverOf is a server over the fakes; its log goes to the returned buffer.
func serverOf(t testing.TB, s *shop, cfg Config) (*Server, *lockedBuffer) {
	t.Helper()
	log := new(lockedBuffer)
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		io.WriteString(w, "vitrine_up 1\n")
	})
	srv, err := New(cfg, Deps{
		Ingester: s, Types: s, Recommender: s, Items: s, Users: s, DeadLetters: shopLetters{s}, Importer: shopAdmin{s},
		Jobs: shopAdmin{s}, Models: shopAdmin{s}, Plugins: shopPlugins{}, Rules: shopRules{&adminapi.RuleSet{Rules: []map[string]any{}}}, Pipeline: shopAdmin{s}, Backup: shopAdmin{s}, Exporter: shopAdmin{s}, Readiness: s, Metrics: metrics, Observer: s, Served: s, Keys: shopKeys(t),
		Now: func() time.Time { return time.UnixMilli(1790000000000) },
	}, slog.New(slog.NewJSONHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return srv, log
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// call is one request as a test writes it: "METHOD /path", headers as "Name:
// value" lines.
type call struct {
	do, headers, body string
}

func (c call) request() *http.Request {
	method, target, _ := strings.Cut(c.do, " ")
	r := httptest.NewRequest(method, target, strings.NewReader(c.body))
	if c.body == "" {
		r.Body = http.NoBody
	}
	for line := range strings.Lines(c.headers) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if name == "Host" {
			r.Host = value
		} else {
			r.Header.Set(name, value)
		}
	}
	if c.body != "" && r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

func (c call) to(h http.Handler) *httptest.ResponseRecorder { return recorded(h, c.request()) }

func recorded(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

type importFails struct {
	counts adminapi.ImportResult
	err    error
}

func (f importFails) Import(context.Context, io.Reader, ImportRequest) (adminapi.ImportResult, error) {
	return f.counts, f.err
}
