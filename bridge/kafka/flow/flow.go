// Package flow moves records from the brokers' answers into the log.
//
// It owns what is under way: its order, its bounds in records and in memory, letters
// before what was sent behind them, and where to go on when the log takes nothing.
// Which partitions are read, from where on, and how far the group is told that they
// came is the membership's: it must not import bridge/kafka, and knows of brokers only
// what a Fetcher gives.
//
//	err := flow.New(flow.Options{Fetcher: fetcher, Group: session, Into: pump, Letters: store}).Run(ctx)
package flow

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"vitrine/bridge"
	"vitrine/bridge/deadletter"
	"vitrine/bridge/kafka/fetch"
	"vitrine/bridge/kafka/values"
	"vitrine/internal/pause"
)

// MaxText is how many bytes a batch of the cluster may have when it is decompressed.
const MaxText = 64 << 20

// The bounds of what is between the client and the log.
const (
	// batchRecords, or three quarters, are a batch: a frame of some 400 KiB.
	batchRecords = 8 * fetch.PartRecords
	// window is how many batches are under way at most.
	window = 4
	// windowBytes bounds their records; what is decompressed meanwhile may go beyond.
	windowBytes = 32 << 20
)

// busyPause is how long a log that takes nothing is left alone.
const busyPause = 500 * time.Millisecond

// Fetcher gives what the brokers answer; it is a fetch.Fetcher.
type Fetcher interface {
	// Next waits for answers. Back gives a partition again from an offset on, Last
	// lets the other partitions come before it.
	Next(ctx context.Context) ([]*fetch.Batch, error)
	Back(topic string, partition int32, offset int64)
	Last(topic string, partition int32)
}

// Group is the membership by which partitions are read.
type Group interface {
	// Origin is the Source.Name of a partition's records, and the offset below which
	// some may have been refused before.
	Origin(topic string, partition int32) (name string, refused int64)
	// Passed notes that what lies before an offset of a batch's partition is kept.
	Passed(b *fetch.Batch, to int64)
	// Tell tells the others what has passed, when it is time.
	Tell(ctx context.Context)
}

// Log takes the records; it is the ingest pump.
type Log interface {
	// Lane takes batches of records, which Batch makes ready, in their order.
	Lane() *bridge.Lane
	Batch() *bridge.Batch
}

// Letters keeps what cannot be read.
type Letters interface {
	Add(ctx context.Context, letters []deadletter.Letter) (added int, err error)
}

// Counts are what one poll brought.
type Counts struct{ Accepted, Duplicate, Rejected, UnknownFields, Clamped int }

// Unread is why records of a partition cannot be read, while those of others are.
type Unread struct {
	At bridge.Place
	// From is the offset of the first of them, or one before it.
	From int64
	Err  error
}

// Error names the partition.
func (u *Unread) Error() string {
	return fmt.Sprintf("partition %d of %s: %v", u.At.Partition, u.At.Name, u.Err)
}

// Unwrap gives the error without it.
func (u *Unread) Unwrap() error { return u.Err }

// Options of a Pipe; all are needed.
type Options struct {
	Fetcher Fetcher
	Group   Group
	Into    Log
	Letters Letters
	// Readers decode at the same time, each with buffers of its own.
	Readers []*values.Reader
	// Count is told what polls brought, Waits why the log takes nothing, or with an
	// Unread why a partition's records do not get as far.
	Count func(Counts)
	Waits func(err error)
	// Rotten makes of an error of a batch's bytes one that says what to do about it.
	Rotten func(b *fetch.Batch, err error) error
	// Every is how often Group.Tell is called at least.
	Every time.Duration
	Now   func() time.Time
}

// Pipe is the way of records into the log. A log that is full makes it wait, and what
// it holds meanwhile is bounded.
type Pipe struct {
	opt Options
	// underWay are the batches between the brokers and the log. Some are added
	// with gate held, and who holds it may wait for all.
	gate     sync.Mutex
	underWay sync.WaitGroup
	memory   memory
}

// New makes one that nothing is under way in.
func New(opt Options) *Pipe { return &Pipe{opt: opt} }

// Run moves records until ctx ends, which is no error, or with the error of the fetcher,
// or bridge.ErrClosed. Then nothing is under way. It may be called once.
func (f *Pipe) Run(ctx context.Context) error {
	for {
		r := newRun(f)
		r.move(ctx)
		switch {
		case errors.Is(r.err, bridge.ErrClosed):
			return r.err
		case ctx.Err() != nil:
			return nil
		case errors.Is(r.err, errFull): // the log is well
		case r.err != nil:
			if of := (*Unread)(nil); errors.As(r.err, &of) {
				of.From = max(of.From, r.kept[of.At])
			}
			f.opt.Waits(r.err)
			if pause.For(ctx, busyPause) != nil {
				return nil
			}
		case r.fatal != nil:
			return r.fatal
		}
	}
}

// Hold keeps batches from being added to those under way until release is called.
func (f *Pipe) Hold() (release func()) {
	f.gate.Lock()
	return f.gate.Unlock
}

// Drain waits until nothing is under way, which is sure to come only while it is held.
func (f *Pipe) Drain() { f.underWay.Wait() }
