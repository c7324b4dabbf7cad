// Package scrape gives /metrics the figures of a part, which reads them when it is
// asked, all of one scrape from one look.
//
// It owns how they are handed to the metrics library and must not import anything of
// this module.
package scrape

import "github.com/prometheus/client_golang/prometheus"

// Figure is one of /metrics, without labels.
type Figure struct {
	Name, Help string
	Value      float64
	kind       prometheus.ValueType
}

// Gauge is a figure that goes up and down.
func Gauge(name, help string, value float64) Figure {
	return Figure{name, help, value, prometheus.GaugeValue}
}

// Counter is a figure that only grows.
func Counter(name, help string, value float64) Figure {
	return Figure{name, help, value, prometheus.CounterValue}
}

// Flag is 1 where something is so, else 0.
func Flag(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

// Collector reads a part's figures; which there are never changes.
type Collector func() []Figure

func (f *Figure) desc() *prometheus.Desc { return prometheus.NewDesc(f.Name, f.Help, nil, nil) }

// Describe implements prometheus.Collector.
func (read Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, f := range read() {
		ch <- f.desc()
	}
}

// Collect implements prometheus.Collector.
func (read Collector) Collect(ch chan<- prometheus.Metric) {
	for _, f := range read() {
		ch <- prometheus.MustNewConstMetric(f.desc(), f.kind, f.Value)
	}
}
