package httpapi

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/labstack/echo/v4"

	"vitrine/appliance/httpapi/entities"
	"vitrine/appliance/httpapi/intake"
	"vitrine/appliance/httpapi/listquery"
	"vitrine/appliance/httpapi/publicapi"
	"vitrine/appliance/httpapi/wire"
	"vitrine/bridge/event"
)

// Bounds of the lists in a request; the document has the same.
const (
	maxSession = 500
	maxExclude = 1000
	maxFields  = 64
)

// Routes of packages of their own, by names of their own: a struct has them
// side by side.
type (
	entityRoutes = entities.Routes
	intakeRoutes = intake.Routes
)

// public answers the routes of the API listener.
type public struct {
	*Server
	*entityRoutes
	*intakeRoutes
	// pool holds *listing: with it a list costs no memory of its own.
	pool sync.Pool
	// live is the header of nearly all lists; never changed.
	live []string
}

// listing is the scratch of one list request.
type listing struct {
	// kind and subject are those of Served.
	kind, subject string

	query  Query
	list   List
	fields []string
	buf    []byte
	// attributes are those of one item.
	attributes []event.Attribute

	// read is what quickly reads.
	read listquery.Reader
}

func newPublic(s *Server) *public {
	p := &public{
		Server: s,
		entityRoutes: entities.New(entities.Deps{
			Ingester: s.deps.Ingester, Items: s.deps.Items, Users: s.deps.Users, Now: s.deps.Now,
		}),
		intakeRoutes: intake.New(intake.Deps{
			Ingester: s.deps.Ingester, Types: s.deps.Types, Letters: s.deps.DeadLetters, Counted: s.deps.Observer.Ingested,
			MaxBody: s.cfg.MaxBody, Bodies: s.bodies, Now: s.deps.Now, Log: s.log,
		}),
	}
	p.live = []string{SourceLive}
	p.pool.New = func() any { return new(listing) }
	return p
}

func (p *public) get(c echo.Context) *listing {
	l := p.pool.Get().(*listing)
	l.query = p.query(c)
	l.kind = "recommend"
	l.list = List{Picks: l.list.Picks[:0], Plugins: l.list.Plugins[:0]}
	l.fields, l.buf, l.subject = l.fields[:0], l.buf[:0], ""
	return l
}

// query is one that says nothing yet.
func (p *public) query(c echo.Context) Query {
	return Query{
		Now: p.deps.Now().UnixMilli(), Limit: p.cfg.Limit, ExcludeSeen: p.cfg.ExcludeSeen,
		RequestID: c.Response().Header()[wire.HeaderRequestID][0],
	}
}

// ArticleRecommend is GET /recommend, the article's API.
func (p *public) ArticleRecommend(c echo.Context, params publicapi.ArticleRecommendParams) error {
	l := p.get(c)
	defer p.pool.Put(l)
	if err := l.query.check(params.Limit); err != nil {
		return err
	}
	if params.UserID == nil || *params.UserID == "" {
		p.listed(c, SourceEmpty, "no_user")
		return send(c, http.StatusOK, append(l.buf, "{}\n"...))
	}
	l.query.UserID = *params.UserID
	if err := checkID("user_id", l.query.UserID); err != nil {
		return err
	}
	if err := p.deps.Recommender.Recommend(c.Request().Context(), &l.query, &l.list); err != nil {
		return fmt.Errorf("recommend: %w", err)
	}
	if p.cfg.EmptyForUnknown && l.list.Reason == ReasonUnknownUser {
		p.listed(c, SourceEmpty, ReasonUnknownUser)
		return send(c, http.StatusOK, append(l.buf, "{}\n"...))
	}
	p.listed(c, l.list.Source, l.list.Reason)
	p.keep(l)
	b := append(l.buf, `{"recommendations":[`...)
	for i := range l.list.Picks {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, l.list.Picks[i].ItemID)
	}
	l.buf = append(b, "]}\n"...)
	return send(c, http.StatusOK, l.buf)
}

// Recommend is GET /v1/recommend.
func (p *public) Recommend(c echo.Context, params publicapi.RecommendParams) error {
	if err := onlyParams(c, append(queryParams(), "fields", "explain")...); err != nil {
		return err
	}
	body := &publicapi.RecommendRequest{
		UserID: value(params.UserID), Session: value(params.Session), Limit: params.Limit, Scene: value(params.Scene),
		Filter: value(params.Filter), Exclude: value(params.Exclude), ExcludeSeen: params.ExcludeSeen,
		Personalized: params.Personalized, After: value(params.After), Explain: value(params.Explain),
	}
	listquery.Spread(body, p.deps.Items)
	return p.recommend(c, body, params.Fields)
}

// queryParams are the parameters that say which list is wanted.
func queryParams() []string {
	return []string{"user_id", "session", "limit", "scene", "filter", "exclude", "exclude_seen", "personalized", "after"}
}

