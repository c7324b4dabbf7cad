package scrape

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// Each scrape has what is so when it comes.
func TestCollector(t *testing.T) {
	n := 0.0
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(Collector(func() []Figure {
		n++
		return []Figure{Counter("looks_total", "Looks.", n), Gauge("half", "Half of them.", n/2)}
	}))
	for range 2 {
		n = 9
		all, err := registry.Gather()
		if err != nil || len(all) != 2 {
			t.Fatalf("%v, %v", all, err)
		}
		if half, looks := all[0].GetMetric()[0].GetGauge().GetValue(), all[1].GetMetric()[0].GetCounter().GetValue(); half != 5 || looks != 10 {
			t.Errorf("half %v of %v looks", half, looks)
		}
	}
}
