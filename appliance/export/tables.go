package export

import (
	"context"
	"fmt"
	"net/http"

	"vitrine/appliance/httpapi"
	"vitrine/bridge/event"
	"vitrine/bridge/parquet"
)

// events writes the archive as a training reads it.
func (e *Exporter) events(ctx context.Context, out *lines, begin func(int64)) error {
	if err := e.src.Flush(ctx); err != nil {
		return fmt.Errorf("commit what was acknowledged: %w", err)
	}
	sum, err := e.src.Archive.Summary(ctx)
	if err != nil {
		return err
	}
	owners, err := e.src.Archive.Owners(ctx)
	if err != nil {
		return err
	}
	begin(sum.Events)
	var row event.Event
	return e.src.Archive.ScanEvents(ctx, parquet.AllOfEvent|parquet.BusSeq, func(b *parquet.EventBatch) error {
		for i := range b.Len {
			b.Event(i, &row)
			if !owners.None() {
				if row.UserID = owners.Of(row.UserID, b.BusSeq[i]); row.UserID == "" {
					continue
				}
			}
			out.buf = event.AppendEventJSON(out.buf, &row)
			if err := out.row(); err != nil {
				return err
			}
		}
		return nil
	})
}

// items writes those of which anything is known, if only by events.
func (e *Exporter) items(ctx context.Context, out *lines, begin func(int64)) error {
	n := e.src.Catalog.NumItems()
	begin(int64(n))
	for code := range uint32(n) {
		if code%lookEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		id := e.src.Catalog.ItemID(code)
		if id == "" || e.src.Catalog.Deleted(code) {
			continue
		}
		it, _ := e.src.Catalog.Item(code)
		out.buf = appendText(append(out.buf, `{"item_id":`...), id)
		out.buf = event.AppendAttributesJSON(append(out.buf, `,"attributes":`...), it.Attributes)
		out.buf = appendTime(out.buf, "expires_at", it.ExpiresAt)
		out.buf = append(appendTime(out.buf, "ts", it.Time), '}')
		if err := out.row(); err != nil {
			return err
		}
	}
	return nil
}

// users writes those who have attributes or a history.
func (e *Exporter) users(ctx context.Context, out *lines, begin func(int64)) error {
	n := e.src.Catalog.NumUsers()
	begin(int64(n))
	for code := range uint32(n) {
		if code%lookEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		u, known := e.src.Catalog.User(code)
		if !known && !e.src.HasHistory(code) {
			continue
		}
		out.buf = appendText(append(out.buf, `{"user_id":`...), e.src.Catalog.UserID(code))
		out.buf = event.AppendAttributesJSON(append(out.buf, `,"attributes":`...), u.Attributes)
		out.buf = append(appendTime(out.buf, "ts", u.Time), '}')
		if err := out.row(); err != nil {
			return err
		}
	}
	return nil
}

// model writes the factors of the live version, users before items. Of users only
// those who have a history and were never erased: the model in RAM still has who
// was erased since, and guests who have become others.
func (e *Exporter) model(ctx context.Context, out *lines, begin func(int64)) error {
	f, ok := e.src.Factors()
	if !ok {
		return &httpapi.Problem{Status: http.StatusConflict, Code: "no_model", Detail: "there is no model yet", Hint: "make one with: vitrine train"}
	}
	begin(int64(len(f.UserIDs) + len(f.ItemIDs)))
	for _, side := range []struct {
		name  string
		ids   []string
		rows  []float32
		known func(id string) bool
	}{{"user_id", f.UserIDs, f.Users, e.present}, {"item_id", f.ItemIDs, f.Items, func(string) bool { return true }}} {
		for row, id := range side.ids {
			if row%lookEvery == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			if !side.known(id) {
				continue
			}
			out.buf = append(append(append(out.buf, `{"`...), side.name...), `":`...)
			out.buf = append(appendText(out.buf, id), `,"factors":[`...)
			for i, v := range side.rows[row*f.Rank : (row+1)*f.Rank] {
				if i > 0 {
					out.buf = append(out.buf, ',')
				}
				out.buf = appendFloat(out.buf, v)
			}
			out.buf = append(out.buf, "]}"...)
			if err := out.row(); err != nil {
				return err
			}
		}
	}
	return nil
}

// present says whether rows about a user may be told.
func (e *Exporter) present(id string) bool {
	code, ok := e.src.Catalog.UserCode(id)
	if !ok || !e.src.HasHistory(code) {
		return false
	}
	_, erased := e.src.Catalog.Erased(id)
	return !erased
}
