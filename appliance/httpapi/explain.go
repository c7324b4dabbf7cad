package httpapi

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"vitrine/appliance/httpapi/adminapi"
	"vitrine/appliance/httpapi/entities"
	"vitrine/appliance/httpapi/listquery"
	"vitrine/appliance/httpapi/publicapi"
	"vitrine/appliance/httpapi/wire"
)

// rankBody is the document's RankRequest.
type rankBody struct {
	recommendBody
	Items []wire.LooseID `json:"items"`
}

// Rank is POST /v1/rank.
func (p *public) Rank(c echo.Context) error {
	if err := onlyParams(c); err != nil {
		return err
	}
	var body rankBody
	if err := readJSON(c, &body); err != nil {
		return err
	}
	switch {
	case body.After != "" || body.Limit != nil:
		return refuse("invalid_json", "there is no next page, nor a limit, of given items").With("leave out after and limit")
	case len(body.Items) < 1 || len(body.Items) > MaxLimit:
		return refuse("invalid_items", "items must have 1 to %d ids, not %d", MaxLimit, len(body.Items))
	}
	for _, id := range body.Items {
		if err := checkID("items", string(id)); err != nil {
			return err
		}
	}
	l := p.get(c)
	defer p.pool.Put(l)
	if err := l.query.take(body.request()); err != nil {
		return err
	}
	if err := l.setFields(&body.Fields); err != nil {
		return err
	}
	l.kind = "rank"
	if err := p.deps.Recommender.Rank(c.Request().Context(), &l.query, texts(body.Items), &l.list); err != nil {
		return fmt.Errorf("rank: %w", err)
	}
	return p.sendList(c, l, "user_id", l.query.UserID)
}

// Explain is GET /v1/explain.
func (p *public) Explain(c echo.Context, params publicapi.ExplainParams) error {
	if err := onlyParams(c, append(queryParams(), "item_id")...); err != nil {
		return err
	}
	if err := checkID("item_id", params.ItemID); err != nil {
		return err
	}
	l := p.get(c)
	defer p.pool.Put(l)
	body := &publicapi.RecommendRequest{
		UserID: value(params.UserID), Session: value(params.Session), Limit: params.Limit, Scene: value(params.Scene),
		Filter: value(params.Filter), Exclude: value(params.Exclude), ExcludeSeen: params.ExcludeSeen,
		Personalized: params.Personalized, After: value(params.After),
	}
	listquery.Spread(body, p.deps.Items)
	if err := l.query.take(body); err != nil {
		return err
	}
	x, err := p.deps.Recommender.Explain(c.Request().Context(), &l.query, params.ItemID)
	if err != nil {
		return entities.UnknownItem(err, params.ItemID)
	}
	out := publicapi.Explanation{
		UserID: l.query.UserID, ItemID: params.ItemID, Shown: x.Rank > 0, Rank: x.Rank, Stage: x.Stage, Detail: x.Detail,
		Reasons: []publicapi.Reason{}, Source: x.Source, Reason: x.Reason,
	}
	if x.ModelRank > 0 {
		out.Model = &struct {
			Score float32 `json:"score"`
			Rank  int     `json:"rank"`
		}{x.Score, x.ModelRank}
	}
	for _, r := range x.Reasons {
		out.Reasons = append(out.Reasons, publicapi.Reason{Kind: r.Kind, Name: r.Name, Change: r.Change})
	}
	return sendJSON(c, http.StatusOK, out)
}

// append appends the call as JSON.
func (p *PluginCall) append(b []byte) []byte {
	for _, field := range [...][2]string{{`{"name":`, p.Name}, {`,"version":`, p.Version}, {`,"stage":`, p.Stage}, {`,"status":`, p.Status}} {
		b = appendString(append(b, field[0]...), field[1])
	}
	b = strconv.AppendInt(append(b, `,"micros":`...), p.Micros, 10)
	return append(b, '}')
}

func appendReasons(b []byte, reasons []Reason) []byte {
	b = append(b, '[')
	for j, r := range reasons {
		if j > 0 {
			b = append(b, ',')
		}
		b = appendString(append(b, `{"kind":`...), r.Kind)
		b = appendString(append(b, `,"name":`...), r.Name)
		b = wire.AppendFloat(append(b, `,"change":`...), float64(r.Change), 32)
		b = append(b, '}')
	}
	return append(b, ']')
}

// GetRules is GET /v1/rules.
func (a *admin) GetRules(c echo.Context, params adminapi.GetRulesParams) error {
	if err := onlyParams(c, "version"); err != nil {
		return err
	}
	version := 0
	if params.Version != nil {
		if version = *params.Version; version < 1 {
			return refuse("invalid_version", "version must be a whole number from 1")
		}
	}
	set, inForce, err := a.deps.Rules.Rules(version)
	if err != nil {
		return fmt.Errorf("show rules: %w", err)
	}
	return sendRules(c, set, inForce)
}

// sendRules answers with a set of rules. The tag is of those in force: their
// version, which never comes again.
func sendRules(c echo.Context, set adminapi.RuleSet, inForce int) error {
	c.Response().Header()["Etag"] = []string{rulesTag(inForce)}
	return sendJSON(c, http.StatusOK, set)
}

func rulesTag(version int) string { return fmt.Sprintf(`"%d"`, version) }

// PutRules is PUT /v1/rules.
func (a *admin) PutRules(c echo.Context, params adminapi.PutRulesParams) error {
	if err := onlyParams(c, "check"); err != nil {
		return err
	}
	if _, err := wire.MediaType(c, "application/json"); err != nil {
		return err
	}
	body, err := wire.ReadBody(c, wire.MaxDocument, nil)
	if err != nil {
		return err
	}
	check := params.Check != nil && *params.Check
	inForce := 0
	set, err := a.deps.Rules.SetRules(body, check, func(version int) error {
		inForce = version
		return entities.Holds(c.Request().Header, rulesTag(version))
	})
	if err != nil {
		return fmt.Errorf("set rules: %w", err)
	}
	if !check {
		inForce = set.Version
	}
	return sendRules(c, set, inForce)
}
