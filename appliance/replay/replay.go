// Package replay reads dead letters again, after the types, the formats or the
// maps of the configuration have been mended, and hands on what has become
// whole. What is refused again stays where it is.
//
// It owns what letters keep to be read again: how a file was imported and which
// headers a request had. A record that names no event_id gets the letter's own,
// so that a replay that was cut short and is begun anew adds nothing twice.
//
// bridge/kafka/values reads letters of topics, bridge/file rows; Desk is what the HTTP
// layer sees of all letters.
//
//	r := replay.Replayer{Letters: store, Kafka: topics, Submit: submit, Types: types}
//	result, err := r.Replay(ctx, replay.Request{Source: "user-events"})
package replay

import (
	"context"
	"fmt"
	"slices"
	"time"

	"vitrine/bridge/deadletter"
	"vitrine/bridge/event"
	"vitrine/bridge/kafka/values"
)

// Codes of letters that cannot be read again, beside those of records.
const (
	// CodeCut is that of a letter that has not all bytes of what was refused.
	CodeCut = "cut"
	// CodeUnknownSource is that of a letter of a topic that the configuration
	// does not name, or that an older version has kept.
	CodeUnknownSource = "unknown_source"
)

// Request says which letters; the zero value is the oldest of all.
type Request struct {
	// IDs are some letters; then nothing else but Map counts.
	IDs []string
	// Source and Code leave out those of others.
	Source, Code string
	// Map replaces the --map with which files were imported.
	Map string
	// Limit bounds how many letters are looked at: deadletter.MaxPage at most,
	// and by default. Cursor goes on where a result's Next says.
	Limit  int
	Cursor string
}

// Result is what became of the letters. Read is the sum of Accepted, Duplicate,
// Skipped and those in Rejected.
type Result struct {
	Read int
	// Accepted ones became records, Duplicate ones were in the log already, as
	// was something newer of an item or a user; Skipped rows are left out by the
	// --where of their import. All of these are no letters any more.
	Accepted, Duplicate, Skipped int
	// Rejected ones stay.
	Rejected []Rejection
	// Next is where to go on; empty at the end.
	Next string
}

// Rejection is a letter that stays.
type Rejection struct{ ID, Code, Detail string }

// Known tells what is known of users and items by now.
type Known interface {
	// Newer tells whether there is a change of the record's item, or an erasure
	// or a change of its user, that is younger than the record.
	Newer(r *event.Record) bool
}

// Replayer reads letters again. All fields are needed.
type Replayer struct {
	Letters *deadletter.Store
	Kafka   *values.Again
	// Submit makes records durable and says how many were there already.
	Submit func(ctx context.Context, records []event.Record) (duplicate int, err error)
	Known  Known
	Types  event.Types
	Now    func() time.Time
}

// Replay reads a page of letters again. After an error, those that were handed
// on are still there, and another replay finds them to be duplicates.
func (r *Replayer) Replay(ctx context.Context, req Request) (Result, error) {
	letters, next, err := r.choose(&req)
	if err != nil {
		return Result{}, err
	}
	t := take{Replayer: r, req: &req, result: Result{Read: len(letters), Next: next, Rejected: []Rejection{}}}
	for len(letters) > 0 {
		n, err := t.some(ctx, letters)
		if err != nil {
			return Result{}, err
		}
		letters = letters[n:]
	}
	if len(t.records) > 0 {
		duplicate, err := r.Submit(ctx, t.records)
		if err != nil {
			return Result{}, fmt.Errorf("submit what was read again: %w", err)
		}
		t.result.Duplicate += duplicate
		t.result.Accepted += t.whole - duplicate
	}
	if _, err := r.Letters.Remove(t.done); err != nil {
		return Result{}, fmt.Errorf("take out what was read again: %w", err)
	}
	return t.result, nil
}

// choose gives the letters with their bytes.
func (r *Replayer) choose(req *Request) (letters []deadletter.Letter, next string, err error) {
	if len(req.IDs) > 0 {
		for _, id := range req.IDs {
			l, err := r.Letters.Get(id)
			if err != nil {
				return nil, "", fmt.Errorf("read dead letter %s: %w", id, err)
			}
			letters = append(letters, l)
		}
		return letters, "", nil
	}
	page, err := r.Letters.Load(req.Limit, req.Cursor)
	if err != nil {
		return nil, "", err
	}
	return slices.DeleteFunc(page.Letters, func(l deadletter.Letter) bool {
		return req.Source != "" && l.Source != req.Source || req.Code != "" && l.Code != req.Code
	}), page.Next, nil
}

// take is one replay.
type take struct {
	*Replayer
	req     *Request
	records []event.Record
	// whole is how many letters the records are of; done are the letters that
	// go when the records are durable.
	whole  int
	done   []string
	result Result
}

// some reads the first letter, and those behind it that are rows of the same
// import.
func (t *take) some(ctx context.Context, letters []deadletter.Letter) (n int, err error) {
	l := &letters[0]
	switch {
	case l.Truncated:
		t.reject(l, CodeCut, "only the first bytes of it are kept: send it again from where it came from")
	case len(l.Raw) == 0 && l.Code == event.CodeTooLarge:
		t.reject(l, CodeCut, "none of its bytes are kept: send it again from where it came from")
	case l.Source == deadletter.SourceHTTP:
		t.one(l, t.request(l))
	case t.Kafka.Knows(l.Source):
		record, inv, err := t.Kafka.Read(ctx, l)
		if err != nil {
			return 0, err
		}
		t.one(l, outcome{record, inv})
	default:
		return t.rows(ctx, letters)
	}
	return 1, nil
}

// outcome is what a letter was read as.
type outcome struct {
	record event.Record
	inv    *event.Invalid
}

// one takes a letter that is one record.
func (t *take) one(l *deadletter.Letter, o outcome) {
	if o.inv != nil {
		t.reject(l, o.inv.Code, o.inv.Detail)
		return
	}
	if o.record.Kind == event.KindEvent && o.record.Event.EventID == "" {
		o.record.Event.EventID = l.EventID()
	}
	t.keep(l, o.record)
}

// keep takes the record of a letter, unless there is something newer.
func (t *take) keep(l *deadletter.Letter, r event.Record) {
	t.done = append(t.done, l.ID)
	if t.Known.Newer(&r) {
		t.result.Duplicate++
		return
	}
	t.whole++
	t.records = append(t.records, r)
}

func (t *take) reject(l *deadletter.Letter, code, detail string) {
	t.result.Rejected = append(t.result.Rejected, Rejection{l.ID, code, detail})
}
