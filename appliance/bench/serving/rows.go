package serving

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"

	"vitrine/appliance/bench/load"
	"vitrine/appliance/bench/report"
	"vitrine/appliance/client"
)

// Row is one way of asking for lists.
type Row struct {
	// Name is the case in figure names.
	Name string
	// Bar is the least share of the reference's rate.
	Bar float64
	// Query goes behind the request's path.
	Query string
	// Plugin tells that every answer must name a plugin that ranked.
	Plugin bool
}

// Rows of the appliance as it comes, and of one that is set to answer by its
// factors alone.
func Rows(factors bool) []Row {
	if !factors {
		return []Row{{Name: "blend", Bar: 0.25}}
	}
	return []Row{
		{Name: "als", Bar: 0.5},
		{Name: "als_wasm", Bar: 0.2, Plugin: true},
		{Name: "als_rules", Bar: 0.3, Query: "&filter=price%20%3C%20500%20%26%26%20stock%20%3E%200"},
	}
}

// FiveRules are those of the row als_rules.
const FiveRules = `{"rules":[
	{"action":"exclude","filter":"stock == 0"},
	{"action":"bury","filter":"price > 400"},
	{"action":"boost","filter":"style == \"Nordic\"","factor":1.2},
	{"action":"pin","item_id":%q,"slot":3},
	{"action":"quota","attribute":"brand","most":5}]}`

// barAllocations is how many objects a request may cost the appliance, from the
// socket to the socket.
const barAllocations = 25

// Row saturates a shop and the reference in turn. The answers must be those
// that the shop gives when it is asked for one at a time.
func (b *Bench) Row(ctx context.Context, s *Shop, row Row) error {
	name := "serve." + row.Name + "."
	paths := s.paths(row.Query)
	b.Progress(name+"ask", 0, 0)
	want, err := Expect(ctx, s.Address, paths)
	if err != nil {
		return fmt.Errorf("%s: %w", row.Name, err)
	}
	var without atomic.Int64
	ranked := []byte(`"status":"ok"`)
	check := func(n int, body []byte) load.Grade {
		if row.Plugin && !bytes.Contains(body, ranked) && full(body) {
			without.Add(1)
			return load.Right
		}
		return Grade(want[n], body)
	}
	var rates, ratios, costs, costRatios, allocations []float64
	var asked int64
	for rep := range b.Repetitions {
		b.Progress(name+"saturation", int64(rep), int64(b.Repetitions))
		hello, helloCost, err := b.saturate(ctx, load.Options{Address: b.Hello, Requests: Gets(b.Hello, []string{"/"})}, b.HelloCPU)
		if err != nil {
			return err
		}
		before, err := s.objects(ctx)
		if err != nil {
			return err
		}
		r, cost, err := b.saturate(ctx, load.Options{Address: s.Address, Requests: Gets(s.Address, paths), Check: check}, s.CPU)
		if err != nil {
			return err
		}
		after, err := s.objects(ctx)
		if err != nil {
			return err
		}
		if fault := r.Errors(); fault != "" {
			b.Invalid("saturation of %s: %s", row.Name, fault)
		}
		if !r.Full() {
			b.Warn("saturation of %s: %d of %d answers were brief or not live, and do not count", row.Name, r.Lesser, r.Requests)
		}
		asked += r.Total
		rates, ratios = append(rates, r.Achieved), append(ratios, r.Achieved/max(hello.Achieved, 1))
		costs, costRatios = append(costs, cost), append(costRatios, helloCost/cost)
		allocations = append(allocations, (after-before)/float64(max(r.Total, 1)))
	}
	b.add(report.New(name+"saturation", "1/s", report.Higher, rates...))
	b.add(report.New(name+"to_hello", "x", report.Higher, ratios...).WithBar(row.Bar))
	// Unlike rates, these hardly change when others use the machine.
	b.add(report.New(name+"cpu", "us", report.Lower, costs...))
	b.add(report.New(name+"cpu_to_hello", "x", report.Higher, costRatios...).WithBar(row.Bar))
	b.add(report.New(name+"allocations", "", report.Lower, allocations...).WithBar(barAllocations))
	if row.Plugin {
		b.add(report.New(name+"left_out", "", report.Lower, float64(without.Load())/float64(max(asked, 1))))
	}
	return nil
}

// DressedRow is Row with the plugin, whose module is given, or the rules that a
// row wants, which it takes out again.
func (b *Bench) DressedRow(ctx context.Context, s *Shop, row Row, module []byte) error {
	if row.Plugin {
		if _, err := s.API.InstallPlugin(ctx, client.PluginInstall{Name: scorerName, Wasm: module}); err != nil {
			return fmt.Errorf("install the scorer: %w", err)
		}
	}
	if row.Query != "" {
		if _, err := s.API.SetRules(ctx, fmt.Appendf(nil, FiveRules, s.Items[0]), false); err != nil {
			return fmt.Errorf("set the rules: %w", err)
		}
	}
	if err := b.Row(ctx, s, row); err != nil {
		return err
	}
	if row.Plugin {
		return s.API.RemovePlugin(ctx, scorerName)
	}
	_, err := s.API.SetRules(ctx, []byte(`{"rules":[]}`), false)
	return err
}

// scorerName is what the plugin is called in the folder.
const scorerName = "bench-scorer"

// objects is how many objects the appliance has ever allocated.
func (s *Shop) objects(ctx context.Context) (float64, error) {
	text, err := s.metrics(ctx)
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(text) {
		if rest, ok := bytes.CutPrefix(line, []byte("go_memstats_mallocs_total ")); ok {
			var n float64
			_, err := fmt.Sscan(string(rest), &n)
			return n, err
		}
	}
	return 0, errors.New("the metrics of the appliance have no count of its allocations")
}

// metrics is the text that the appliance shows to scrapers.
func (s *Shop) metrics(ctx context.Context) ([]byte, error) {
	socket := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", s.Socket)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://appliance/metrics", nil)
	if err != nil {
		return nil, fmt.Errorf("ask for metrics: %w", err)
	}
	return do(&socket, req, http.StatusOK)
}
