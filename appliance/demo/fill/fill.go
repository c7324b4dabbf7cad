// Package fill sends the demo shop into an empty appliance and trains on it.
//
// It owns the mark that says how far that is. It may import the shop, the pump
// that takes records in, and the words of a job's progress.
//
//	err := fill.Run(ctx, fill.Options{Mark: path, Pump: pump, Train: train, Tell: tell, Now: time.Now})
package fill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"vitrine/appliance/datadir"
	"vitrine/appliance/demo"
	"vitrine/appliance/httpapi/adminapi"
	"vitrine/bridge"
	"vitrine/bridge/event"
)

// Options are what a shop is filled into; all of it.
type Options struct {
	// Mark is the file that is kept, so that a fill that was cut short goes on
	// where a second start finds it, with the same events.
	Mark string
	// Pump takes the records in.
	Pump *bridge.Pump
	// Train makes a model of them.
	Train func(ctx context.Context, tell func(adminapi.JobProgress)) (*adminapi.TrainReport, *adminapi.Verdict, error)
	Tell  func(adminapi.JobProgress)
	Now   func() time.Time
}

// Run fills an empty data folder, and one whose fill was cut short; it leaves
// any other alone.
func Run(ctx context.Context, opt Options) error {
	m, pending, err := opt.pending()
	if err != nil || !pending {
		return err
	}
	return opt.fill(ctx, m)
}

// mark is what is in the file.
type mark struct {
	End  time.Time `json:"end"`
	Done bool      `json:"done"`
}

// pending decides whether the demo shop must be filled in: yes for an
// empty data folder and for one whose fill was cut short.
func (opt *Options) pending() (m mark, pending bool, err error) {
	text, err := os.ReadFile(opt.Mark)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if opt.Pump.Stats().Last > 0 {
			return m, false, nil // a real shop's data: leave it alone
		}
		m.End = opt.Now().UTC().Truncate(time.Hour)
		return m, true, opt.write(m)
	case err != nil:
		return m, false, fmt.Errorf("read demo mark: %w", err)
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, false, &datadir.Fault{Op: "read " + opt.Mark, Err: err, Hint: "remove the file to leave the demo shop as it is"}
	}
	return m, !m.Done, nil
}

func (opt *Options) write(m mark) error {
	text, err := json.Marshal(m)
	if err == nil {
		err = os.WriteFile(opt.Mark+".tmp", text, 0o640)
	}
	if err == nil {
		err = os.Rename(opt.Mark+".tmp", opt.Mark) // a crash leaves the old mark or the new one
	}
	if err != nil {
		return fmt.Errorf("write demo mark: %w", err)
	}
	return nil
}

// batchRecords is how many records one Submit carries.
const batchRecords = 4000

// fill sends the generated shop through the front door and trains on it.
// Every event has an id, so doing it again adds nothing.
func (opt *Options) fill(ctx context.Context, m mark) error {
	var batch []event.Record
	sent := int64(0)
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		if _, err := opt.Pump.Submit(ctx, batch); err != nil {
			return err
		}
		sent += int64(len(batch))
		batch = batch[:0]
		opt.Tell(adminapi.JobProgress{Stage: "fill", Done: sent, Total: demo.DefaultItems + demo.DefaultCustomers + demo.DefaultEvents})
		return nil
	}
	add := func(r event.Record) error {
		r.Source = event.Source{Name: "demo"}
		if batch = append(batch, r); len(batch) < batchRecords {
			return nil
		}
		return flush()
	}
	err := demo.Fill(demo.Config{End: m.End}, demo.Sink{
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
	_, verdict, err := opt.Train(ctx, opt.Tell)
	if err != nil {
		return fmt.Errorf("train on the demo shop: %w", err)
	}
	if !verdict.Published {
		return fmt.Errorf("train on the demo shop: model refused: %s", verdict.Reason)
	}
	m.Done = true
	return opt.write(m)
}
