package replay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"vitrine/bridge/deadletter"
	"vitrine/bridge/event"
	"vitrine/bridge/file"
)

// Import is how a file was imported; it is the context of its letters.
type Import struct {
	Kind        string `json:"kind,omitempty"`
	Format      string `json:"format,omitempty"`
	Map         string `json:"map,omitempty"`
	Where       string `json:"where,omitempty"`
	RemoveWhere string `json:"remove_where,omitempty"`
	TSFormat    string `json:"ts_format,omitempty"`
	TZ          string `json:"tz,omitempty"`
	// Head is the header line, as it stands in the file.
	Head []byte `json:"head,omitempty"`
}

// Context is its form in letters.
func (i *Import) Context() []byte {
	out, err := json.Marshal(i)
	if err != nil {
		return nil // no field of it has no form in JSON
	}
	return out
}

// Spec is what the reader of files is told.
func (i *Import) Spec() (file.Spec, error) {
	mapping, err := file.ParseMap(i.Map)
	if err != nil {
		return file.Spec{}, err
	}
	spec := file.Spec{Format: i.Format, Map: mapping, Where: i.Where, RemoveWhere: i.RemoveWhere, TSFormat: i.TSFormat, TZ: i.TZ}
	switch i.Kind {
	case "items":
		spec.Kind = file.Items
	case "users":
		spec.Kind = file.Users
	}
	return spec, nil
}

// rows reads the first letter and those behind it that are of the same import,
// as one file: so rows that are equal are counted as in the file they are of.
func (t *take) rows(ctx context.Context, letters []deadletter.Letter) (n int, err error) {
	l := &letters[0]
	var imported Import
	if len(l.Context) == 0 || json.Unmarshal(l.Context, &imported) != nil {
		t.reject(l, CodeUnknownSource, "it is of no configured topic and of no file that can be read again: mend the row in its file and import that, which doubles nothing")
		return 1, nil
	}
	if t.req.Map != "" {
		imported.Map = t.req.Map
	}
	spec, err := imported.Spec()
	if err != nil {
		return 0, err
	}
	spec.Name, spec.Types, spec.Now = l.Source, t.Types, time.UnixMilli(l.Time)
	f := rowFile{take: t, byLine: map[int64]*deadletter.Letter{}}
	var body bytes.Buffer
	line := int64(1)
	add := func(text []byte) {
		body.Write(text)
		body.WriteByte('\n')
		line += int64(bytes.Count(text, []byte{'\n'})) + 1
	}
	if len(imported.Head) > 0 {
		add(bytes.TrimRight(imported.Head, "\r\n"))
	}
	for n < len(letters) && letters[n].Source == l.Source && !letters[n].Truncated && bytes.Equal(letters[n].Context, l.Context) {
		f.byLine[line] = &letters[n]
		add(bytes.TrimRight(letters[n].Raw, "\r\n"))
		n++
	}
	records, whole, done, duplicate := len(t.records), t.whole, len(t.done), t.result.Duplicate
	if _, err := file.Read(ctx, &body, spec, &f); err != nil {
		var fault *file.InputError
		if !errors.As(err, &fault) {
			return 0, fmt.Errorf("read the rows of %s again: %w", l.Source, err)
		}
		t.records, t.whole, t.done, t.result.Duplicate = t.records[:records], whole, t.done[:done], duplicate
		for i := range n { // none of them can be read like that
			t.reject(&letters[i], fault.Code, fault.Detail)
		}
		return n, nil
	}
	f.finish(letters[:n])
	return n, nil
}

// rowFile takes rows as they are read again.
type rowFile struct {
	*take
	byLine map[int64]*deadletter.Letter
	// read has the letters that were heard of.
	read map[*deadletter.Letter]bool
}

// Records implements file.Sink.
func (f *rowFile) Records(_ context.Context, records []event.Record) error {
	for i := range records {
		r := records[i]
		l := f.byLine[r.Source.Offset]
		if l == nil || f.heard(l) { // attributes of a row's item come on top
			if !f.Known.Newer(&r) {
				f.records = append(f.records, r)
			}
			continue
		}
		r.Source.Offset = l.Line
		f.keep(l, r)
	}
	return nil
}

// Reject implements file.Sink.
func (f *rowFile) Reject(_ context.Context, rejected []file.Rejected) error {
	for i := range rejected {
		if l := f.byLine[rejected[i].Line]; l != nil && !f.heard(l) {
			f.reject(l, rejected[i].Code, rejected[i].Detail)
		}
	}
	return nil
}

// heard tells whether a letter came before, and notes it.
func (f *rowFile) heard(l *deadletter.Letter) bool {
	if f.read == nil {
		f.read = map[*deadletter.Letter]bool{}
	}
	before := f.read[l]
	f.read[l] = true
	return before
}

// finish takes the letters that were not heard of: the filter left them out.
func (f *rowFile) finish(letters []deadletter.Letter) {
	for i := range letters {
		if l := &letters[i]; !f.read[l] {
			f.result.Skipped++
			f.done = append(f.done, l.ID)
		}
	}
}
