package replay

import (
	"context"
	"errors"
	"net/http"

	"vitrine/appliance/httpapi"
	"vitrine/appliance/httpapi/adminapi"
	"vitrine/bridge/deadletter"
)

// Desk lets the HTTP layer speak to the dead letters. Room is an error while
// the disk has too little room, also for letters.
type Desk struct {
	Replayer
	Room func() error
}

// Add implements httpapi.DeadLetters.
func (d *Desk) Add(ctx context.Context, in []httpapi.Letter) (int, error) {
	if err := d.Room(); err != nil {
		return 0, err
	}
	out := make([]deadletter.Letter, len(in))
	for i := range in {
		out[i] = deadletter.Letter{
			Source: in[i].Source, Partition: in[i].Partition, Line: in[i].Line, Offset: in[i].Offset,
			Code: in[i].Code, Detail: in[i].Detail, Time: in[i].Time, Raw: in[i].Raw, Truncated: in[i].Truncated,
			Context: in[i].Context,
		}
	}
	return d.Letters.Add(ctx, out)
}

// List implements httpapi.DeadLetters.
func (d *Desk) List(limit int, cursor string) (httpapi.LetterPage, error) {
	page, err := d.Letters.List(limit, cursor)
	if err != nil {
		if errors.Is(err, deadletter.ErrCursor) {
			return httpapi.LetterPage{}, &httpapi.Problem{
				Status: http.StatusBadRequest, Code: "invalid_cursor", Detail: err.Error(), Hint: "start again without a cursor",
			}
		}
		return httpapi.LetterPage{}, err
	}
	out := httpapi.LetterPage{Total: page.Total, Next: page.Next, Letters: make([]httpapi.Letter, len(page.Letters))}
	for i := range page.Letters {
		out.Letters[i] = letterOf(&page.Letters[i])
	}
	return out, nil
}

// Get implements httpapi.DeadLetters.
func (d *Desk) Get(id string) (httpapi.Letter, error) {
	letter, err := d.Letters.Get(id)
	if errors.Is(err, deadletter.ErrNotFound) {
		return httpapi.Letter{}, httpapi.ErrNotFound
	}
	if err != nil {
		return httpapi.Letter{}, err
	}
	return letterOf(&letter), nil
}

// Replay implements httpapi.DeadLetters.
func (d *Desk) Replay(ctx context.Context, req adminapi.Replay) (adminapi.ReplayResult, error) {
	if err := d.Room(); err != nil {
		return adminapi.ReplayResult{}, err
	}
	return d.answer(ctx, req)
}

func letterOf(l *deadletter.Letter) httpapi.Letter {
	return httpapi.Letter{
		ID: l.ID, Source: l.Source, Partition: l.Partition, Line: l.Line, Offset: l.Offset,
		Code: l.Code, Detail: l.Detail, Time: l.Time, Raw: l.Raw, Truncated: l.Truncated,
	}
}
