package appliance

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"vitrine/appliance/httpapi"
	"vitrine/appliance/trainer"
)

// metrics are what operators can scrape. No user, item or free text is ever a
// label.
type metrics struct {
	registry *prometheus.Registry

	requests *prometheus.CounterVec
	latency  *prometheus.HistogramVec
	answers  *prometheus.CounterVec
	ingested *prometheus.CounterVec
	ignored  prometheus.Counter
	clamped  prometheus.Counter

	trainSeconds prometheus.Gauge
	quality      *prometheus.GaugeVec
}

func newMetrics() *metrics {
	m := &metrics{registry: prometheus.NewRegistry()}
	m.requests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "vitrine_http_requests_total", Help: "Answered requests by route and status code.",
	}, []string{"route", "code"})
	m.latency = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "vitrine_http_request_duration_seconds", Help: "Time to answer by route.",
		Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5},
	}, []string{"route"})
	m.answers = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "vitrine_answers_total", Help: "Recommendation lists by source and reason.",
	}, []string{"source", "reason"})
	m.ingested = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "vitrine_ingest_records_total", Help: "Records taken in, by what became of them.",
	}, []string{"result"})
	m.ignored = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "vitrine_ingest_unknown_fields_total", Help: "Fields of events that no one knows; they are ignored.",
	})
	m.clamped = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "vitrine_ingest_clamped_total", Help: "Events whose time lay too far ahead and was set back.",
	})
	m.trainSeconds = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "vitrine_train_duration_seconds", Help: "Time of the last training that was published.",
	})
	m.quality = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "vitrine_train_ndcg_at_10", Help: "NDCG@10 of the last training on its time split.",
	}, []string{"model"})
	m.registry.MustRegister(m.requests, m.latency, m.answers, m.ingested, m.ignored, m.clamped, m.trainSeconds, m.quality,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// gauge registers a figure that is read when it is scraped.
func (m *metrics) gauge(name, help string, read func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read))
}

// counter registers a running total that is read when it is scraped.
func (m *metrics) counter(name, help string, read func() float64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, read))
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Request counts one answer; route is a template, so the label is bounded.
func (m *metrics) Request(route string, code int, took time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(code)).Inc()
	m.latency.WithLabelValues(route).Observe(took.Seconds())
}

// Listed counts one list.
func (m *metrics) Listed(source, reason string) { m.answers.WithLabelValues(source, reason).Inc() }

// Ingested counts what one request or file brought.
func (m *metrics) Ingested(n httpapi.Ingested) {
	m.ingested.WithLabelValues("accepted").Add(float64(n.Accepted))
	m.ingested.WithLabelValues("duplicate").Add(float64(n.Duplicate))
	m.ingested.WithLabelValues("rejected").Add(float64(n.Rejected))
	m.ignored.Add(float64(n.UnknownFields))
	m.clamped.Add(float64(n.Clamped))
}

func (m *metrics) trained(r *trainer.Result, took time.Duration) {
	m.trainSeconds.Set(took.Seconds())
	for _, metric := range r.Metrics {
		if metric.Name == "ndcg@10" && metric.Model != "als-popularity" {
			m.quality.WithLabelValues(metric.Model).Set(metric.Value)
		}
	}
}
