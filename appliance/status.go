package appliance

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"vitrine/appliance/httpapi"
	"vitrine/appliance/httpapi/adminapi"
	"vitrine/appliance/pipeline"
	"vitrine/appliance/scrape"
	"vitrine/appliance/topics"
	"vitrine/bridge"
	"vitrine/internal/disk"
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

// Pipeline tells where bus, archive and dead letters stand.
func (a *Appliance) Pipeline(ctx context.Context) (adminapi.Pipeline, error) {
	return a.pipeline().Status(ctx), nil
}

// pipeline is the way of the events.
func (a *Appliance) pipeline() *pipeline.Parts {
	p, k := a.parts, a.config.Kafka
	return &pipeline.Parts{
		Bus: p.bus, Pump: p.pump, Archive: p.archive, Follower: p.follower, Letters: p.letters, Copy: p.copy,
		Kafka: p.kafka, Topics: []string{k.Topic, k.ItemsTopic, k.UsersTopic},
	}
}

// GiveUp wants nothing of a topic again. The marks of the lost frames have to be
// behind the archive then, or the next start would find them anew.
func (a *Appliance) GiveUp(ctx context.Context, topic string) ([]adminapi.PipelineWanted, error) {
	if err := a.parts.follower.Flush(ctx); err != nil {
		return nil, err
	}
	given, err := a.parts.state.GiveUp(ctx, topics.Of(topic), bridge.GivenUp)
	switch {
	case err != nil:
		return nil, err
	case len(given) == 0:
		return nil, &httpapi.Problem{
			Status: http.StatusNotFound, Code: "nothing_wanted", Detail: fmt.Sprintf("nothing of topic %q is to be read again", topic),
			Hint: "wanted under bus in /v1/pipeline lists the topics of which something is",
		}
	}
	return topics.Reading{Configured: a.pipeline().Topics, Source: a.parts.kafka}.Wanted(given), nil
}

// watch registers the figures that are read when they are scraped.
func (a *Appliance) watch() {
	p := a.parts
	a.metrics.WatchPlugins(a.plugins)
	a.metrics.WatchModel(p.registry, a.now)
	a.metrics.Register(a.pipeline().Collector(), scrape.Collector(p.upkeep.Figures))
	if p.lists != nil {
		a.metrics.Register(scrape.Collector(p.lists.Figures))
	}
	a.metrics.Gauge("vitrine_snapshot_lag_frames", "Frames that the next start would read behind the newest snapshot.", func() float64 {
		position, _ := p.state.Snapshot()
		return float64(p.pump.Stats().Last) - float64(position)
	})
	a.metrics.Gauge("vitrine_snapshot_bytes", "Size of the newest snapshot; 0 without one.", func() float64 {
		_, size := p.state.Snapshot()
		return float64(size)
	})
	a.metrics.Gauge("vitrine_disk_free_bytes", "Space left for the data folder.", func() float64 { free, _ := space(a.config.Data.Dir); return free })
	a.metrics.Gauge("vitrine_disk_bytes", "Whole space of the disk that the data folder is on.", func() float64 { _, all := space(a.config.Data.Dir); return all })
	a.metrics.Gauge("vitrine_lists_in_flight", "Requests for lists that are inside.", func() float64 { return float64(a.gate.InFlight()) })
	a.metrics.Gauge("vitrine_work_share_ratio", "Share of the requests for lists that are worked for, whole or brief; below 1 in an overload that brief lists do not make up for.", func() float64 { return a.gate.Share() })
}

// space is the space left for the data folder and the whole of its disk, in
// bytes; -1 where the system does not tell.
func space(dir string) (free, all float64) {
	left, size, err := disk.Space(dir)
	if err != nil {
		return -1, -1
	}
	return float64(left), float64(size)
}
