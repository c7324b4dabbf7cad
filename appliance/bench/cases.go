package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"vitrine/appliance/bench/peers"
	"vitrine/appliance/bench/process"
	"vitrine/appliance/bench/report"
	"vitrine/appliance/bench/scorer"
	"vitrine/appliance/bench/serving"
	"vitrine/appliance/client"
	"vitrine/appliance/demo"
	"vitrine/appliance/signal"
)

// The cases of the part serve, in the order in which they run.
const (
	// caseBase is one catalogue after another, with the verdict on the promise.
	caseBase     = "base"
	caseRows     = "rows"
	caseSteady   = "steady"
	caseTraining = "training"
	// caseOverload comes behind all others on its appliance: for a moment after it
	// requests are still refused.
	caseOverload = "overload"
	caseSwaps    = "swaps"
)

// The cases of the part ingest.
const (
	caseArchive = "archive"
	caseHTTP    = "http"
	// caseKafka is measured where kafka.brokers is set.
	caseKafka = "kafka"
)

// Cases lists what Options.Only picks from of a part; nil for most.
func Cases(part string) []string {
	switch part {
	case Serve:
		return []string{caseBase, caseRows, caseSteady, caseTraining, caseOverload, caseSwaps}
	case Ingest:
		return []string{caseArchive, caseHTTP, caseKafka}
	case Peers:
		var names []string
		for _, c := range peers.Cases() {
			names = append(names, c.Name())
		}
		return names
	}
	return nil
}

// wants tells whether a case is to be measured.
func (r *run) wants(names ...string) bool {
	return len(r.opt.Only) == 0 || slices.ContainsFunc(names, func(n string) bool { return slices.Contains(r.opt.Only, n) })
}

// shopOfCases is the shop of all cases but the first.
func (r *run) shopOfCases() demo.Config {
	shop := demo.Config{Items: 100_000, Customers: 20_000, Events: 500_000, End: shopEnd()}
	if r.opt.Full {
		shop.Customers, shop.Events = 50_000, 2_000_000
	}
	return shop
}

// serving makes the measurements of package serving with this run's means.
func (r *run) serving(hello *subject) *serving.Bench {
	b := &serving.Bench{
		Hello: hello.address, HelloCPU: hello.cpu, Repetitions: r.repetitions, Progress: r.opt.Progress, Warn: r.warn, Invalid: r.invalidate,
		Rhythm: serving.Rhythm{Warmup: r.rhythm.warmup, Saturation: r.rhythm.saturation, Open: 10 * time.Second, Step: 2 * time.Second, Samples: 300},
	}
	if r.opt.Full {
		b.Rhythm.Open, b.Rhythm.Step, b.Rhythm.Samples = time.Minute, 5*time.Second, 2000
	}
	return b
}

// cpu is the processor time that a subject of our own has used.
func (s *subject) cpu() time.Duration {
	used, _ := process.Used(s.process.PID())
	return used
}

// cases measures what is wanted of those on an appliance of our own.
func (r *run) cases(ctx context.Context, hello *subject) ([]report.Figure, error) {
	b := r.serving(hello)
	if r.wants(caseRows, caseSteady, caseTraining, caseOverload) {
		if err := r.largeShop(ctx, b); err != nil {
			return nil, err
		}
	}
	if r.wants(caseSwaps) && r.own == nil {
		// A small one: what takes long in a larger one is its model's loading,
		// while the old one answers.
		s, err := r.appliance(ctx, shopSpec{Config: demo.Config{Items: 10_000, Customers: 5000, Events: 100_000, End: shopEnd()}})
		if err != nil {
			return nil, err
		}
		defer s.close()
		s.process.Stop()
		s.process = nil
		if err := serving.TwoModels(s.dir); err != nil {
			return nil, fmt.Errorf("prepare two models: %w", err)
		}
		if err := r.start(ctx, s, "recommend.blend=als"); err != nil {
			return nil, err
		}
		if err := r.with(s, func(shop *serving.Shop) error { return b.Swaps(ctx, shop) }); err != nil {
			return nil, fmt.Errorf("swaps: %w", err)
		}
	}
	return b.Figures, nil
}

