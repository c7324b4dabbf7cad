package replay

import (
	"bufio"
	"bytes"
	"mime"
	"net/http"
	"net/textproto"

	"vitrine/bridge/cloudevents"
	"vitrine/bridge/deadletter"
	"vitrine/bridge/event"
)

// request reads an event that came by HTTP. The context has the headers that
// say what it is: none for an event of the API's own form.
func (t *take) request(l *deadletter.Letter) outcome {
	o := outcome{record: event.Record{Kind: event.KindEvent, Source: event.Source{Name: deadletter.SourceHTTP}}}
	e := &o.record.Event
	h, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(append(l.Context, "\r\n"...)))).ReadMIMEHeader()
	if err != nil {
		h = nil
	}
	header := http.Header(h)
	if path := header.Get("Path"); path != "" {
		o.inv = &event.Invalid{Code: CodeUnknownSource, Detail: "it came by POST " + path + ": mend it and send it there again"}
		return o
	}
	switch media, _, _ := mime.ParseMediaType(header.Get("Content-Type")); {
	case media == cloudevents.Structured, media == cloudevents.Batched:
		_, o.inv = cloudevents.Parse(l.Raw, e)
	case cloudevents.Binary(header):
		_, o.inv = cloudevents.ParseBinary(header, l.Raw, e)
	default:
		_, o.inv = event.ParseEvent(l.Raw, e)
	}
	if o.inv == nil {
		o.inv = e.Validate(t.Types)
	}
	if o.inv == nil {
		if e.Time == 0 {
			e.Time = l.Time
		}
		e.Normalize(t.Now())
	}
	return o
}
