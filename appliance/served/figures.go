package served

import "github.com/prometheus/client_golang/prometheus"

// desc describes the one figure.
func (l *Log) desc() *prometheus.Desc {
	return prometheus.NewDesc("vitrine_served_lists_total",
		"Answered lists by what became of them in the archive's log of lists: logged, thinned (not in the sample), dropped (no room).", []string{"result"}, nil)
}

// Describe implements prometheus.Collector.
func (l *Log) Describe(ch chan<- *prometheus.Desc) { ch <- l.desc() }

// Collect implements prometheus.Collector.
func (l *Log) Collect(ch chan<- prometheus.Metric) {
	for result, n := range map[string]uint64{"logged": l.logged.Load(), "thinned": l.thinned.Load(), "dropped": l.dropped.Load()} {
		ch <- prometheus.MustNewConstMetric(l.desc(), prometheus.CounterValue, float64(n), result)
	}
}
