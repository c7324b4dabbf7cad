// Package intake answers the routes that take many records in one request:
// events, CloudEvents among them, and items by the batch. What is broken in a
// request is kept as dead letters before what is sound counts.
//
// It owns these routes' behaviour and the memory that they may take; the log
// and the store of letters come through interfaces. It imports nothing of this
// module but the canonical records, the bounds of memory, and the form of
// requests and answers.
package intake

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"vitrine/appliance/admit"
	"vitrine/appliance/httpapi/entities"
	"vitrine/appliance/httpapi/letters"
	"vitrine/bridge/event"
)

// Ingested counts what one request brought.
type Ingested struct {
	Accepted, Duplicate, Rejected int
	// UnknownFields were ignored; Clamped events had a time too far ahead.
	UnknownFields, Clamped int
}

// Letters keeps what was refused; see letters.Store.
type Letters interface {
	Add(ctx context.Context, letters []letters.Letter) (added int, err error)
}

// Deps are the parts behind the routes, and their bounds; all are needed.
type Deps struct {
	Ingester entities.Ingester
	Types    event.Types
	Letters  Letters
	// Counted is told what each request brought.
	Counted func(Ingested)
	// MaxBody is the most bytes of a body, Bodies the memory that large ones may
	// take together.
	MaxBody int64
	Bodies  *admit.Budget
	Now     func() time.Time
	Log     *slog.Logger
}

// Routes are the handlers.
type Routes struct {
	deps Deps
	// batches holds *batch: with it a request costs no memory of its own.
	batches sync.Pool
}

// New makes them.
func New(deps Deps) *Routes {
	return &Routes{deps: deps, batches: sync.Pool{New: func() any { return new(batch) }}}
}
