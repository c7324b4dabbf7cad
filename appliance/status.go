package appliance

import (
	"context"
	"errors"
	"math"
	"net/http"
	"syscall"

	"vitrine/appliance/httpapi"
	"vitrine/appliance/httpapi/adminapi"
	"vitrine/appliance/topics"
	"vitrine/bridge/jetstream"
)

var errNotReady = errors.New("the demo shop is being filled in and trained")

// Live is nil when events can be taken.
func (a *Appliance) Live() error { return nil }

// Ready is nil when answers can be given.
func (a *Appliance) Ready() error {
	if !a.ready.Load() {
		return errNotReady
	}
	return nil
}

// Start begins a job for the HTTP layer; it does not end with the request.
func (a *Appliance) Start(_ context.Context, req adminapi.JobRequest) (adminapi.Job, error) {
	if req.Kind == adminapi.Train {
		return a.startTraining()
	}
	c, err := a.config.With(req.Set)
	if err != nil {
		return adminapi.Job{}, &httpapi.Problem{Status: http.StatusBadRequest, Code: "invalid_set", Detail: err.Error()}
	}
	return a.startEvaluation(c, req)
}

// Job is the present state of a job.
func (a *Appliance) Job(id string) (adminapi.Job, error) { return a.jobs.get(id) }

// Pipeline tells where bus, archive and dead letters stand.
func (a *Appliance) Pipeline(ctx context.Context) (adminapi.Pipeline, error) {
	var out adminapi.Pipeline
	stats, err := a.parts.bus.Stats(ctx)
	if err != nil {
		return out, err
	}
	first, last, err := a.parts.bus.Bounds(ctx)
	if err != nil {
		return out, err
	}
	out.Bus.Bytes, out.Bus.MaxBytes = stats.Bytes, stats.MaxBytes
	out.Bus.First, out.Bus.Last, out.Bus.Frames = first, last, stats.Frames
	out.Archive.Position = a.parts.archive.Position()
	out.Archive.Lag = last - min(last, out.Archive.Position)
	out.Kafka = topics.Status(a.parts.kafka)
	letters := a.parts.letters.Stats()
	out.Deadletters.Bytes, out.Deadletters.Count, out.Deadletters.Dropped = letters.Bytes, letters.Letters, letters.Dropped
	return out, nil
}

// watch registers the figures that are read when they are scraped.
func (a *Appliance) watch() {
	p := a.parts
	a.metrics.watchPlugins(a.plugins)
	if p.kafka != nil {
		a.metrics.registry.MustRegister(topics.Figures{Source: p.kafka})
	}
	a.metrics.gauge("vitrine_bus_queued_records", "Records that wait for their frame.", func() float64 { return float64(p.pump.Stats().Queued) })
	bus := func(read func(jetstream.Stats) float64) func() float64 {
		return func() float64 {
			stats, err := p.bus.Stats(context.Background())
			if err != nil {
				return math.NaN() // the bus is being restarted: not known, which is not 0
			}
			return read(stats)
		}
	}
	a.metrics.gauge("vitrine_bus_bytes", "Bytes on the bus that are not trimmed yet.", bus(func(s jetstream.Stats) float64 { return float64(s.Bytes) }))
	a.metrics.gauge("vitrine_bus_max_bytes", "Bytes at which the bus refuses more.", bus(func(s jetstream.Stats) float64 { return float64(s.MaxBytes) }))
	a.metrics.counter("vitrine_bus_appends_total", "Frames made durable.", bus(func(s jetstream.Stats) float64 { return float64(s.Appends) }))
	a.metrics.counter("vitrine_bus_append_seconds_total", "Time that making frames durable took; nearly all of it is fsync.",
		bus(func(s jetstream.Stats) float64 { return s.AppendTime.Seconds() }))
	a.metrics.counter("vitrine_bus_refused_total", "Frames that the bus had no room for.", bus(func(s jetstream.Stats) float64 { return float64(s.Refused) }))
	a.metrics.gauge("vitrine_archive_lag_frames", "Frames on the bus that are not in the archive yet.", func() float64 {
		return float64(p.pump.Stats().Last) - float64(p.archive.Position())
	})
	a.metrics.gauge("vitrine_snapshot_lag_frames", "Frames that the next start would read behind the newest snapshot.", func() float64 {
		position, _ := p.state.Snapshot()
		return float64(p.pump.Stats().Last) - float64(position)
	})
	a.metrics.gauge("vitrine_snapshot_bytes", "Size of the newest snapshot; 0 without one.", func() float64 {
		_, size := p.state.Snapshot()
		return float64(size)
	})
	a.metrics.gauge("vitrine_deadletters", "Refused rows and events that are kept.", func() float64 { return float64(p.letters.Stats().Letters) })
	a.metrics.counter("vitrine_deadletters_dropped_total", "Refused rows and events that were dropped beyond the limits of size and age.", func() float64 {
		return float64(p.letters.Stats().Dropped)
	})
	a.metrics.gauge("vitrine_disk_free_bytes", "Space left for the data folder.", func() float64 { free, _ := disk(a.config.Data.Dir); return free })
	a.metrics.gauge("vitrine_disk_bytes", "Whole space of the disk that the data folder is on.", func() float64 { _, all := disk(a.config.Data.Dir); return all })
	a.metrics.gauge("vitrine_lists_in_flight", "Requests for lists that are inside.", func() float64 { return float64(a.gate.InFlight()) })
	a.metrics.gauge("vitrine_work_share_ratio", "Share of the requests for lists that may do their work; below 1 in overload.", func() float64 { return a.gate.Share() })
	a.metrics.gauge("vitrine_model_age_seconds", "Age of the live model; -1 without one.", func() float64 {
		live := p.registry.Live()
		if live == nil {
			return -1
		}
		return a.now().Sub(live.Created).Seconds()
	})
	a.metrics.registry.MustRegister(modelInfo{p.registry})
	if live := p.registry.Live(); live != nil {
		a.metrics.published(live.Metrics, live.Seconds["total"])
	}
}

// disk is the space left for the data folder and the whole of its disk, in
// bytes; -1 where the system does not tell.
func disk(dir string) (free, all float64) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return -1, -1
	}
	return float64(fs.Bavail) * float64(fs.Bsize), float64(fs.Blocks) * float64(fs.Bsize)
}
