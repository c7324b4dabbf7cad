package intake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"vitrine/appliance/httpapi/entities"
	"vitrine/appliance/httpapi/letters"
	"vitrine/appliance/httpapi/wire"
	"vitrine/bridge/cloudevents"
	"vitrine/bridge/event"
	"vitrine/internal/logkey"
)

// keyRoute is the key of log lines that names a route.
const keyRoute = "route"

const (
	mediaJSON   = "application/json"
	mediaNDJSON = "application/x-ndjson"

	// chunkRecords bounds the memory of one request: a body of 32 MiB may hold
	// 800,000 events, whose records would take 250 MB. A chunk fills about one
	// frame of the log.
	chunkRecords = 4096
	// chunkBytes is the most raw JSON in a chunk, so that it always fits into
	// one frame and is kept or refused as a whole.
	chunkBytes = 1 << 20
	// keepBody is the most that a pooled buffer keeps between requests.
	keepBody = 1 << 20
	// submitTimeout is how long a request waits for the log before it is told
	// to come again.
	submitTimeout = 10 * time.Second
)

// route is what sets the routes apart that take many records in one request.
type route struct {
	path string
	// media are the content types; the first is that of a body without one.
	media []string
	// check, when set, may refuse the whole body.
	check func(body []byte) error
	// whole says that the body is one record, also when it is empty.
	whole bool
	// parse makes the record of one element. A fault sends it to the dead
	// letters.
	parse func(b *batch, raw []byte, r *event.Record) *event.Invalid
	// context is what a dead letter keeps to be read again; nil for the events
	// of this API.
	context []byte
}

// batch is the scratch of one ingest request.
type batch struct {
	*route
	r   *Routes
	ctx context.Context
	now time.Time

	body    []byte
	records []event.Record
	// raw is how much JSON is in the chunk so far.
	raw int
	// index is the place in the request of each of records.
	index    []int
	letters  []letters.Letter
	rejected []rejection
	counts   Ingested
	// kept says that a chunk is in the log, so that the request can no longer
	// be refused as a whole; lost is what then happened to the rest.
	kept bool
	lost *event.Invalid
}

type rejection struct {
	index        int
	code, detail string
}

// IngestEvents is POST /v1/events.
func (r *Routes) IngestEvents(c echo.Context) error {
	in := &route{
		path: "/v1/events", media: []string{mediaJSON, mediaNDJSON, cloudevents.Structured, cloudevents.Batched}, parse: (*batch).parseEvent,
	}
	h := c.Request().Header
	switch media, _, _ := mime.ParseMediaType(h.Get("Content-Type")); {
	case media == cloudevents.Structured, media == cloudevents.Batched:
		in.context = headerLines(h)
		in.parse = (*batch).parseCloudEvent
	case cloudevents.Binary(h):
		in.media = []string{mediaJSON}
		in.whole = true
		in.context = headerLines(h)
		in.parse = func(b *batch, raw []byte, r *event.Record) *event.Invalid {
			unknown, inv := cloudevents.ParseBinary(h, raw, &r.Event)
			return b.checkEvent(r, unknown, inv)
		}
	}
	return r.ingest(c, in)
}

// headerLines are the headers that say what a CloudEvent is.
func headerLines(h http.Header) []byte {
	var out bytes.Buffer
	kept := http.Header{}
	for name, values := range h {
		if name == "Content-Type" || strings.HasPrefix(name, "Ce-") {
			kept[name] = values
		}
	}
	_ = kept.Write(&out) // a buffer takes all
	return out.Bytes()
}

