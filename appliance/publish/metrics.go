package publish

import "github.com/prometheus/client_golang/prometheus"

// figure is one of /metrics.
type figure struct {
	name, help string
	kind       prometheus.ValueType
	value      float64
}

func (p *Publisher) figures() []figure {
	p.mu.Lock()
	waiting := len(p.waiting)
	p.mu.Unlock()
	failing := 0.0
	if p.failing.Load() {
		failing = 1
	}
	return []figure{
		{"published_total", "Lists written to Redis.", prometheus.CounterValue, float64(p.written.Load())},
		{"removed_total", "Keys removed from Redis, of users who are not known any more.", prometheus.CounterValue, float64(p.removed.Load())},
		{"failures_total", "Turns of writing that ended with an error; the log has it.", prometheus.CounterValue, float64(p.failures.Load())},
		{"failing", "1 while lists cannot be written, 0 while all is well.", prometheus.GaugeValue, failing},
		{"waiting_users", "Users who have done something and whose lists are not written yet.", prometheus.GaugeValue, float64(waiting)},
	}
}

func (f *figure) desc() *prometheus.Desc {
	return prometheus.NewDesc("vitrine_redis_"+f.name, f.help, nil, nil)
}

// Describe implements prometheus.Collector.
func (p *Publisher) Describe(ch chan<- *prometheus.Desc) {
	for _, f := range p.figures() {
		ch <- f.desc()
	}
}

// Collect implements prometheus.Collector.
func (p *Publisher) Collect(ch chan<- prometheus.Metric) {
	for _, f := range p.figures() {
		ch <- prometheus.MustNewConstMetric(f.desc(), f.kind, f.value)
	}
}
