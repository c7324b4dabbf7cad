package entities

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"vitrine/appliance/httpapi/publicapi"
	"vitrine/appliance/httpapi/wire"
	"vitrine/bridge/event"
)

// userWrite is the body of PUT and PATCH /v1/users/{id}.
type userWrite struct {
	Attributes json.RawMessage `json:"attributes"`
}

// PutUser is PUT /v1/users/{id}.
func (r *Routes) PutUser(c echo.Context, id publicapi.UserID, _ publicapi.PutUserParams) error {
	var body userWrite
	if err := readWrite(c, id, &body); err != nil {
		return err
	}
	u := event.User{ID: id, Time: r.deps.Now().UnixMilli()}
	var err error
	if u.Attributes, err = putAttributes(body.Attributes); err != nil {
		return err
	}
	return r.writeUser(c, id, func() error {
		if err := r.submit(c, event.Record{Kind: event.KindUserPut, User: u}); err != nil {
			return fmt.Errorf("put user: %w", err)
		}
		return answer(c, appendUser(nil, &u))
	})
}

// PatchUser is PATCH /v1/users/{id}.
func (r *Routes) PatchUser(c echo.Context, id publicapi.UserID, _ publicapi.PatchUserParams) error {
	var body userWrite
	if err := readWrite(c, id, &body); err != nil {
		return err
	}
	u := event.User{ID: id, Time: r.deps.Now().UnixMilli()}
	known, _ := r.deps.Users.User(id)
	var err error
	if u.Attributes, err = patchAttributes(known.Attributes, body.Attributes); err != nil {
		return err
	}
	return r.writeUser(c, id, func() error {
		if err := r.submit(c, event.Record{Kind: event.KindUserPatch, User: u}); err != nil {
			return fmt.Errorf("patch user: %w", err)
		}
		return r.sendUser(c, id)
	})
}

func (r *Routes) writeUser(c echo.Context, id string, write func() error) error {
	return r.guarded(c, "user "+id, func() []byte { return r.user(id) }, write)
}

// GetUser is GET /v1/users/{id}.
func (r *Routes) GetUser(c echo.Context, id publicapi.UserID, _ publicapi.GetUserParams) error {
	if err := checkRead(c, id); err != nil {
		return err
	}
	return r.sendUser(c, id)
}

// user is what is known of a user, nil where nothing is.
func (r *Routes) user(id string) []byte {
	u, ok := r.deps.Users.User(id)
	if !ok {
		return nil
	}
	u.ID = id
	return appendUser(nil, &u)
}

// sendUser answers with what is known of a user.
func (r *Routes) sendUser(c echo.Context, id string) error {
	body := r.user(id)
	switch {
	case body == nil:
		return &wire.Problem{
			Status: http.StatusNotFound, Code: "unknown_user",
			Detail: fmt.Sprintf("there are no attributes of a user %q", id), Hint: "PUT them first; events alone bring none",
		}
	case c.Request().Method == http.MethodGet && unchanged(c, body):
		c.Response().Header().Set("ETag", tagOf(body))
		return c.NoContent(http.StatusNotModified)
	}
	return answer(c, body)
}

func appendUser(b []byte, u *event.User) []byte {
	b = wire.AppendString(append(b, `{"user_id":`...), u.ID)
	b = event.AppendAttributesJSON(append(b, `,"attributes":`...), u.Attributes)
	return append(b, "}\n"...)
}

// DeleteUser is DELETE /v1/users/{id}, an erasure. It is taken also for a user
// that nobody here seems to know: files of the archive may.
func (r *Routes) DeleteUser(c echo.Context, id publicapi.UserID, _ publicapi.DeleteUserParams) error {
	if err := checkRead(c, id); err != nil {
		return err
	}
	return r.writeUser(c, id, func() error {
		at := r.deps.Now().UnixMilli()
		if err := r.submit(c, event.Record{Kind: event.KindUserErase, User: event.User{ID: id, Time: at}}); err != nil {
			return fmt.Errorf("erase user: %w", err)
		}
		c.Response().Header().Set("Location", "/v1/users/"+url.PathEscape(id)+"/erasure")
		return wire.Send(c, http.StatusAccepted, appendErasure(id, &Erasure{At: at}))
	})
}

// GetErasure is GET /v1/users/{id}/erasure.
func (r *Routes) GetErasure(c echo.Context, id publicapi.UserID) error {
	if err := checkRead(c, id); err != nil {
		return err
	}
	erasure, ok := r.deps.Users.Erased(id)
	if !ok {
		return &wire.Problem{
			Status: http.StatusNotFound, Code: "unknown_erasure", Detail: fmt.Sprintf("no user %q was erased here", id),
			Hint: "DELETE /v1/users/{id} erases one",
		}
	}
	return wire.Send(c, http.StatusOK, appendErasure(id, &erasure))
}

// appendErasure: the state that answers are made from forgets with the record,
// so that part is done when it can be asked; the files are written anew later.
func appendErasure(id string, e *Erasure) []byte {
	b := wire.AppendString([]byte(`{"user_id":`), id)
	b = event.AppendTimeJSON(append(b, `,"erased_at":`...), e.At)
	if e.Done == 0 {
		return append(b, `,"serving":"done","archive":"pending"}`+"\n"...)
	}
	b = event.AppendTimeJSON(append(b, `,"serving":"done","archive":"done","receipt":{"done_at":`...), e.Done)
	return fmt.Appendf(b, `,"events":%d,"list_places":%d,"changes":%d,"dead_letters":%d,"models":%d}}`+"\n",
		e.Events, e.Places, e.Changes, e.Letters, e.Models)
}

// MergeUsers is POST /v1/users:merge.
func (r *Routes) MergeUsers(c echo.Context) error {
	if err := wire.OnlyParams(c); err != nil {
		return err
	}
	var body struct {
		From wire.LooseID `json:"from"`
		Into wire.LooseID `json:"into"`
	}
	if err := wire.ReadJSON(c, &body); err != nil {
		return err
	}
	from, into := string(body.From), string(body.Into)
	switch "" {
	case from:
		return wire.Missing("from").With("send {\"from\":\"guest-7\",\"into\":\"u101\"}")
	case into:
		return wire.Missing("into").With("send {\"from\":\"guest-7\",\"into\":\"u101\"}")
	}
	if err := wire.CheckID("from", from); err != nil {
		return err
	}
	if err := wire.CheckID("into", into); err != nil {
		return err
	}
	if from == into {
		return wire.Refuse("invalid_into", "from and into are the same user")
	}
	moved := len(r.deps.Users.History(from, nil))
	record := event.Record{Kind: event.KindUserMerge, User: event.User{ID: from, Into: into, Time: r.deps.Now().UnixMilli()}}
	if err := r.submit(c, record); err != nil {
		return fmt.Errorf("merge users: %w", err)
	}
	return wire.SendJSON(c, http.StatusOK, publicapi.MergeResult{From: from, Into: into, Moved: moved})
}
