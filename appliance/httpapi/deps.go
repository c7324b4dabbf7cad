package httpapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"vitrine/appliance/httpapi/adminapi"
	"vitrine/appliance/httpapi/early"
	"vitrine/appliance/httpapi/entities"
	"vitrine/appliance/httpapi/intake"
	"vitrine/appliance/httpapi/letters"
	"vitrine/appliance/httpapi/operate"
	"vitrine/bridge/event"
)

// Result is what became of submitted records.
type Result = entities.Result

// Ingester puts records into the durable log. Submit returns when they are on
// disk and visible to answers. On an error nothing of the records was or will
// be kept: the records of one call come from at most 1 MiB of JSON, so that
// they fit into one frame. It may be called concurrently; after it has returned
// without an error the records belong to the caller again.
type Ingester = entities.Ingester

// Query is one request for recommendations.
type Query struct {
	UserID string
	// Session are item ids, oldest first.
	Session []string
	Exclude []string
	// Limit lies between 1 and MaxLimit.
	Limit       int
	ExcludeSeen bool
	// Filter is a condition on the items' attributes; empty means none.
	Filter string
	// NotPersonalized asks for the popular list.
	NotPersonalized bool
	// Brief asks for a live list of what takes little time. It is the ladder's.
	Brief bool
	// Scene is where the list will stand, After the request id of the list that
	// it is the next page of; either may be empty.
	Scene, After string
	// RequestID is what this list can be gone on from.
	RequestID string
	// Explain is one of ExplainNone, ExplainItems and ExplainPlugins.
	Explain string
	// Now is the time of the request in Unix milliseconds.
	Now int64
}

// Pick is one item of a list.
type Pick struct {
	ItemID string
	Score  float32
	// Reasons are there where the query asks for them.
	Reasons []Reason
}

// Reason is one thing that brought an item to its place; see the document.
type Reason struct {
	Kind, Name string
	Change     float32
}

// The values of Query.Explain.
const (
	ExplainNone    = "none"
	ExplainItems   = "items"
	ExplainPlugins = "plugins"
)

// Explanation says what became of an item; see the document.
type Explanation struct {
	// Rank is the place in the list, 0 for an item that is not in it.
	Rank          int
	Stage, Detail string
	// ModelRank is 0 where the model has no score.
	Score     float32
	ModelRank int
	Reasons   []Reason
	// Source and Reason are those of the list.
	Source, Reason string
}

// The values of List.Source.
const (
	SourceLive     = "live"
	SourceLastGood = "last_good"
	SourcePopular  = "popular"
	SourceEmpty    = "empty"
)

// ReasonUnknownUser is the List.Reason for a user without any events; the
// plain route can be configured to answer it with an empty object.
const ReasonUnknownUser = "unknown_user"

// List is an answer, best first.
type List struct {
	// Picks is reused from answer to answer: append to Picks[:0].
	Picks []Pick
	// Source is one of live, last_good, popular and empty.
	Source string
	// Reason says in one word why Source is not live.
	Reason string
	// ModelVersion is empty when no model had a part in it.
	ModelVersion string
	ModelAge     time.Duration
	Exact        bool
	// Plugins tell what became of each active plugin; it is reused like Picks.
	Plugins []PluginCall
}

// PluginCall is what became of one plugin in one request; see the document.
type PluginCall struct {
	Name, Version, Stage, Status string
	Micros                       int64
}

// Recommender makes lists. It may be called concurrently. Similar and Explain
// return ErrNotFound for an item that is not in the catalogue.
type Recommender interface {
	Recommend(ctx context.Context, q *Query, list *List) error
	// RecommendBatch makes a list for each query. An error is about query at.
	RecommendBatch(ctx context.Context, qs []Query, lists []List) (at int, err error)
	Rank(ctx context.Context, q *Query, items []string, list *List) error
	Explain(ctx context.Context, q *Query, itemID string) (Explanation, error)
	Similar(ctx context.Context, itemID string, limit int, list *List) error
	Lists
}

// Items looks attributes up.
type Items = entities.Items

// Users looks attributes and histories up.
type Users = entities.Users

// Dead letters; see letters.
type (
	Letter      = letters.Letter
	LetterPage  = letters.Page
	DeadLetters = letters.Store
)

