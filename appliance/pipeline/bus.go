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
	// MaxFrame is the largest frame.
	MaxFrame() int
	// Room is an error while the disk has too little room.
	Room() error
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

// opened keeps a nil pointer from becoming an interface that is not nil.
func opened[B Bus](b B, err error) (Bus, error) {
	if err != nil {
		return nil, err
	}
	return b, nil
}
