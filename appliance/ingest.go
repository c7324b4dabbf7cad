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
	"vitrine/appliance/metrics"
	"vitrine/appliance/replay"
	"vitrine/appliance/topics"
	"vitrine/bridge"
	"vitrine/bridge/deadletter"
	"vitrine/bridge/event"
	"vitrine/bridge/file"
	"vitrine/bridge/kafka"
	"vitrine/bridge/kafka/values"
	"vitrine/internal/logkey"
)

// ingester lets the HTTP layer speak to the pump.
type ingester struct {
	pump    *bridge.Pump
	metrics *metrics.Metrics
}

func (i ingester) Submit(ctx context.Context, records []event.Record) (httpapi.Result, error) {
	start := time.Now()
	res, err := i.pump.Submit(ctx, records)
	if err == nil {
		i.metrics.Effect(time.Since(start))
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
	opt.Begun = a.begun
	if a.parts.kafka, err = topics.Open(opt, a.folder.Path("state", "instance")); err != nil {
		return &Fault{Op: "read Kafka", Err: err, Hint: "the keys of [kafka] in the configuration"}
	}
	return nil
}

// tellUnread tells of which topics something is to be read again and, as the
// configuration is, will not be.
func (a *Appliance) tellUnread() {
	told := map[string]bool{}
	for _, w := range a.pipeline().Wanted() {
		if w.Error != nil && !told[w.Topic] {
			told[w.Topic] = true
			a.log.Warn("records that were in damaged frames wait to be read again: "+*w.Error, logkey.Source, w.Topic, logkey.Hint, *w.Hint)
		}
	}
}

// begun keeps where partitions begin. What is to be read again of topics that were
// deleted before went with them.
func (a *Appliance) begun(from map[bridge.Place]int64) error {
	if err := a.parts.begun.Keep(from); err != nil {
		return err
	}
	if wanted, _ := a.parts.pump.Wanted(); len(wanted) == 0 {
		return nil
	}
	_, err := a.parts.state.GiveUp(context.Background(), topics.Earlier(from), bridge.TopicDeleted)
	return err
}

// letters are the dead letters for the HTTP layer.
func (a *Appliance) letters(in ingester) (*replay.Desk, error) {
	read := a.config.Kafka.Options().Topics
	read.Types, read.Now = a.parts.signal, a.now
	topics, err := values.NewAgain(read)
	if err != nil {
		return nil, &Fault{Op: "read Kafka", Err: err, Hint: "the keys of [kafka] in the configuration"}
	}
	room := func() error {
		if err := a.parts.bus.Room(); err != nil {
			return refusal(err)
		}
		return nil
	}
	return &replay.Desk{Room: room, Replayer: replay.Replayer{
		Letters: a.parts.letters, Kafka: topics, Known: replay.Changes{Catalog: a.parts.catalog}, Types: a.parts.signal, Now: a.now,
		Submit: func(ctx context.Context, records []event.Record) (int, error) {
			res, err := in.Submit(ctx, records)
			a.metrics.Ingested(httpapi.Ingested{Accepted: res.Accepted, Duplicate: res.Duplicate})
			return res.Duplicate, err
		},
	}}, nil
}

// importer loads files that are streamed in.
type importer struct {
	ingester ingester
	letters  *replay.Desk
	types    event.Types
	metrics  *metrics.Metrics
	log      *slog.Logger
	now      func() time.Time
}

// Import reads the body as the request says. Rows become records of the log,
// broken rows dead letters.
func (im importer) Import(ctx context.Context, body io.Reader, req httpapi.ImportRequest) (adminapi.ImportResult, error) {
	start := im.now()
	how := replay.Import{
		Kind: req.Kind, Format: req.Format, Map: req.Map, Where: req.Where, RemoveWhere: req.RemoveWhere, TSFormat: req.TSFormat, TZ: req.TZ,
	}
	spec, err := how.Spec()
	if err != nil {
		return adminapi.ImportResult{}, importProblem(err)
	}
	spec.Name, spec.Types, spec.Now = req.Name, im.types, start
	sink := &importSink{importer: im, name: req.Name, how: how}
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
	how                replay.Import
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
	if len(rejected) > 0 {
		s.how.Head = rejected[0].Head
	}
	context := s.how.Context()
	letters := make([]deadletter.Letter, len(rejected))
	for i, r := range rejected {
		letters[i] = deadletter.Letter{
			Source: s.name, Line: r.Line, Code: r.Code, Detail: r.Detail, Time: now, Raw: r.Raw, Truncated: r.Truncated,
			Context: context,
		}
	}
	if err := s.letters.Room(); err != nil {
		return err
	}
	_, err := s.letters.Letters.Add(ctx, letters)
	return err
}
