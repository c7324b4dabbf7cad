package bench

import (
	"context"
	"fmt"
	"time"

	"vitrine/appliance/bench/recovery"
	"vitrine/appliance/bench/report"
	"vitrine/appliance/bench/snapshot"
	"vitrine/appliance/demo"
)

// recover kills an appliance with a trained shop in mid-ingest and starts it
// again.
func (r *run) recover(ctx context.Context) (*report.Part, error) {
	if r.opt.ServeCommand == nil {
		return nil, fmt.Errorf("%w: there is no command for the server", ErrPart)
	}
	shop := demo.Config{Items: 20_000, Customers: 100_000, Events: 1_000_000, End: shopEnd()}
	if r.opt.Full {
		shop.Items, shop.Customers, shop.Events = 200_000, 1_000_000, 8_000_000
	}
	s, err := r.appliance(ctx, shopSpec{Config: shop})
	if err != nil {
		return nil, err
	}
	defer s.close()
	// A clean start: what is measured is the tail behind a snapshot, not the
	// whole of the import.
	if err := r.start(ctx, s); err != nil {
		return nil, err
	}
	b := &recovery.Bench{Ingest: 3 * time.Second, Repetitions: r.repetitions, Progress: r.opt.Progress}
	err = b.Run(ctx, s.address, &recovery.Daemon{
		Start: func(ctx context.Context) (string, error) {
			err := r.start(ctx, s)
			return s.address, err
		},
		Kill: func() {
			s.process.Kill()
			s.process = nil
		},
		Users: s.users, Items: s.items,
	})
	if err != nil {
		return nil, err
	}
	filled := fmt.Sprintf("%d items, %d users, %d events imported and trained on", shop.Items, shop.Customers, shop.Events)
	if r.own != nil {
		filled = "trained on the archive"
	}
	part := &report.Part{Figures: b.Figures, Reference: report.Reference{Name: "the bar of the largest size", Value: recovery.BarLive, Unit: "s"}, Notes: []string{
		fmt.Sprintf("%s; then 100,000 events/s over HTTP for %s, kill -9, and a start", filled, b.Ingest),
		"lost: events that were acknowledged and are taken as new when they are sent again",
	}}
	r.judgeBars(part.Figures)
	return part, nil
}

// judgeBars makes a target of the bar of each figure that has one.
func (r *run) judgeBars(figures []report.Figure) {
	for _, f := range figures {
		if f.Bar != nil && (r.own == nil || !snapshot.Sized(f.Name)) {
			v := report.Judge(f.Name, *f.Bar, f.Value, f.Unit, f.Better)
			v.How = fmt.Sprintf("median of %d", f.Repetitions)
			r.report.Verdict = append(r.report.Verdict, v)
		}
	}
}