// with calls do with a subject as package serving knows it.
func (r *run) with(s *subject, do func(*serving.Shop) error) error {
	api := client.NewSocket(s.socket())
	defer api.Close()
	return do(&serving.Shop{Address: s.address, Socket: s.socket(), API: api, CPU: s.cpu, Users: s.users, Items: s.items})
}

// largeShop measures the cases that want a large catalogue: rows first, for
// they want answers that nothing changes.
func (r *run) largeShop(ctx context.Context, b *serving.Bench) error {
	s, err := r.appliance(ctx, shopSpec{Config: r.shopOfCases(), scored: r.wants(caseRows)})
	if err != nil {
		return err
	}
	defer s.close()
	if r.wants(caseRows) {
		if err := r.rows(ctx, b, s); err != nil {
			return fmt.Errorf("rows: %w", err)
		}
	}
	for _, c := range []struct {
		name string
		do   func(context.Context, *serving.Shop) error
	}{{caseSteady, b.Steady}, {caseTraining, b.Training}, {caseOverload, b.Overload}} {
		if !r.wants(c.name) {
			continue
		}
		if err := r.with(s, func(shop *serving.Shop) error { return c.do(ctx, shop) }); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return nil
}

// rows saturates the appliance as it comes, then by its factors alone, with a
// plugin, and with a filter and rules; it leaves it as it came.
func (r *run) rows(ctx context.Context, b *serving.Bench, s *subject) error {
	for _, row := range serving.Rows(false) {
		if err := r.with(s, func(shop *serving.Shop) error { return b.Row(ctx, shop, row) }); err != nil {
			return err
		}
	}
	// What plugins are shown is what their row is to measure.
	if err := r.start(ctx, s, "recommend.blend=als", "plugins.candidates=100"); err != nil {
		return err
	}
	module, err := scorer.Module()
	if err != nil {
		return err
	}
	rows := serving.Rows(true)
	if r.own != nil {
		// The others read attributes that generated items have.
		r.note("not measured, for their plugin, filter and rules are those of generated items: serve.%s, serve.%s; nor are changes of the model (serve.swaps)", rows[1].Name, rows[2].Name)
		rows = rows[:1]
	}
	for _, row := range rows {
		if err := r.with(s, func(shop *serving.Shop) error { return b.DressedRow(ctx, shop, row, module) }); err != nil {
			return err
		}
	}
	return r.start(ctx, s)
}

// fresh measures how soon an event shows, and whether it shows as it should.
func (r *run) fresh(ctx context.Context) (*report.Part, error) {
	if r.opt.ChildCommand == nil || r.opt.ServeCommand == nil {
		return nil, fmt.Errorf("%w: there is no command for the servers", ErrPart)
	}
	weights, err := r.signal()
	if err != nil {
		return nil, err
	}
	sig, err := signal.New(weights)
	if err != nil {
		return nil, err
	}
	s, err := r.appliance(ctx, shopSpec{Config: r.shopOfCases()})
	if err != nil {
		return nil, err
	}
	defer s.close()
	b := r.serving(&subject{})
	if err := r.with(s, func(shop *serving.Shop) error { return b.Fresh(ctx, shop) }); err != nil {
		return nil, err
	}
	if err := r.start(ctx, s, "recommend.blend=als"); err != nil {
		return nil, err
	}
	if err := r.gain(ctx, b, s, sig); err != nil {
		return nil, fmt.Errorf("gain: %w", err)
	}
	places := 0.0
	for _, f := range b.Figures {
		if f.Name == serving.GainReference {
			places = f.Value
		}
	}
	return &report.Part{Figures: b.Figures, Reference: report.Reference{Name: "a solve in float64", Value: places, Unit: "places"}, Notes: []string{
		"from sending an event to having another answer, one at a time; 2,000 events/s of others beside",
		"gain: how many places of 200 the 10 items nearest to X rise by an event on it, and in float64",
	}}, nil
}
