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
	return d.Letters.Add(ctx, in)
}

// List implements httpapi.DeadLetters.
func (d *Desk) List(limit int, cursor string) (httpapi.LetterPage, error) {
	page, err := d.Letters.List(limit, cursor)
	if errors.Is(err, deadletter.ErrCursor) {
		return page, &httpapi.Problem{
			Status: http.StatusBadRequest, Code: "invalid_cursor", Detail: err.Error(), Hint: "start again without a cursor",
		}
	}
	return page, err
}

// Get implements httpapi.DeadLetters.
func (d *Desk) Get(id string) (httpapi.Letter, error) {
	letter, err := d.Letters.Get(id)
	if errors.Is(err, deadletter.ErrNotFound) {
		err = httpapi.ErrNotFound
	}
	return letter, err
}

// Replay implements httpapi.DeadLetters.
func (d *Desk) Replay(ctx context.Context, req adminapi.Replay) (adminapi.ReplayResult, error) {
	if err := d.Room(); err != nil {
		return adminapi.ReplayResult{}, err
	}
	return d.answer(ctx, req)
}
