package pipeline

import (
	"context"

	"vitrine/appliance/config"
	"vitrine/bridge"
	"vitrine/bridge/jetstream"
)

// Bus is the log, in this process or in a cluster.
type Bus interface {
	bridge.Log
	// Trim drops the frames up to a sequence.
	Trim(ctx context.Context, upTo uint64) error
	// Scrub drops all frames, and the files that they lay in.
	Scrub(ctx context.Context, last uint64) error
	// MaxFrame is the largest frame.
	MaxFrame() int
	// Room is an error while the disk has too little room.
	Room() error
	// Damaged is closed when a frame is found to be damaged.
	Damaged() <-chan struct{}
	Stats(ctx context.Context) jetstream.Stats
	Close() error
}

// OpenBus opens the configured log; opt is the one in the data folder, which is
// beside a cluster where there is one.
func OpenBus(ctx context.Context, c config.Bus, opt jetstream.Options) (Bus, error) {
	opt.MaxBytes, opt.MinFree = c.MaxBytes, c.MinFree
	if len(c.Servers()) == 0 {
		return opened(jetstream.Open(ctx, opt))
	}
	return opened(jetstream.OpenCluster(ctx, c.Cluster(opt)))
}

// Lost is the first frame that the log has lost behind a position, 0 when there is
// none. Where some are not listed any more it may be before that.
func Lost(s *jetstream.Stats, behind uint64) uint64 {
	if s.UnlistedLast > behind {
		return behind + 1
	}
	first := uint64(0)
	for _, l := range s.Losses {
		if from := max(l.First, behind+1); from <= l.Last && (first == 0 || from < first) {
			first = from
		}
	}
	return first
}

// Watch returns jetstream.ErrDamaged when a frame is found to be damaged, and nil
// when ctx ends.
func Watch(ctx context.Context, b Bus) error {
	select {
	case <-ctx.Done():
		return nil
	case <-b.Damaged():
		return jetstream.ErrDamaged
	}
}

// opened keeps a nil pointer from becoming an interface that is not nil.
func opened[B Bus](b B, err error) (Bus, error) {
	if err != nil {
		return nil, err
	}
	return b, nil
}
