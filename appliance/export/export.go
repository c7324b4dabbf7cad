// Package export writes tables of what the appliance has as lines of JSON, for
// those who take them elsewhere: events, items, users, the live model's factors
// and everybody's lists.
//
// It owns which rows a table has and the form of a line; files, their formats and
// whoever reads them belong to its sub-package table. It may import the HTTP
// layer's terms and the archive. Catalogue, histories, lists and model come as
// functions and interfaces, and it must not know the engine behind them.
//
//	e := export.New(export.Source{Archive: archive, Catalog: catalog, ...})
//	err := e.Export(ctx, httpapi.ExportRequest{Kind: adminapi.ExportItems}, w, begin)
package export

import (
	"context"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"vitrine/appliance/httpapi"
	"vitrine/appliance/httpapi/adminapi"
	"vitrine/bridge/archive"
	"vitrine/bridge/event"
)

// Catalog is what is known of items and users, by code.
type Catalog interface {
	NumItems() int
	ItemID(code uint32) string
	Item(code uint32) (event.Item, bool)
	Deleted(item uint32) bool
	NumUsers() int
	UserID(code uint32) string
	UserCode(id string) (uint32, bool)
	User(code uint32) (event.User, bool)
	// Erased is when a user was last erased.
	Erased(userID string) (at int64, ok bool)
}

// Factors are those of a model: row r of a side is its Rank numbers from
// r * Rank on, and is whose id stands there.
type Factors struct {
	Rank             int
	UserIDs, ItemIDs []string
	Users, Items     []float32
}

// Source is where the rows come from; all but Listing is needed.
type Source struct {
	Catalog Catalog
	// HasHistory says whether a user has done anything that counts.
	HasHistory func(user uint32) bool
	Archive    *archive.Archive
	// Flush gets everything that was acknowledged before into the archive.
	Flush func(ctx context.Context) error
	// Factors are those of the live model; false without one.
	Factors func() (Factors, bool)
	// Lists makes the lists of up to BatchSize queries when there is time for
	// it, or says in errs why one of them cannot be had. It fails when ctx ends.
	Lists func(ctx context.Context, qs []httpapi.Query, lists []httpapi.List, errs []error) error
	// Workers is how many callers Lists has a use for.
	Workers int
	// Listing, unless nil, is told when everybody's lists begin to be made, and by
	// the function that it returns that they have ended.
	Listing func() (end func())
	// Query is what a list is asked for with, but for user and time.
	Query httpapi.Query
	Now   func() time.Time
}

// Exporter writes tables. It may be used concurrently.
type Exporter struct{ src Source }

// New returns an exporter.
func New(src Source) *Exporter { return &Exporter{src} }

// Export implements httpapi.Exporter. Memory does not depend on the number of
// rows.
func (e *Exporter) Export(ctx context.Context, req httpapi.ExportRequest, w io.Writer, begin func(rows int64)) error {
	out := &lines{w: w, buf: make([]byte, 0, flushAt+flushAt/2)}
	var err error
	switch req.Kind {
	case adminapi.ExportRecommendations:
		err = e.recommendations(ctx, req.Limit, out, begin)
	case adminapi.ExportEvents:
		err = e.events(ctx, out, begin)
	case adminapi.ExportItems:
		err = e.items(ctx, out, begin)
	case adminapi.ExportUsers:
		err = e.users(ctx, out, begin)
	case adminapi.ExportModel:
		err = e.model(ctx, out, begin)
	default:
		err = fmt.Errorf("there is no table %q", req.Kind)
	}
	if err != nil {
		return err
	}
	return out.end()
}

// flushAt is how many bytes are written at once: enough to make a write cheap, and
// few enough that who shows the progress sees it move.
const flushAt = 32 << 10

// lines collects rows and writes them some at a time.
type lines struct {
	w            io.Writer
	buf          []byte
	rows, failed int64
}

// row ends a line, which was appended to buf.
func (l *lines) row() error {
	l.buf = append(l.buf, '\n')
	l.rows++
	if len(l.buf) < flushAt {
		return nil
	}
	return l.flush()
}

func (l *lines) flush() error {
	if len(l.buf) == 0 {
		return nil
	}
	_, err := l.w.Write(l.buf)
	l.buf = l.buf[:0]
	return err
}

// end is the last line, by which the other side knows that nothing is missing.
func (l *lines) end() error {
	l.buf = strconv.AppendInt(append(l.buf, `{"rows":`...), l.rows, 10)
	l.buf = strconv.AppendInt(append(l.buf, `,"failed":`...), l.failed, 10)
	l.buf = append(l.buf, "}\n"...)
	return l.flush()
}

// appendText appends a JSON string.
func appendText(dst []byte, s string) []byte {
	return event.AppendValueJSON(dst, &event.Value{Kind: event.String, Str: s})
}

// appendFloat appends the shortest text that reads back as f.
func appendFloat(dst []byte, f float32) []byte {
	if math.IsNaN(float64(f)) || math.IsInf(float64(f), 0) {
		return append(dst, "null"...)
	}
	return strconv.AppendFloat(dst, float64(f), 'g', -1, 32)
}

// appendTime appends a member with a time, unless it is none.
func appendTime(dst []byte, name string, ms int64) []byte {
	if ms == 0 {
		return dst
	}
	dst = append(append(append(dst, `,"`...), name...), `":`...)
	return event.AppendTimeJSON(dst, ms)
}

// lookEvery is after how many rows it is seen whether anybody still waits.
const lookEvery = 1024
