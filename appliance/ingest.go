package appliance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"vitrine/appliance/httpapi"
	"vitrine/appliance/httpapi/adminapi"
	"vitrine/appliance/topics"
	"vitrine/bridge"
	"vitrine/bridge/deadletter"
	"vitrine/bridge/event"
	"vitrine/bridge/file"
	"vitrine/bridge/kafka"
	"vitrine/internal/logkey"
)

// ingester lets the HTTP layer speak to the pump.
type ingester struct {
	pump    *bridge.Pump
	metrics *metrics
}

func (i ingester) Submit(ctx context.Context, records []event.Record) (httpapi.Result, error) {
	start := time.Now()
	res, err := i.pump.Submit(ctx, records)
	if err == nil {
		i.metrics.effect.Observe(time.Since(start).Seconds())
	}
	out := httpapi.Result{Accepted: res.Accepted, Duplicate: res.Duplicate}
	return out, refusal(err)
}

// refusal gives what the bus says in the HTTP layer's terms; what may have been
// kept comes first.
func refusal(err error) error {
	for _, known := range []struct{ bus, http error }{
		{bridge.ErrUnsure, httpapi.ErrUnsure},
		{bridge.ErrDiskFull, httpapi.ErrDiskFull},
		{bridge.ErrBusFull, httpapi.ErrBusy},
		{bridge.ErrUnavailable, httpapi.ErrUnavailable},
		{bridge.ErrClosed, httpapi.ErrClosed},
	} {
		if errors.Is(err, known.bus) {
			return fmt.Errorf("%w: %w", known.http, err)
		}
	}
	return err
}

// openKafka makes the source of the configured topics; without brokers there is
// none.
func (a *Appliance) openKafka() (err error) {
	opt := a.config.Kafka.Options()
	if len(opt.Brokers) == 0 {
		return nil
	}
	opt.Into, opt.Letters, opt.Types, opt.Log, opt.Now = a.parts.pump, a.parts.letters, a.parts.signal, a.log, a.now
	opt.Observe = func(n kafka.Counts) { a.metrics.Ingested(httpapi.Ingested(n)) }
	if a.parts.kafka, err = topics.Open(opt, a.folder.Path("state", "instance")); err != nil {
		return &Fault{Op: "read Kafka", Err: err, Hint: "the keys of [kafka] in the configuration"}
	}
	return nil
}

// letters lets the HTTP layer speak to the dead letter store.
type letters struct {
	store *deadletter.Store
	// room is an error while the disk has too little room, also for letters.
	room func() error
}

func (l letters) Add(ctx context.Context, in []httpapi.Letter) (int, error) {
	if err := l.room(); err != nil {
		return 0, refusal(err)
	}
	out := make([]deadletter.Letter, len(in))
	for i := range in {
		out[i] = deadletter.Letter{
			Source: in[i].Source, Partition: in[i].Partition, Line: in[i].Line, Offset: in[i].Offset,
			Code: in[i].Code, Detail: in[i].Detail, Time: in[i].Time, Raw: in[i].Raw, Truncated: in[i].Truncated,
		}
	}
	return l.store.Add(ctx, out)
}

func (l letters) List(limit int, cursor string) (httpapi.LetterPage, error) {
	page, err := l.store.List(limit, cursor)
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

func (l letters) Get(id string) (httpapi.Letter, error) {
	letter, err := l.store.Get(id)
	if errors.Is(err, deadletter.ErrNotFound) {
		return httpapi.Letter{}, httpapi.ErrNotFound
	}
	if err != nil {
		return httpapi.Letter{}, err
	}
	return letterOf(&letter), nil
}

func letterOf(l *deadletter.Letter) httpapi.Letter {
	return httpapi.Letter{
		ID: l.ID, Source: l.Source, Partition: l.Partition, Line: l.Line, Offset: l.Offset,
		Code: l.Code, Detail: l.Detail, Time: l.Time, Raw: l.Raw, Truncated: l.Truncated,
	}
}

// importer loads files that are streamed in.
type importer struct {
	ingester ingester
	letters  letters
	types    event.Types
	metrics  *metrics
	log      *slog.Logger
	now      func() time.Time
}

// Import reads the body as the request says. Rows become records of the log,
// broken rows dead letters.
func (im importer) Import(ctx context.Context, body io.Reader, req httpapi.ImportRequest) (adminapi.ImportResult, error) {
	start := im.now()
	mapping, err := file.ParseMap(req.Map)
	if err != nil {
		return adminapi.ImportResult{}, importProblem(err)
	}
	spec := file.Spec{
		Name: req.Name, Format: req.Format, Map: mapping, Where: req.Where, RemoveWhere: req.RemoveWhere,
		TSFormat: req.TSFormat, TZ: req.TZ, Types: im.types, Now: start,
	}
	switch req.Kind {
	case "items":
		spec.Kind = file.Items
	case "users":
		spec.Kind = file.Users
	}
	sink := &importSink{importer: im, name: req.Name}
	counts, err := file.Read(ctx, body, spec, sink)
	result := adminapi.ImportResult{
		Read: counts.Read, Rejected: counts.Rejected, Skipped: counts.Skipped,
		Accepted: counts.Emitted - sink.duplicate, Duplicate: sink.duplicate, Removes: sink.removes,
		Seconds: im.now().Sub(start).Seconds(),
	}
	im.metrics.Ingested(httpapi.Ingested{Accepted: int(result.Accepted), Duplicate: int(result.Duplicate), Rejected: int(result.Rejected)})
	if err != nil {
		return result, importProblem(err)
	}
	im.log.Info("file imported", logkey.File, req.Name, logkey.Rows, counts.Read, logkey.Seconds, result.Seconds)
	return result, nil
}

// importProblem is a fault of the input in the API's terms.
func importProblem(err error) error {
	var input *file.InputError
	if errors.As(err, &input) {
		return &httpapi.Problem{Status: http.StatusBadRequest, Code: input.Code, Detail: input.Detail, Hint: input.Hint}
	}
	return err
}

// importSink hands the rows of one file on.
type importSink struct {
	importer
	name               string
	duplicate, removes int64
}

func (s *importSink) Records(ctx context.Context, records []event.Record) error {
	for i := range records {
		if records[i].Kind == event.KindEvent && records[i].Event.Type == event.TypeRemove {
			s.removes++
		}
	}
	res, err := s.ingester.Submit(ctx, records)
	s.duplicate += int64(res.Duplicate)
	return err
}

func (s *importSink) Reject(ctx context.Context, rejected []file.Rejected) error {
	now := s.now().UnixMilli()
	letters := make([]deadletter.Letter, len(rejected))
	for i, r := range rejected {
		letters[i] = deadletter.Letter{
			Source: s.name, Line: r.Line, Code: r.Code, Detail: r.Detail, Time: now, Raw: r.Raw, Truncated: r.Truncated,
		}
	}
	if err := s.letters.room(); err != nil {
		return refusal(err)
	}
	_, err := s.letters.store.Add(ctx, letters)
	return err
}
