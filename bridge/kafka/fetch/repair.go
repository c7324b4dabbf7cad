package fetch

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// repair finds the offset to go on from: the start of a partition; what there is,
// where the broker has no such offset; or where the log of a new leader ends, if it
// does not have all that was read from the one before (KIP-320).
func (f *Fetcher) repair(ctx context.Context, c *cursor, life uint64, epoch int32) {
	f.mu.Lock()
	from, read, reset := c.offset, c.epoch, c.reset
	f.mu.Unlock()
	var l Loss
	var err error
	if from < 0 || reset {
		l, err = f.within(ctx, c.place, from)
	} else {
		l, err = f.common(ctx, c.place, from, read)
	}
	if f.repaired(c, life, epoch, l.To, err) && from >= 0 && from != l.To {
		f.opt.Lost(l)
	}
	f.tell()
}

// repaired notes what repair has found, unless the partition is set to elsewhere or
// it was an error.
func (f *Fetcher) repaired(c *cursor, life uint64, epoch int32, to int64, err error) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	c.busy = false
	signal(f.wake)
	switch {
	case c.life.Load() != life:
		return false
	case err != nil:
		f.note(c, err, final(err))
		f.later(c)
		f.opt.Client.ForceMetadataRefresh()
		return false
	case c.offset != to:
		c.epoch = -1
	case c.reset: // an answer by one who is behind
		f.note(c, kerr.OffsetOutOfRange, false)
		f.later(c)
	}
	c.offset, c.checked, c.reset = to, max(c.checked, epoch), false
	return true
}

// final tells a broker's error that does not pass by itself.
func final(err error) bool {
	var refused *kerr.Error
	return errors.As(err, &refused) && !retriable(refused)
}

// within is how reading goes on at the offset if the partition has it, else at the
// partition's first.
func (f *Fetcher) within(ctx context.Context, at place, offset int64) (Loss, error) {
	l := Loss{Topic: at.topic, Partition: at.partition, From: offset, To: offset}
	first, err := listed(f.admin.ListStartOffsets(ctx, at.topic))(at)
	if err != nil {
		return l, err
	}
	if offset < first {
		l.To, l.Dropped, l.Gone = first, true, first-offset
		return l, nil
	}
	end, err := listed(f.admin.ListEndOffsets(ctx, at.topic))(at)
	if err == nil && offset > end {
		l.To, l.Gone = first, offset-end
	}
	return l, err
}

// listed gives the offset of a partition.
func listed(offsets kadm.ListedOffsets, err error) func(place) (int64, error) {
	return func(at place) (int64, error) {
		o, ok := offsets.Lookup(at.topic, at.partition)
		switch {
		case ok && o.Err == nil:
			return o.Offset, nil
		case ok:
			err = o.Err
		case err == nil:
			err = fmt.Errorf("no partition %d", at.partition)
		}
		return 0, fmt.Errorf("ask for the offsets of %s: %w", at.topic, err)
	}
}

// common is how reading goes on as far as the leader's log has what was read up to the
// offset, whose records were of the epoch.
func (f *Fetcher) common(ctx context.Context, at place, offset int64, epoch int32) (Loss, error) {
	l := Loss{Topic: at.topic, Partition: at.partition, From: offset, To: offset}
	var req kadm.OffsetForLeaderEpochRequest
	req.Add(at.topic, at.partition, epoch)
	got, err := f.admin.OffsetForLeaderEpoch(ctx, req)
	o, ok := got[at.topic][at.partition]
	switch {
	case err != nil && unheardOf(err):
		return l, nil // as for brokers that tell no epochs
	case ok && o.Err != nil:
		err = o.Err
	case ok && o.EndOffset >= 0:
		l.To = min(offset, o.EndOffset)
		l.Gone = offset - l.To
		return l, nil
	case ok:
		// It knows nothing of that epoch, so nobody can tell where the logs part.
		return f.within(ctx, at, offset)
	case err == nil:
		err = fmt.Errorf("no partition %d", at.partition)
	}
	return l, fmt.Errorf("ask for the end of epoch %d of %s: %w", epoch, at.topic, err)
}

// unheardOf tells the error of a request that the brokers do not know.
func unheardOf(err error) bool {
	return errors.Is(err, kerr.UnsupportedVersion) || strings.Contains(err.Error(), "broker is too old") || strings.Contains(err.Error(), "request key is unknown")
}
