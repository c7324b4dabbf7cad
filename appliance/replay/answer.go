package replay

import (
	"context"
	"errors"
	"net/http"

	"vitrine/appliance/catalog"
	"vitrine/appliance/httpapi"
	"vitrine/appliance/httpapi/adminapi"
	"vitrine/bridge/deadletter"
	"vitrine/bridge/event"
	"vitrine/bridge/file"
)

// answer is Replay in the terms of the admin API.
func (d *Desk) answer(ctx context.Context, req adminapi.Replay) (adminapi.ReplayResult, error) {
	result, err := d.Replayer.Replay(ctx, Request{
		IDs: value(req.Ids), Source: value(req.Source), Code: value(req.Code), Map: value(req.Map), Limit: value(req.Limit), Cursor: value(req.Cursor),
	})
	var fault *file.InputError
	switch {
	case errors.Is(err, deadletter.ErrNotFound):
		return adminapi.ReplayResult{}, httpapi.ErrNotFound
	case errors.Is(err, deadletter.ErrCursor):
		return adminapi.ReplayResult{}, &httpapi.Problem{
			Status: http.StatusBadRequest, Code: "invalid_cursor", Detail: err.Error(), Hint: "start again without a cursor",
		}
	case errors.As(err, &fault):
		return adminapi.ReplayResult{}, &httpapi.Problem{Status: http.StatusBadRequest, Code: fault.Code, Detail: fault.Detail, Hint: fault.Hint}
	case err != nil:
		return adminapi.ReplayResult{}, err
	}
	out := adminapi.ReplayResult{
		Read: int64(result.Read), Accepted: int64(result.Accepted), Duplicate: int64(result.Duplicate), Skipped: int64(result.Skipped),
		Rejected: make([]adminapi.ReplayRejection, len(result.Rejected)), NextCursor: result.Next,
	}
	for i, l := range result.Rejected {
		out.Rejected[i] = adminapi.ReplayRejection(l)
	}
	return out, nil
}

func value[T any](p *T) T {
	if p == nil {
		return *new(T)
	}
	return *p
}

// Changes are those that the catalogue knows; it is a Known.
type Changes struct{ *catalog.Catalog }

// Newer tells whether there is a change of the record's item, or an erasure or
// a change of its user, that is younger than the record.
func (c Changes) Newer(r *event.Record) bool {
	user := r.User.ID + r.Event.UserID // one of them is empty
	if at, erased := c.Erased(user); erased && at >= max(r.Event.Time, r.User.Time) {
		return true
	}
	switch r.Kind {
	case event.KindItemPut, event.KindItemPatch, event.KindItemDelete:
		code, known := c.ItemCode(r.Item.ID)
		if !known {
			return false
		}
		it, listed := c.Item(code)
		// When it was deleted is not known, so that may have been later.
		return listed && it.Time > r.Item.Time || c.Deleted(code)
	case event.KindUserPut, event.KindUserPatch, event.KindUserErase:
		code, known := c.UserCode(user)
		if !known {
			return false
		}
		u, there := c.User(code)
		return there && u.Time > r.User.Time
	}
	return false
}
