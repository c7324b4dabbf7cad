package pipeline

import (
	"context"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"vitrine/appliance/copies"
	"vitrine/appliance/scrape"
	"vitrine/appliance/topics"
	"vitrine/bridge/jetstream"
)

// figure is one metric: its name, what it says, and how it is read.
type figure struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(*sample) float64
}

// sample is what one scrape reads.
type sample struct {
	bus    jetstream.Stats
	queued int
	last   uint64
	parts  *Parts
}

func gauge(name, help string, read func(*sample) float64) figure {
	return figure{prometheus.NewDesc(name, help, nil, nil), prometheus.GaugeValue, read}
}

func counter(name, help string, read func(*sample) float64) figure {
	return figure{prometheus.NewDesc(name, help, nil, nil), prometheus.CounterValue, read}
}

// figures lists the metrics of bus, archive and dead letters.
func figures() []figure {
	return slices.Concat(busFigures(), []figure{
		gauge("vitrine_archive_lag_frames", "Frames on the bus that are not in the archive yet.", func(s *sample) float64 {
			return float64(s.last) - float64(s.parts.Archive.Position())
		}),
		gauge("vitrine_archive_failing", "1 while the archive cannot take events; they wait on the bus.", func(s *sample) float64 {
			return scrape.Flag(s.parts.Follower.Stats().LastError != "")
		}),
		counter("vitrine_archive_commits_total", "Commits of the archive.", func(s *sample) float64 { return float64(s.parts.Follower.Stats().Commits) }),
		counter("vitrine_archive_records_total", "Records committed to the archive.", func(s *sample) float64 { return float64(s.parts.Follower.Stats().Records) }),
		gauge("vitrine_deadletters", "Refused rows and events that are kept.", func(s *sample) float64 { return float64(s.parts.Letters.Stats().Letters) }),
		counter("vitrine_deadletters_dropped_total", "Refused rows and events that were dropped beyond the limits of size and age.", func(s *sample) float64 {
			return float64(s.parts.Letters.Stats().Dropped)
		}),
	})
}

func busFigures() []figure {
	return []figure{
		gauge("vitrine_bus_queued_records", "Records that wait for their frame.", func(s *sample) float64 { return float64(s.queued) }),
		gauge("vitrine_bus_bytes", "Bytes on the bus that are not trimmed yet.", func(s *sample) float64 { return float64(s.bus.Bytes) }),
		gauge("vitrine_bus_max_bytes", "Bytes at which the bus refuses more.", func(s *sample) float64 { return float64(s.bus.MaxBytes) }),
		counter("vitrine_bus_appends_total", "Frames made durable.", func(s *sample) float64 { return float64(s.bus.Appends) }),
		counter("vitrine_bus_append_seconds_total", "Time that making frames durable took; nearly all of it is fsync.", func(s *sample) float64 { return s.bus.AppendTime.Seconds() }),
		counter("vitrine_bus_refused_total", "Frames that the bus had no room for.", func(s *sample) float64 { return float64(s.bus.Refused) }),
		counter("vitrine_bus_restarts_total", "Times that the embedded server had to be started again.", func(s *sample) float64 { return float64(s.bus.Restarts) }),
		gauge("vitrine_bus_short_of_disk", "1 while events are refused because the disk has too little room.", func(s *sample) float64 { return scrape.Flag(s.bus.Short) }),
		gauge("vitrine_bus_away", "1 while the cluster of bus.url is away and events are kept aside in the data folder.", func(s *sample) float64 { return scrape.Flag(s.bus.Away != nil) }),
		gauge("vitrine_bus_aside_frames", "Frames that wait in the data folder for the cluster.", func(s *sample) float64 { return float64(s.bus.AsideFrames) }),
		counter("vitrine_bus_lost_frames_total", "Frames that were ever found to be damaged on the disk; lost in /v1/pipeline names them.", func(s *sample) float64 { return float64(s.bus.Lost) }),
		gauge("vitrine_bus_down", "1 while the bus is out of reach.", func(s *sample) float64 { return scrape.Flag(s.bus.Down != nil) }),
	}
}

// Collector gives the figures to /metrics, all of one scrape from one look.
func (p *Parts) Collector() prometheus.Collector { return collector{p, figures()} }

type collector struct {
	parts   *Parts
	figures []figure
}

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, f := range c.figures {
		ch <- f.desc
	}
	if c.parts.Copy != nil {
		c.copy().Describe(ch)
	}
	if c.parts.Kafka != nil {
		topics.Figures{Source: c.parts.Kafka}.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	pump := c.parts.Pump.Stats()
	s := &sample{bus: c.parts.Bus.Stats(context.Background()), queued: pump.Queued, last: pump.Last, parts: c.parts}
	for _, f := range c.figures {
		ch <- prometheus.MustNewConstMetric(f.desc, f.kind, f.read(s))
	}
	if c.parts.Copy != nil {
		c.copy().Collect(ch)
	}
	if c.parts.Kafka != nil {
		topics.Figures{Source: c.parts.Kafka}.Collect(ch)
	}
}

func (c collector) copy() scrape.Collector {
	return func() []scrape.Figure { return copies.Figures(c.parts.Copy, c.parts.Archive.Position()) }
}
