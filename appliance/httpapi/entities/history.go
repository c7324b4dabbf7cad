package entities

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"sort"
	"strconv"

	"github.com/labstack/echo/v4"

	"vitrine/appliance/httpapi/publicapi"
	"vitrine/appliance/httpapi/wire"
	"vitrine/bridge/event"
)

// defaultHistory is how many events a page has when none is asked for.
const defaultHistory = 100

// UserHistory is GET /v1/users/{id}/history.
func (r *Routes) UserHistory(c echo.Context, id publicapi.UserID, params publicapi.UserHistoryParams) error {
	if err := checkRead(c, id, "limit", "cursor"); err != nil {
		return err
	}
	limit := defaultHistory
	if params.Limit != nil {
		if limit = *params.Limit; limit < 1 || limit > wire.MaxLimit {
			return wire.BadLimit()
		}
	}
	all := r.deps.Users.History(id, nil)
	start := 0
	if params.Cursor != nil && *params.Cursor != "" {
		at, err := parseCursor(*params.Cursor)
		if err != nil {
			return err
		}
		start = at.in(all)
	}
	end := min(start+limit, len(all))
	b := wire.AppendString([]byte(`{"user_id":`), id)
	b = append(b, `,"events":[`...)
	for i := start; i < end; i++ {
		if i > start {
			b = append(b, ',')
		}
		b = appendPast(b, &all[i])
	}
	next := ""
	if end < len(all) {
		next = cursorAt(all, end).String()
	}
	b = wire.AppendString(append(b, `],"next_cursor":`...), next)
	return wire.Send(c, http.StatusOK, append(b, "}\n"...))
}

func appendPast(b []byte, p *Past) []byte {
	b = wire.AppendString(append(b, `{"item_id":`...), p.ItemID)
	b = wire.AppendString(append(b, `,"event_type":`...), p.Type)
	b = event.AppendTimeJSON(append(b, `,"ts":`...), p.Time)
	if p.HasValue {
		b = wire.AppendFloat(append(b, `,"value":`...), float64(p.Value), 32)
	}
	return append(b, '}')
}

// cursor is a place in a history, newest first, that new events in front of it
// do not move: behind the given number of events of the given time.
type cursor struct {
	time int64
	past int
}

// cursorAt is the place of event i.
func cursorAt(all []Past, i int) cursor {
	at := cursor{time: all[i].Time}
	for j := i - 1; j >= 0 && all[j].Time == at.time; j-- {
		at.past++
	}
	return at
}

// in is where the place is now.
func (k cursor) in(all []Past) int {
	first := sort.Search(len(all), func(i int) bool { return all[i].Time <= k.time })
	return min(first+k.past, len(all))
}

// String is the form that clients hand back; they need not understand it.
func (k cursor) String() string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d.%d", k.time, k.past))
}

func parseCursor(text string) (cursor, error) {
	bad := wire.Refuse("invalid_cursor", "the cursor is not one of a history").With("begin again without a cursor")
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return cursor{}, bad
	}
	for i, c := range raw {
		if c != '.' {
			continue
		}
		at, timeErr := strconv.ParseInt(string(raw[:i]), 10, 64)
		past, pastErr := strconv.Atoi(string(raw[i+1:]))
		if timeErr == nil && pastErr == nil && past >= 0 && past < 1<<30 {
			return cursor{time: at, past: past}, nil
		}
	}
	return cursor{}, bad
}