// value is what a parameter holds, or nothing.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// RecommendPost is POST /v1/recommend.
func (p *public) RecommendPost(c echo.Context) error {
	if err := onlyParams(c); err != nil {
		return err
	}
	var body recommendBody
	if err := readJSON(c, &body); err != nil {
		return err
	}
	return p.recommend(c, body.request(), &body.Fields)
}

// recommendBody is the document's RecommendRequest with ids that may be
// integers, as events have them.
type recommendBody struct {
	UserID       wire.LooseID   `json:"user_id"`
	Session      []wire.LooseID `json:"session"`
	Exclude      []wire.LooseID `json:"exclude"`
	Fields       []string       `json:"fields"`
	Limit        *int           `json:"limit"`
	ExcludeSeen  *bool          `json:"exclude_seen"`
	Filter       string         `json:"filter"`
	Scene        string         `json:"scene"`
	After        string         `json:"after"`
	Explain      string         `json:"explain"`
	Personalized *bool          `json:"personalized"`
}

// request is the generated form.
func (b *recommendBody) request() *publicapi.RecommendRequest {
	return &publicapi.RecommendRequest{
		UserID: string(b.UserID), Session: texts(b.Session), Exclude: texts(b.Exclude), Limit: b.Limit, ExcludeSeen: b.ExcludeSeen,
		Filter: b.Filter, Scene: b.Scene, After: b.After, Explain: b.Explain, Personalized: b.Personalized,
	}
}

func texts(ids []wire.LooseID) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = string(id)
	}
	return out
}

func (p *public) recommend(c echo.Context, body *publicapi.RecommendRequest, fields *[]string) error {
	l := p.get(c)
	defer p.pool.Put(l)
	if err := p.ask(c, l, body, fields); err != nil {
		return err
	}
	return p.sendList(c, l, "user_id", l.query.UserID)
}

// ask makes the list for one body.
func (p *public) ask(c echo.Context, l *listing, body *publicapi.RecommendRequest, fields *[]string) error {
	if err := l.query.take(body); err != nil {
		return err
	}
	if err := l.setFields(fields); err != nil {
		return err
	}
	if err := p.deps.Recommender.Recommend(c.Request().Context(), &l.query, &l.list); err != nil {
		return fmt.Errorf("recommend: %w", err)
	}
	return nil
}

// take makes the query of a request.
func (q *Query) take(body *publicapi.RecommendRequest) error {
	q.UserID, q.Session, q.Exclude, q.Filter = body.UserID, body.Session, body.Exclude, body.Filter
	q.Scene, q.After, q.Explain = body.Scene, body.After, body.Explain
	if body.ExcludeSeen != nil {
		q.ExcludeSeen = *body.ExcludeSeen
	}
	q.NotPersonalized = body.Personalized != nil && !*body.Personalized
	if q.UserID == "" && len(q.Session) == 0 && !q.NotPersonalized && q.After == "" {
		return refuse("missing_user_id", "there is neither a user_id nor a session").
			With("give one of them, or personalized=false for popular items")
	}
	switch q.Explain {
	case "":
		q.Explain = ExplainNone
	case ExplainNone, ExplainItems, ExplainPlugins:
	default:
		return refuse("invalid_explain", "explain must be none, items or plugins, not %.40q", q.Explain)
	}
	for _, id := range [...][2]string{{"scene", q.Scene}, {"after", q.After}} {
		if id[1] != "" {
			if err := checkID(id[0], id[1]); err != nil {
				return err
			}
		}
	}
	return q.check(body.Limit)
}

// SimilarItems is GET /v1/items/{id}/similar.
func (p *public) SimilarItems(c echo.Context, id publicapi.ItemID, params publicapi.SimilarItemsParams) error {
	l := p.get(c)
	defer p.pool.Put(l)
	if err := l.plain(c, params.Limit, params.Fields); err != nil {
		return err
	}
	if err := checkID("id", id); err != nil {
		return err
	}
	l.kind, l.subject = "similar", id
	if err := p.deps.Recommender.Similar(c.Request().Context(), id, l.query.Limit, &l.list); err != nil {
		return entities.UnknownItem(err, id)
	}
	return p.sendList(c, l, "item_id", id)
}

// plain takes the parameters of a list that is nobody's own.
func (l *listing) plain(c echo.Context, limit *int, fields *[]string) error {
	if err := onlyParams(c, "limit", "fields"); err != nil {
		return err
	}
	if err := l.query.check(limit); err != nil {
		return err
	}
	return l.setFields(fields)
}

