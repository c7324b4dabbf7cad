package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"vitrine/appliance/pluginhost"
	"vitrine/appliance/pluginhost/sandbox"
	"vitrine/appliance/registry"
)

// WatchModel adds the figures of the live model.
func (m *Metrics) WatchModel(models *registry.Registry, now func() time.Time) {
	m.Gauge("vitrine_model_age_seconds", "Age of the live model; -1 without one.", func() float64 {
		live := models.Live()
		if live == nil {
			return -1
		}
		return now().Sub(live.Created).Seconds()
	})
	m.Register(modelInfo{models})
	if live := models.Live(); live != nil {
		m.Published(live.Metrics, live.Seconds["total"])
	}
}

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

// WatchPlugins adds the totals of every plugin, read when scraped.
func (m *Metrics) WatchPlugins(host *pluginhost.Host) { m.Register(pluginTotals{host}) }

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