// ingest answers a request with many records in it.
func (r *Routes) ingest(c echo.Context, in *route) error {
	if err := wire.OnlyParams(c); err != nil {
		return err
	}
	media, err := wire.MediaType(c, in.media...)
	if err != nil {
		return err
	}
	ctx, cancel := r.submitContext(c)
	defer cancel()
	b := r.batches.Get().(*batch)
	b.route, b.r, b.ctx, b.now = in, r, ctx, r.deps.Now()
	var held int64
	b.body, held, err = wire.ReadHeld(c, r.deps.MaxBody, b.body[:0], r.deps.Bodies)
	defer r.deps.Bodies.Give(held)
	if err != nil {
		return fmt.Errorf("read body: %w", err)
	}
	if in.check != nil {
		if err := in.check(b.body); err != nil {
			return err
		}
	}
	if err := b.run(media); err != nil {
		// The log may still read the records: leave them to the collector.
		return err
	}
	r.deps.Counted(b.counts)
	b.body = b.appendResult(b.body[:0]) // the records are strings of their own by now
	err = wire.Send(c, http.StatusAccepted, b.body)
	b.release()
	return err
}

// run takes the body apart and puts it into the log.
func (b *batch) run(media string) error {
	var inv *event.Invalid
	split := event.SplitBatch
	switch {
	case b.whole:
		split = func(_ string, body []byte, take func(int, []byte) error) (bool, error) { return true, take(0, body) }
	case media != mediaNDJSON:
		media = mediaJSON // of CloudEvents, too
	}
	complete, err := split(media, b.body, b.take)
	switch {
	case errors.As(err, &inv):
		return wire.Refuse(inv.Code, "%s", inv.Detail)
	case errors.Is(err, errRejected):
		complete = false
	case err != nil:
		return err
	}
	if err := b.flush(); err != nil {
		return err
	}
	if n := len(b.rejected); !complete && n > 0 {
		b.rejected[n-1].detail += "; nothing behind this one was read, send the rest again"
	}
	if media == mediaJSON && b.counts.Rejected == 1 && b.counts.Accepted+b.counts.Duplicate == 0 &&
		b.rejected[0].code == event.CodeInvalidJSON {
		// Not one record could be told from the body: that is a bad request, not
		// a partly bad one.
		b.r.deps.Counted(b.counts)
		return wire.Refuse("invalid_json", "%s", b.rejected[0].detail)
	}
	return nil
}

// maxRejected is the most rejected records of one request: an answer names each
// of them, and 10 MB of "{}" would be answered with 300.
const maxRejected = 10_000

// errRejected ends a request with that many.
var errRejected = errors.New("too many records are rejected")

// take is given each record's bytes.
func (b *batch) take(index int, raw []byte) error {
	if b.counts.Rejected >= maxRejected {
		return errRejected
	}
	if b.lost != nil {
		b.reject(index, b.lost)
		return nil
	}
	full := len(b.records)+len(b.letters) >= chunkRecords || b.raw+len(raw) > chunkBytes
	if full && b.raw > 0 {
		if err := b.flush(); err != nil {
			return err
		}
		return b.take(index, raw)
	}
	b.raw += len(raw)
	// The slot is zero: new, or cleared when it was used last.
	n := len(b.records)
	if n == cap(b.records) {
		b.records = append(b.records, event.Record{})
	}
	b.records = b.records[:n+1]
	r := &b.records[n]
	r.Source.Name = entities.Source
	if inv := b.parse(b, raw, r); inv != nil {
		b.records[n] = event.Record{}
		b.records = b.records[:n]
		b.reject(index, inv)
		b.letters = append(b.letters, letters.Letter{
			Source: entities.Source, Code: inv.Code, Detail: inv.Detail,
			Time: b.now.UnixMilli(), Raw: raw, Context: b.context,
		})
		return nil
	}
	b.index = append(b.index, index)
	return nil
}

// parseEvent makes the record of one event.
func (b *batch) parseEvent(raw []byte, r *event.Record) *event.Invalid {
	unknown, inv := event.ParseEvent(raw, &r.Event)
	return b.checkEvent(r, unknown, inv)
}

// parseCloudEvent makes the record of one CloudEvent.
func (b *batch) parseCloudEvent(raw []byte, r *event.Record) *event.Invalid {
	unknown, inv := cloudevents.Parse(raw, &r.Event)
	return b.checkEvent(r, unknown, inv)
}