// ImportRequest describes a file that is streamed in.
type ImportRequest struct {
	Name string
	// Kind is "events", "items" or "users".
	Kind string
	// Format is "csv", "tsv", "ndjson", or empty to guess.
	Format                  string
	Map, Where, RemoveWhere string
	TSFormat, TZ            string
}

// Importer loads files. With an error the counts say what became of the rows
// before it; an error that the caller can mend should be a *Problem, any other
// is answered as an internal one.
type Importer interface {
	Import(ctx context.Context, body io.Reader, req ImportRequest) (adminapi.ImportResult, error)
}

// What operators manage; see operate.
type (
	Jobs    = operate.Jobs
	Models  = operate.Models
	Plugins = operate.Plugins
	Keys    = operate.Keys
)

// Rules are the business rules. A set that has faults is refused whole by a
// *Problem that lists them; check only looks for faults.
type Rules interface {
	// Rules are those of a version, of the one in force where it is 0, and which
	// one that is. A version that is not kept is a *Problem.
	Rules(version int) (set adminapi.RuleSet, inForce int, err error)
	// SetRules asks hold about the version in force, and nothing comes between
	// that and the change.
	SetRules(body []byte, check bool, hold func(version int) error) (adminapi.RuleSet, error)
}

// Pipeline tells where the data stands.
type Pipeline interface {
	Pipeline(ctx context.Context) (adminapi.Pipeline, error)
	// GiveUp wants nothing of a topic again, and returns what it was. Where it was
	// nothing, that is a *Problem.
	GiveUp(ctx context.Context, topic string) ([]adminapi.PipelineWanted, error)
}

// Readiness is nil when events can be taken (Live) and when answers can be
// given (Ready), else it says what is missing.
type Readiness interface {
	Live() error
	Ready() error
}

// Ingested counts what one request brought; see intake.
type Ingested = intake.Ingested

// Served is a list that was answered. Query and List are the request's own:
// they are not to be kept.
type Served struct {
	// RequestID is the list's own, which events can name.
	RequestID string
	// Kind is recommend, similar, popular, trending, latest or rank, Subject
	// the item of similar ones.
	Kind, Subject string
	Query         *Query
	List          *List
}

// ServedLog is told of every list that is answered. It must not block.
type ServedLog interface{ Served(Served) }

// Observer is told of every answer, for the metrics. route is the template of
// the document, such as /v1/items/:id, or "unmatched".
type Observer interface {
	Request(route string, code int, took time.Duration)
	Listed(source, reason string)
	Ingested(n Ingested)
}

// Deps are the parts behind the handlers. All are needed, but Observer, Served,
// Client and Now.
type Deps struct {
	Ingester    Ingester
	Types       event.Types
	Recommender Recommender
	Items       Items
	Users       Users
	DeadLetters DeadLetters
	Importer    Importer
	Jobs        Jobs
	Models      Models
	Plugins     Plugins
	Rules       Rules
	Pipeline    Pipeline
	Backup      Backup
	Exporter    Exporter
	Readiness   Readiness
	Keys        Keys
	Metrics     http.Handler
	Observer    Observer
	Served      ServedLog
	// Client is made for each connection, and says which requests for lists to refuse
	// as they come. The contexts of those about which it was asked are admit.Behind
	// who did.
	Client func() early.Client
	Now    func() time.Time
}

// missing names the parts that were forgotten.
func (d *Deps) missing() error {
	var errs []error
	for name, absent := range map[string]bool{
		"Ingester": d.Ingester == nil, "Types": d.Types == nil, "Recommender": d.Recommender == nil,
		"Items": d.Items == nil, "Users": d.Users == nil, "DeadLetters": d.DeadLetters == nil, "Importer": d.Importer == nil,
		"Jobs": d.Jobs == nil, "Models": d.Models == nil, "Plugins": d.Plugins == nil, "Rules": d.Rules == nil, "Pipeline": d.Pipeline == nil,
		"Backup": d.Backup == nil, "Exporter": d.Exporter == nil, "Readiness": d.Readiness == nil, "Keys": d.Keys == nil, "Metrics": d.Metrics == nil,
	} {
		if absent {
			errs = append(errs, errors.New("httpapi: Deps."+name+" is missing"))
		}
	}
	return errors.Join(errs...)
}

// silent is the Observer and the ServedLog of those who want none.
type silent struct{}

func (silent) Request(string, int, time.Duration) {}
func (silent) Listed(string, string)              {}
func (silent) Ingested(Ingested)                  {}
func (silent) Served(Served)                      {}
