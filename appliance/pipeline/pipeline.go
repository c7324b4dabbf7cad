// Package pipeline opens the configured log, and tells where an event's way from
// there to the archive stands: for the admin API's /v1/pipeline and for /metrics.
//
// It imports config, the parts of bridge that it reads, the admin API's types
// and the metrics library.
package pipeline

import (
	"context"

	"vitrine/appliance/copies"
	"vitrine/appliance/httpapi/adminapi"
	"vitrine/appliance/topics"
	"vitrine/bridge"
	"vitrine/bridge/archive"
	"vitrine/bridge/archive/follow"
	"vitrine/bridge/deadletter"
	"vitrine/bridge/kafka"
	"vitrine/bridge/mirror"
)

// Parts are what is looked at.
type Parts struct {
	Bus      Bus
	Pump     *bridge.Pump
	Archive  *archive.Archive
	Follower *follow.Follower
	Letters  *deadletter.Store
	// Copy is nil where the archive is on local disk only, Kafka where no cluster
	// is configured.
	Copy  *mirror.Mirror
	Kafka *kafka.Source
	// Topics are the names of those that are configured.
	Topics []string
}

// Status is the present state. A part that is down is a state, not an error.
func (p *Parts) Status(ctx context.Context) adminapi.Pipeline {
	var out adminapi.Pipeline
	p.bus(ctx, &out)
	a := p.Follower.Stats()
	out.Archive.Position, out.Archive.Commits, out.Archive.Records = a.Position, a.Commits, a.Records
	out.Archive.Lag = out.Bus.Last - min(out.Bus.Last, a.Position)
	if !a.LastCommit.IsZero() {
		out.Archive.LastCommit, out.Archive.CommitSeconds = &a.LastCommit, &a.LastSeconds
	}
	if a.LastError != "" {
		out.Archive.Error = &a.LastError
	}
	out.Archive.Copy = copies.Status(p.Copy, a.Position)
	out.Kafka = topics.Status(p.Kafka)
	letters := p.Letters.Stats()
	out.Deadletters.Bytes, out.Deadletters.Count, out.Deadletters.Dropped = letters.Bytes, letters.Letters, letters.Dropped
	return out
}

// Wanted is what of topics is to be read again.
func (p *Parts) Wanted() []adminapi.PipelineWanted {
	holes, _ := p.Pump.Wanted()
	return topics.Reading{Configured: p.Topics, Source: p.Kafka}.Wanted(holes)
}

func (p *Parts) bus(ctx context.Context, out *adminapi.Pipeline) {
	s := p.Bus.Stats(ctx)
	b := &out.Bus
	b.State, b.First, b.Last, b.Frames = adminapi.BusOk, s.First, s.Last, s.Frames
	b.Bytes, b.MaxBytes, b.DiskFree, b.MinFree = s.Bytes, s.MaxBytes, s.DiskFree, s.MinFree
	b.Queued = int64(p.Pump.Stats().Queued)
	b.Appends, b.AppendSeconds, b.Refused, b.Restarts = s.Appends, s.AppendTime.Seconds(), s.Refused, s.Restarts
	b.LostFrames, b.LostUnlisted, b.Lost = s.Lost, s.Unlisted, make([]adminapi.PipelineLoss, len(s.Losses))
	for i, l := range s.Losses {
		b.Lost[i] = adminapi.PipelineLoss{First: l.First, Last: l.Last, FoundAt: l.Found}
	}
	b.Wanted = p.Wanted()
	missed, unlisted := p.Pump.Missed()
	b.Missed, b.MissedUnlisted = topics.Missed(missed), int64(unlisted)
	b.AsideFrames, b.AsideBytes = s.AsideFrames, s.AsideBytes
	switch {
	case s.Down != nil:
		b.State, b.Error = adminapi.BusDown, new(s.Down.Error())
	case s.Away != nil:
		b.State, b.Error = adminapi.BusAside, new(s.Away.Error())
	case s.Short:
		b.State, b.Error = adminapi.BusDiskFull, new("the disk has too little room; events are refused until there is more")
	case s.Full:
		b.State, b.Error = adminapi.BusFull, new("the bus is full; events are refused until the archive has taken some")
	}
}
