package recommend

import (
	"errors"
	"slices"
	"time"
)

// ErrUnknownList says that no list is remembered under the request id that a
// next page was asked for with.
var ErrUnknownList = errors.New("there is no list under this request id any more")

// ErrOtherUser says that the list before was another user's.
var ErrOtherUser = errors.New("the list before was made for another user")

// turn takes up the list that the request wants the next page of: its items are
// not shown again.
func (e *Engine) turn(req *Request, sc *scratch) error {
	if req.After == "" {
		return nil
	}
	var user uint32
	var known bool
	if sc.before, user, known = e.served.Find(req.After, req.Now, sc.before); !known {
		return ErrUnknownList
	}
	if asked, known := e.deps.Codes.UserCode(req.UserID); known && req.UserID != "" && asked != user {
		return ErrOtherUser
	}
	sc.frame.User = user
	sc.offset = len(sc.before)
	sc.excluded = append(sc.excluded, sc.before...)
	return nil
}

// page writes the frame's first items into the response.
func (e *Engine) page(sc *scratch, resp *Response, reason string, q question) {
	*resp = Response{Items: resp.Items[:0], Source: SourcePopular, Reason: reason, Plugins: resp.Plugins}
	f := &sc.frame
	for j := 0; j < f.Len() && len(resp.Items) < sc.limit; j++ {
		item := Item{ID: e.deps.Codes.ItemID(f.Items[j]), Code: f.Items[j], Score: f.Scores[j]}
		if sc.why != nil {
			item.Reasons = e.reasons(sc, q, item.Code)
		}
		resp.Items = append(resp.Items, item)
	}
	fetch(resp.Items)
	switch {
	case len(resp.Items) == 0:
		resp.Source = SourceEmpty
		switch {
		case len(sc.unknown()) > 0:
			resp.Reason = ReasonUnknownAttribute
		case sc.dropped:
			resp.Reason = ReasonFiltered
		case slices.Contains([]string{ReasonNoCandidates, ReasonNotPersonalized, ReasonNoTrend, ReasonNothingNew}, reason):
			resp.Reason = ReasonNoItems
		}
	case reason == "":
		if resp.Source, resp.Exact = SourceLive, !sc.brief; sc.brief {
			resp.Reason = ReasonOverload
		}
		if v := q.view; v != nil && q.rank == nil {
			resp.ModelVersion = v.Version
			resp.ModelAge = max(0, time.Duration(f.Now-v.Created.UnixMilli())*time.Millisecond)
		}
	}
}

// fetch looks at every id once. Ids lie all over the memory, and here the
// processor waits for all of them at a time, where who writes them down waits for
// one after the other.
//
//go:noinline
func fetch(items []Item) (bytes int) {
	for i := range items {
		if id := items[i].ID; id != "" {
			bytes += int(id[0])
		}
	}
	return bytes
}
