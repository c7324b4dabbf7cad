package appliance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"vitrine/appliance/demo"
	"vitrine/appliance/httpapi/adminapi"
	"vitrine/bridge/event"
)

// demoMark is kept in state/demo.json, so that a fill that was cut short goes
// on where a second start finds it, with the same events.
type demoMark struct {
	End  time.Time `json:"end"`
	Done bool      `json:"done"`
}

// demoPending decides whether the demo shop must be filled in: yes for an
// empty data folder and for one whose fill was cut short.
func (a *Appliance) demoPending() (demoMark, bool, error) {
	path := a.folder.Path("state", "demo.json")
	text, err := os.ReadFile(path)
	var mark demoMark
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if a.parts.pump.Stats().Last > 0 {
			return mark, false, nil // a real shop's data: leave it alone
		}
		mark.End = a.now().UTC().Truncate(time.Hour)
		return mark, true, a.writeMark(mark)
	case err != nil:
		return mark, false, fmt.Errorf("read demo mark: %w", err)
	}
	if err := json.Unmarshal(text, &mark); err != nil {
		return mark, false, &Fault{Op: "read " + path, Err: err, Hint: "remove the file to leave the demo shop as it is"}
	}
	return mark, !mark.Done, nil
}

func (a *Appliance) writeMark(mark demoMark) error {
	path := a.folder.Path("state", "demo.json")
	text, err := json.Marshal(mark)
	if err == nil {
		err = os.WriteFile(path+".tmp", text, 0o640)
	}
	if err == nil {
		err = os.Rename(path+".tmp", path) // a crash leaves the old mark or the new one
	}
	if err != nil {
		return fmt.Errorf("write demo mark: %w", err)
	}
	return nil
}

// demoBatch is how many records one Submit carries.
const demoBatch = 4000

// fillDemo sends the generated shop through the front door and trains on it.
// Every event has an id, so doing it again adds nothing.
func (a *Appliance) fillDemo(ctx context.Context, mark demoMark, tell func(adminapi.JobProgress)) error {
	var batch []event.Record
	sent := int64(0)
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		if _, err := a.parts.pump.Submit(ctx, batch); err != nil {
			return err
		}
		sent += int64(len(batch))
		batch = batch[:0]
		tell(adminapi.JobProgress{Stage: "fill", Done: sent, Total: demo.DefaultItems + demo.DefaultCustomers + demo.DefaultEvents})
		return nil
	}
	add := func(r event.Record) error {
		r.Source = event.Source{Name: "demo"}
		if batch = append(batch, r); len(batch) < demoBatch {
			return nil
		}
		return flush()
	}
	err := demo.Fill(demo.Config{End: mark.End}, demo.Sink{
		Items:  func(it event.Item) error { return add(event.Record{Kind: event.KindItemPut, Item: it}) },
		Users:  func(u event.User) error { return add(event.Record{Kind: event.KindUserPut, User: u}) },
		Events: func(e event.Event) error { return add(event.Record{Kind: event.KindEvent, Event: e}) },
	})
	if err == nil {
		err = flush()
	}
	if err != nil {
		return fmt.Errorf("fill the demo shop: %w", err)
	}
	_, verdict, err := a.jobs.Train(ctx, tell)
	if err != nil {
		return fmt.Errorf("train on the demo shop: %w", err)
	}
	if !verdict.Published {
		return fmt.Errorf("train on the demo shop: model refused: %s", verdict.Reason)
	}
	mark.Done = true
	return a.writeMark(mark)
}
