package upkeep

import (
	"context"
	"fmt"
)

// Log is the durable log, with who writes it and who empties it.
type Log struct {
	// Pump stops between two frames.
	Pump interface {
		Between(ctx context.Context, do func(seq uint64)) error
	}
	// Follower gets what is in the log into the archive.
	Follower interface {
		Flush(ctx context.Context) error
	}
	// Bus drops its files, whose newest frame has the given number.
	Bus interface {
		Scrub(ctx context.Context, last uint64) error
	}
}

// scrub makes the log forget: a frame that is in the archive stays in a file of
// the log until the file is full. For the time of a small commit no frame is
// written.
func (l *Log) scrub(ctx context.Context) error {
	// Most of it before, so that little has to be done between two frames.
	if err := l.Follower.Flush(ctx); err != nil {
		return err
	}
	var inner error
	if err := l.Pump.Between(ctx, func(seq uint64) {
		if inner = l.Follower.Flush(ctx); inner == nil {
			inner = l.Bus.Scrub(ctx, seq)
		}
	}); err != nil {
		return err
	}
	if inner != nil {
		return fmt.Errorf("empty the log of erased users: %w", inner)
	}
	return nil
}
