package appliance

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
	"vitrine/appliance/pluginhost"
	"vitrine/appliance/pluginhost/sandbox"
	"vitrine/appliance/recommend/pace"
	"vitrine/appliance/registry"
	"vitrine/appliance/trainer"
)

// metrics are what operators can scrape. No user, item or free text is ever a
// label.
type metrics struct {
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

func newMetrics() *metrics {
	m := &metrics{registry: prometheus.NewRegistry()}
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
	for _, result := range []string{"published", "refused", "failed"} {
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

// late counts a list that a stage was late with.
func (m *metrics) late(stage string) { m.lates.WithLabelValues(stage).Inc() }

// modelInfo is the version of the live model, as the label of a figure that is
// 1; there is none without a model.
type modelInfo struct{ models *registry.Registry }

func (m modelInfo) desc() *prometheus.Desc {
	return prometheus.NewDesc("vitrine_model_info", "The live model's version; the value is 1.", []string{"version"}, nil)
}

// Describe implements prometheus.Collector.
func (m modelInfo) Describe(ch chan<- *prometheus.Desc) { ch <- m.desc() }

// Collect implements prometheus.Collector.
func (m modelInfo) Collect(ch chan<- prometheus.Metric) {
	if live := m.models.Live(); live != nil {
		ch <- prometheus.MustNewConstMetric(m.desc(), prometheus.GaugeValue, 1, live.Version)
	}
}

// watchPlugins registers the totals of every plugin, read when scraped.
func (m *metrics) watchPlugins(host *pluginhost.Host) { m.registry.MustRegister(pluginTotals{host}) }

// pluginTotals collects what the plugin host counts, by plugin.
type pluginTotals struct{ host *pluginhost.Host }

// pluginFigures are the totals and how each is read.
func pluginFigures() map[*prometheus.Desc]func(sandbox.Stats) float64 {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("vitrine_plugin_"+name, help, []string{"plugin"}, nil)
	}
	return map[*prometheus.Desc]func(sandbox.Stats) float64{
		desc("calls_total", "Calls of the plugin."):                                             func(s sandbox.Stats) float64 { return float64(s.Calls) },
		desc("faults_total", "Calls that failed."):                                              func(s sandbox.Stats) float64 { return float64(s.Faults) },
		desc("skipped_total", "Calls not made, for want of time or in quarantine."):             func(s sandbox.Stats) float64 { return float64(s.Skipped) },
		desc("denied_total", "Requests of which a plugin in trouble denied every candidate."):   func(s sandbox.Stats) float64 { return float64(s.Denied) },
		desc("quarantines_total", "Times the plugin was taken out for its faults."):             func(s sandbox.Stats) float64 { return float64(s.Quarantines) },
		desc("seconds_total", "Time spent in calls."):                                           func(s sandbox.Stats) float64 { return s.Time.Seconds() },
		desc("fuel_total", "Fuel used by calls; the same call uses the same on every machine."): func(s sandbox.Stats) float64 { return float64(s.Fuel) },
	}
}

// Describe tells nothing beforehand: the plugins are not known.
func (p pluginTotals) Describe(chan<- *prometheus.Desc) {}

// Collect reads the totals.
func (p pluginTotals) Collect(out chan<- prometheus.Metric) {
	engine := prometheus.NewDesc("vitrine_plugin_engine_info", "What plugins run on, and why it is the interpreter where it is; the value is 1.", []string{"engine", "reason"}, nil)
	out <- prometheus.MustNewConstMetric(engine, prometheus.GaugeValue, 1, p.host.Engine(), p.host.NoCompiler())
	figures := pluginFigures()
	for _, s := range p.host.Stats() {
		for desc, read := range figures {
			out <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, read(s), s.Name)
		}
	}
}

// gauge registers a figure that is read when it is scraped.
func (m *metrics) gauge(name, help string, read func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read))
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Request counts one answer; route is a template, so the label is bounded.
func (m *metrics) Request(route string, code int, took time.Duration) {
	c := m.asked.get(answered{route, code}, func(a answered) counts {
		status := strconv.Itoa(a.code)
		return counts{m.requests.WithLabelValues(a.route, status), m.latency.WithLabelValues(a.route, status)}
	})
	c.requests.Inc()
	c.latency.Observe(took.Seconds())
}

// Listed counts one list.
func (m *metrics) Listed(source, reason string) {
	m.listed.get([2]string{source, reason}, func(labels [2]string) prometheus.Counter {
		return m.answers.WithLabelValues(labels[:]...)
	}).Inc()
}

// Ingested counts what one request or file brought.
func (m *metrics) Ingested(n httpapi.Ingested) {
	m.ingested.WithLabelValues("accepted").Add(float64(n.Accepted))
	m.ingested.WithLabelValues("duplicate").Add(float64(n.Duplicate))
	m.ingested.WithLabelValues("rejected").Add(float64(n.Rejected))
	m.ignored.Add(float64(n.UnknownFields))
	m.clamped.Add(float64(n.Clamped))
}

// published takes the figures of the newest published model.
func (m *metrics) published(all []registry.Metric, seconds float64) {
	m.trainSeconds.Set(seconds)
	for _, metric := range all {
		if metric.Name == "ndcg@10" && trainer.Rival(metric.Model) == "" {
			m.quality.WithLabelValues(metric.Model).Set(metric.Value)
		}
	}
}
