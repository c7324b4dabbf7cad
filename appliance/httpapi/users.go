package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"vitrine/appliance/httpapi/publicapi"
	"vitrine/bridge/event"
)

// userWrite is the body of PUT and PATCH /v1/users/{id}.
type userWrite struct {
	Attributes json.RawMessage `json:"attributes"`
}

// PutUser is PUT /v1/users/{id}.
func (p *public) PutUser(c echo.Context, id publicapi.UserID) error {
	var body userWrite
	if err := readWrite(c, id, &body); err != nil {
		return err
	}
	u := event.User{ID: id, Time: p.deps.Now().UnixMilli()}
	var err error
	if u.Attributes, err = putAttributes(body.Attributes); err != nil {
		return err
	}
	if err := p.submitOne(c, event.Record{Kind: event.KindUserPut, User: u}); err != nil {
		return fmt.Errorf("put user: %w", err)
	}
	return send(c, http.StatusOK, appendUser(nil, &u))
}

// PatchUser is PATCH /v1/users/{id}.
func (p *public) PatchUser(c echo.Context, id publicapi.UserID) error {
	var body userWrite
	if err := readWrite(c, id, &body); err != nil {
		return err
	}
	u := event.User{ID: id, Time: p.deps.Now().UnixMilli()}
	known, _ := p.deps.Users.User(id)
	var err error
	if u.Attributes, err = patchAttributes(known.Attributes, body.Attributes); err != nil {
		return err
	}
	if err := p.submitOne(c, event.Record{Kind: event.KindUserPatch, User: u}); err != nil {
		return fmt.Errorf("patch user: %w", err)
	}
	return p.sendUser(c, id)
}

// GetUser is GET /v1/users/{id}.
func (p *public) GetUser(c echo.Context, id publicapi.UserID) error {
	if err := onlyParams(c); err != nil {
		return err
	}
	if err := checkID("id", id); err != nil {
		return err
	}
	return p.sendUser(c, id)
}

// sendUser answers with what is known of a user.
func (p *public) sendUser(c echo.Context, id string) error {
	u, ok := p.deps.Users.User(id)
	if !ok {
		return &Problem{
			Status: http.StatusNotFound, Code: "unknown_user",
			Detail: fmt.Sprintf("there are no attributes of a user %q", id), Hint: "PUT them first; events alone bring none",
		}
	}
	u.ID = id
	return send(c, http.StatusOK, appendUser(nil, &u))
}

func appendUser(b []byte, u *event.User) []byte {
	b = appendString(append(b, `{"user_id":`...), u.ID)
	b = event.AppendAttributesJSON(append(b, `,"attributes":`...), u.Attributes)
	return append(b, "}\n"...)
}

// readWrite reads the body of a request that writes one item or user.
func readWrite(c echo.Context, id string, body any) error {
	if err := onlyParams(c); err != nil {
		return err
	}
	if err := checkID("id", id); err != nil {
		return err
	}
	if err := readJSON(c, body); err != nil {
		return fmt.Errorf("read attributes: %w", err)
	}
	return nil
}

// putAttributes reads the attributes of a put.
func putAttributes(raw json.RawMessage) ([]event.Attribute, error) {
	if len(raw) == 0 {
		return nil, noAttributes()
	}
	list, inv := event.ParseAttributes(raw)
	if inv != nil {
		return nil, refuse(inv.Code, "%s", inv.Detail)
	}
	return list, nil
}

// patchAttributes reads the attributes of a patch and refuses one that would
// make too many of those known.
func patchAttributes(known []event.Attribute, raw json.RawMessage) ([]event.Attribute, error) {
	if len(raw) == 0 {
		return nil, noAttributes()
	}
	list, inv := event.ParsePatch(raw)
	if inv != nil {
		return nil, refuse(inv.Code, "%s", inv.Detail)
	}
	if n := len(event.MergeAttributes(known, list)); n > event.MaxAttributes {
		return nil, refuse(event.CodeInvalidAttribute, "with these there would be %d attributes, the most is %d", n, event.MaxAttributes).
			With("take others away with null")
	}
	return list, nil
}

func noAttributes() *Problem {
	return refuse("missing_attributes", "the body has no attributes").With(`send {"attributes":{"category":"books","price":9.5}}`)
}

// submitOne puts one record into the log.
func (p *public) submitOne(c echo.Context, r event.Record) error {
	r.Source.Name = sourceHTTP
	ctx, cancel := p.submitContext(c)
	defer cancel()
	_, err := p.deps.Ingester.Submit(ctx, []event.Record{r})
	return err
}