// checkEvent completes a record of an event that was read with these findings.
func (b *batch) checkEvent(r *event.Record, unknown int, inv *event.Invalid) *event.Invalid {
	r.Kind = event.KindEvent
	if inv == nil {
		inv = r.Event.Validate(b.r.deps.Types)
	}
	if inv != nil {
		return inv
	}
	b.counts.UnknownFields += unknown
	if r.Event.Normalize(b.now) {
		b.counts.Clamped++
	}
	return nil
}

func (b *batch) reject(index int, inv *event.Invalid) {
	b.counts.Rejected++
	b.rejected = append(b.rejected, rejection{index, inv.Code, inv.Detail})
}

// flush makes what was taken durable: first the letters, so that nothing is
// answered as rejected that is not kept; to add them again is harmless.
func (b *batch) flush() error {
	b.raw = 0
	if len(b.letters) > 0 {
		if _, err := b.r.deps.Letters.Add(b.ctx, b.letters); err != nil {
			return b.refused(fmt.Errorf("keep dead letters: %w", err))
		}
		clear(b.letters)
		b.letters = b.letters[:0]
	}
	if len(b.records) == 0 {
		return nil
	}
	res, err := b.r.deps.Ingester.Submit(b.ctx, b.records)
	if err != nil {
		return b.refused(fmt.Errorf("submit records: %w", err))
	}
	b.kept = true
	b.counts.Accepted += res.Accepted
	b.counts.Duplicate += res.Duplicate
	b.clearRecords()
	return nil
}

// refused decides what an error of the log means: nothing was kept yet, so the
// request fails as a whole; or the rest is listed as rejected, to be sent
// again, because a failure would say that nothing was kept.
func (b *batch) refused(err error) error {
	if !b.kept {
		return err
	}
	b.lost = &event.Invalid{Code: "bus_full", Detail: "not kept: the log cannot take more now; send this one again"}
	if !errors.Is(err, wire.ErrBusy) {
		b.lost = &event.Invalid{Code: "not_kept", Detail: "not kept: vitrine cannot take more now; send this one again"}
		b.r.deps.Log.Error("request failed midway", slog.String(keyRoute, b.path), slog.Any(logkey.Error, err))
	}
	for _, index := range b.index {
		b.reject(index, b.lost)
	}
	// Not reused: after an error the log may still read them.
	b.records, b.index, b.letters = nil, b.index[:0], nil
	return nil
}

// clearRecords lets go of the strings, so that an idle buffer pins no records.
func (b *batch) clearRecords() {
	clear(b.records)
	b.records, b.index = b.records[:0], b.index[:0]
}

// release gives the scratch back, unless it has grown beyond what is usual.
func (b *batch) release() {
	pool := &b.r.batches
	if cap(b.body) > keepBody {
		b.body = nil
	}
	clear(b.rejected)
	*b = batch{body: b.body[:0], records: b.records[:0], index: b.index[:0], letters: b.letters[:0], rejected: b.rejected[:0]}
	pool.Put(b)
}

func (b *batch) appendResult(dst []byte) []byte {
	dst = strconv.AppendInt(append(dst, `{"accepted":`...), int64(b.counts.Accepted), 10)
	dst = strconv.AppendInt(append(dst, `,"duplicate":`...), int64(b.counts.Duplicate), 10)
	dst = append(dst, `,"rejected":[`...)
	for i := range b.rejected {
		if i > 0 {
			dst = append(dst, ',')
		}
		r := &b.rejected[i]
		dst = strconv.AppendInt(append(dst, `{"index":`...), int64(r.index), 10)
		dst = wire.AppendString(append(dst, `,"code":`...), r.code)
		dst = wire.AppendString(append(dst, `,"detail":`...), r.detail)
		dst = append(dst, '}')
	}
	return append(dst, "]}\n"...)
}

// submitContext bounds the wait for the log.
func (r *Routes) submitContext(c echo.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(c.Request().Context(), submitTimeout)
}
