// Package metrics is what operators can scrape: what is counted while requests
// are answered, events taken in and models trained, and a registry for the
// figures that other parts have read when they are scraped.
//
// It owns the names of what it counts; others bring theirs. It may be told from
// many goroutines at once.
//
//	m := metrics.New()
//	m.Listed("live", "")
//	http.Handle("/metrics", m.Handler())
package metrics

import (
	"maps"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"vitrine/appliance/httpapi"
	"vitrine/appliance/recommend/pace"
	"vitrine/appliance/registry"
	"vitrine/appliance/trainer"
)

// Metrics are what operators can scrape. No user, item or free text is ever a
// label.
type Metrics struct {
	registry *prometheus.Registry

	requests *prometheus.CounterVec
	latency  *prometheus.HistogramVec
	answers  *prometheus.CounterVec
	lates    *prometheus.CounterVec
	ingested *prometheus.CounterVec
	ignored  prometheus.Counter
	clamped  prometheus.Counter
	effect   prometheus.Histogram

	trainings    *prometheus.CounterVec
	trainSeconds prometheus.Gauge
	quality      *prometheus.GaugeVec

	// asked and listed are the metrics by their labels, looked up once: finding
	// one by its labels takes longer than counting.
	asked  found[answered, counts]
	listed found[[2]string, prometheus.Counter]
}

// answered labels an answer, and counts are where it counts.
type answered struct {
	route string
	code  int
}

type counts struct {
	requests prometheus.Counter
	latency  prometheus.Observer
}

// found remembers what was looked up by labels, of which there are few.
type found[K comparable, V any] struct {
	known atomic.Pointer[map[K]V]
	mu    sync.Mutex // for adding
}

// get is what look makes of a key, once.
func (f *found[K, V]) get(key K, look func(K) V) V {
	known := f.known.Load()
	if known != nil {
		if v, ok := (*known)[key]; ok {
			return v
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	next := map[K]V{key: look(key)}
	if known = f.known.Load(); known != nil {
		maps.Copy(next, *known)
	}
	f.known.Store(&next)
	return next[key]
}

// New has nothing counted yet.
func New() *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.requests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "vitrine_http_requests_total", Help: "Answered requests by route and status code.",
	}, []string{"route", "code"})
	m.latency = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "vitrine_http_request_duration_seconds", Help: "Time to answer by route and status code.",
		Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5},
	}, []string{"route", "code"})
	m.answers = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "vitrine_answers_total", Help: "Recommendation lists by source and reason.",
	}, []string{"source", "reason"})
	m.lates = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "vitrine_late_lists_total", Help: "Lists that were given up because a stage took more than its share of recommend.deadline, by stage.",
	}, []string{"stage"})
	for _, stage := range pace.Stages()[:pace.Page] { // what begins its page is finished
		m.lates.WithLabelValues(stage.String())
	}
	m.ingested = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "vitrine_ingest_records_total", Help: "Records taken in, by what became of them.",
	}, []string{"result"})
	m.ignored = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "vitrine_ingest_unknown_fields_total", Help: "Fields of events that no one knows; they are ignored.",
	})
	m.clamped = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "vitrine_ingest_clamped_total", Help: "Events whose time lay too far ahead and was set back.",
	})
	m.effect = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "vitrine_event_to_effect_seconds", Help: "Time from taking a batch of events in until it is on disk and counts in the next answer.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	})
	m.trainings = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "vitrine_trainings_total", Help: "Training runs by what became of the model: published, refused or failed.",
	}, []string{"result"})
	for _, result := range []string{TrainingPublished, TrainingRefused, TrainingFailed} {
		m.trainings.WithLabelValues(result) // a rate over a counter that appears late misses its first step
	}
	m.trainSeconds = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "vitrine_train_duration_seconds", Help: "Time that the training of the newest published model took.",
	})
	m.quality = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "vitrine_train_ndcg_at_10", Help: "NDCG@10 of the newest published model, and of popularity beside it, on its time split.",
	}, []string{"model"})
	m.registry.MustRegister(m.requests, m.latency, m.answers, m.lates, m.ingested, m.ignored, m.clamped,
		m.effect, m.trainings, m.trainSeconds, m.quality,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Late counts a list that a stage was late with.
func (m *Metrics) Late(stage string) { m.lates.WithLabelValues(stage).Inc() }

// Register adds figures that a part brings.
func (m *Metrics) Register(figures ...prometheus.Collector) { m.registry.MustRegister(figures...) }

// Gauge adds a figure that is read when it is scraped.
func (m *Metrics) Gauge(name, help string, read func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read))
}

// Handler answers a scrape.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Request counts one answer; route is a template, so the label is bounded.
func (m *Metrics) Request(route string, code int, took time.Duration) {
	c := m.asked.get(answered{route, code}, func(a answered) counts {
		status := strconv.Itoa(a.code)
		return counts{m.requests.WithLabelValues(a.route, status), m.latency.WithLabelValues(a.route, status)}
	})
	c.requests.Inc()
	c.latency.Observe(took.Seconds())
}

// Listed counts one list.
func (m *Metrics) Listed(source, reason string) {
	m.listed.get([2]string{source, reason}, func(labels [2]string) prometheus.Counter {
		return m.answers.WithLabelValues(labels[:]...)
	}).Inc()
}

// Ingested counts what one request or file brought.
func (m *Metrics) Ingested(n httpapi.Ingested) {
	m.ingested.WithLabelValues("accepted").Add(float64(n.Accepted))
	m.ingested.WithLabelValues("duplicate").Add(float64(n.Duplicate))
	m.ingested.WithLabelValues("rejected").Add(float64(n.Rejected))
	m.ignored.Add(float64(n.UnknownFields))
	m.clamped.Add(float64(n.Clamped))
}

// Effect is how long a batch of events took until it counted.
func (m *Metrics) Effect(took time.Duration) { m.effect.Observe(took.Seconds()) }

// What became of a training run.
const (
	TrainingPublished = "published"
	TrainingRefused   = "refused"
	TrainingFailed    = "failed"
)

// Trained counts a training run by what became of it.
func (m *Metrics) Trained(result string) { m.trainings.WithLabelValues(result).Inc() }

// Published takes the figures of the newest published model, and how many
// seconds its training took.
func (m *Metrics) Published(all []registry.Metric, seconds float64) {
	m.trainSeconds.Set(seconds)
	for _, metric := range all {
		if metric.Name == "ndcg@10" && trainer.Rival(metric.Model) == "" {
			m.quality.WithLabelValues(metric.Model).Set(metric.Value)
		}
	}
}