// check takes the limit and holds everything against the document's bounds,
// which the generated server does not enforce.
func (q *Query) check(limit *int) error {
	if limit != nil {
		if *limit < 1 || *limit > MaxLimit {
			return badLimit()
		}
		q.Limit = *limit
	}
	if q.UserID != "" {
		if err := checkID("user_id", q.UserID); err != nil {
			return err
		}
	}
	if len(q.Session) > maxSession {
		return refuse("invalid_session", "session has %d items, the most is %d", len(q.Session), maxSession)
	}
	if len(q.Exclude) > maxExclude {
		return refuse("invalid_exclude", "exclude has %d items, the most is %d", len(q.Exclude), maxExclude)
	}
	for _, id := range q.Session {
		if err := checkID("session", id); err != nil {
			return err
		}
	}
	for _, id := range q.Exclude {
		if err := checkID("exclude", id); err != nil {
			return err
		}
	}
	return nil
}

// setFields takes the attributes that are wanted.
func (l *listing) setFields(fields *[]string) (err error) {
	l.fields, err = appendNames(l.fields, fields)
	return err
}

// appendNames adds attribute names to dst, each parameter one name or several
// with commas between them.
func appendNames(dst []string, fields *[]string) ([]string, error) {
	if fields == nil {
		return dst, nil
	}
	if len(*fields) > maxFields {
		return dst, refuse("invalid_fields", "there are more than %d fields", maxFields)
	}
	for _, f := range *fields {
		for name := range strings.SplitSeq(f, ",") {
			if name != "" && !slices.Contains(dst, name) {
				dst = append(dst, name)
			}
			if len(dst) > maxFields {
				return dst, refuse("invalid_fields", "there are more than %d fields", maxFields)
			}
		}
	}
	return dst, nil
}

// listed sets the headers that every list has and tells the observer.
func (p *public) listed(c echo.Context, source, reason string) {
	h := c.Response().Header()
	if source == SourceLive {
		h[headerSource] = p.live
	} else {
		h[headerSource] = []string{source}
	}
	if reason != "" {
		h[headerReason] = []string{reason}
	}
	p.deps.Observer.Listed(source, reason)
}

// keep hands a list that is about to be answered to the log of lists.
func (p *public) keep(l *listing) {
	p.deps.Served.Served(Served{RequestID: l.query.RequestID, Kind: l.kind, Subject: l.subject, Query: &l.query, List: &l.list})
}

// sendList writes the envelope of /v1 lists. subject names what the list is
// for: "user_id", "item_id" or nothing.
func (p *public) sendList(c echo.Context, l *listing, subject, id string) error {
	p.listed(c, l.list.Source, l.list.Reason)
	p.keep(l)
	l.buf = append(p.appendList(l.buf, l, subject, id), '\n')
	return send(c, http.StatusOK, l.buf)
}

// appendList appends the envelope.
func (p *public) appendList(b []byte, l *listing, subject, id string) []byte {
	list := &l.list
	b = append(b, `{"request_id":`...)
	b = appendString(b, l.query.RequestID)
	if subject != "" {
		b = append(append(append(b, `,"`...), subject...), `":`...)
		b = appendString(b, id)
	}
	b = append(b, `,"items":[`...)
	for i := range list.Picks {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"item_id":`...)
		b = appendString(b, list.Picks[i].ItemID)
		b = append(b, `,"score":`...)
		b = wire.AppendFloat(b, float64(list.Picks[i].Score), 32)
		b = append(b, `,"rank":`...)
		b = strconv.AppendInt(b, int64(i+1), 10)
		if len(l.fields) > 0 {
			b = p.appendFields(b, l, list.Picks[i].ItemID)
		}
		if list.Picks[i].Reasons != nil {
			b = appendReasons(append(b, `,"reasons":`...), list.Picks[i].Reasons)
		}
		b = append(b, '}')
	}
	b = append(b, `],"source":`...)
	b = appendString(b, list.Source)
	b = append(b, `,"reason":`...)
	b = appendString(b, list.Reason)
	b = append(b, `,"model":`...)
	if list.ModelVersion == "" {
		b = append(b, `null`...)
	} else {
		b = append(b, `{"version":`...)
		b = appendString(b, list.ModelVersion)
		b = append(b, `,"age_seconds":`...)
		b = wire.AppendFloat(b, max(0, math.Round(list.ModelAge.Seconds())), 64)
		b = append(b, '}')
	}
	b = append(b, `,"plugins":[`...)
	for i := range list.Plugins {
		if i > 0 {
			b = append(b, ',')
		}
		b = list.Plugins[i].append(b)
	}
	b = append(b, `],"exact":`...)
	b = strconv.AppendBool(b, list.Exact)
	return append(b, '}')
}

// appendFields appends those of the wanted attributes that the item has.
func (p *public) appendFields(b []byte, l *listing, id string) []byte {
	l.attributes = p.deps.Items.Attributes(id, l.attributes[:0])
	b = append(b, `,"fields":{`...)
	first := true
	for _, name := range l.fields {
		at, ok := slices.BinarySearchFunc(l.attributes, name, func(a event.Attribute, n string) int {
			return strings.Compare(a.Name, n)
		})
		if !ok {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(appendString(b, name), ':')
		b = event.AppendValueJSON(b, &l.attributes[at].Value)
	}
	return append(b, '}')
}
