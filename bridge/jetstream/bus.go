package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"vitrine/bridge"
	"vitrine/internal/disk"
	"vitrine/internal/logkey"
)

const (
	streamName = "log"
	subject    = "log.records"

	// maxPayload takes a frame of the pump with room to spare.
	maxPayload = 8 << 20
	// frameSpare is for a message's subject and headers.
	frameSpare = 4096

	defaultMaxBytes = 8 << 30

	// appendTimeout is long for a disk and short for a client: a server that
	// has not answered by then has given up.
	appendTimeout = 10 * time.Second

	// restartPause is how long a server that did not start is left alone.
	restartPause = time.Second

	startTimeout = 30 * time.Second
)

var (
	errClosed   = errors.New("the bus is closed")
	errRestarts = fmt.Errorf("%w: its server is being started again", bridge.ErrUnavailable)
)

// Options of a Bus; the zero value of all but Dir is the documented default.
type Options struct {
	// Dir holds the log; it is created. One process only may open it.
	Dir string
	// MaxBytes bounds the log. Default 8 GiB, but at most half of the disk.
	MaxBytes int64
	// MinFree is what an append leaves free on the disk, whatever the bound.
	// Default DefaultMinFree.
	MinFree int64
	// After is a sequence that the rest of the appliance has already passed. A
	// new, wiped or older log goes on after it, so that no sequence is given
	// twice.
	After uint64
	// passed is such a sequence for damage alone: what lies up to it is elsewhere, but
	// the log may end before it, and go on there.
	passed uint64
	// Log takes the server's warnings and errors. Default: none are written.
	Log *slog.Logger
}

// Stats are the figures of the log and of this process's appends.
type Stats struct {
	// Bytes and Frames are in the log now; MaxBytes is its limit.
	Bytes, MaxBytes, Frames uint64
	// First and Last are the bounds of the log.
	First, Last uint64
	// Appends counts durable appends, AppendTime the time they took together:
	// nearly all of it is fsync.
	Appends    uint64
	AppendTime time.Duration
	// Refused counts appends without room.
	Refused uint64
	// Restarts counts how often the embedded server had to be started again.
	Restarts uint64
	// DiskFree is what the disk has free; an append leaves MinFree of it.
	DiskFree, MinFree uint64
	// Short says that the bus refuses because the disk has too little room, Full
	// that it does because the log is at its limit.
	Short, Full bool
	// Down is why the log is out of reach; the figures of the log itself are then
	// the last that are known. nil while all is well.
	Down error
	// Lost counts the frames that were ever found to be damaged, Losses lists the
	// newest of them. Unlisted counts those that are not listed any more, none of
	// which is newer than UnlistedLast.
	Lost                   uint64
	Losses                 []Loss
	Unlisted, UnlistedLast uint64
	// Away is why frames are kept aside instead of in the cluster, AsideFrames
	// and AsideBytes how many.
	Away                    error
	AsideFrames, AsideBytes uint64
}

// Bus is the log. Its methods are safe for concurrent use.
type Bus struct {
	opt  Options
	room room
	lost losses

	// mu guards node and closed: users of the server hold it for reading, a
	// restart and Close for writing. node is nil when closed, and when the
	// server could not be started again.
	mu     sync.RWMutex
	node   *node
	closed bool
	// failed is when a server did not start, and why.
	failed    time.Time
	failedFor error

	// known are the last figures of the log; full says that its limit refuses.
	known                      atomic.Pointer[Stats]
	full                       atomic.Bool
	trimmed                    atomic.Uint64 // what was dropped on purpose
	damage                     sync.Once
	damaged                    chan struct{}
	appends, refused, restarts atomic.Uint64
	appendTime                 atomic.Int64
}

// node is one life of the embedded server with its clients.
type node struct {
	stream
	srv *server.Server
	// life ends when the server has stopped, or has failed to write and will
	// not answer any more.
	life context.Context
	end  context.CancelCauseFunc
}

var _ bridge.Log = (*Bus)(nil)

// Open starts the embedded server and creates or recovers the log. ctx bounds
// the start.
func Open(ctx context.Context, opt Options) (*Bus, error) {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.MaxBytes <= 0 {
		opt.MaxBytes = defaultMaxBytes
	}
	if opt.MinFree <= 0 {
		opt.MinFree = DefaultMinFree
	}
	if err := os.MkdirAll(opt.Dir, 0o750); err != nil {
		return nil, fmt.Errorf("open bus: %w", err)
	}
	n, err := start(ctx, opt)
	if err != nil {
		return nil, fmt.Errorf("open bus %s: %w", opt.Dir, err)
	}
	lost := readLosses(&opt)
	opt.passed, opt.After = opt.elsewhere(), 0
	return &Bus{lost: lost, damaged: make(chan struct{}), opt: opt, node: n, room: room{dir: opt.Dir, min: uint64(opt.MinFree), log: opt.Log}}, nil
}

// Append adds a frame after the sequence expectLast and returns its sequence
// when it is on stable storage. bridge.ErrBusFull and bridge.ErrFenced mean
// that it was not added; after any other error the next Bounds tells.
func (b *Bus) Append(ctx context.Context, frame []byte, expectLast uint64) (uint64, error) {
	if len(frame) > maxPayload-frameSpare {
		return 0, fmt.Errorf("append a frame of %d bytes: %w", len(frame), bridge.ErrTooLarge)
	}
	seq, sent, err := b.append(ctx, frame, expectLast)
	switch {
	case errors.Is(err, bridge.ErrBusFull):
		b.refused.Add(1)
		b.full.Store(!errors.Is(err, bridge.ErrDiskFull))
	case err != nil && sent != nil && !errors.Is(err, bridge.ErrFenced):
		// Silence or a broken store: the frame may still be on its way in, and
		// the store stays broken until the server is started again.
		if rerr := b.restart(sent); rerr != nil {
			err = errors.Join(err, rerr)
		}
	}
	if err != nil {
		return 0, fmt.Errorf("append frame %d: %w", expectLast+1, err)
	}
	b.full.Store(false)
	return seq, nil
}

// append publishes the frame and returns the node that it was sent to, nil
// when it was not.
func (b *Bus) append(ctx context.Context, frame []byte, expectLast uint64) (uint64, *node, error) {
	if err := ctx.Err(); err != nil {
		return 0, nil, err
	}
	if err := b.room.check(len(frame)); err != nil {
		return 0, nil, err
	}
	n, err := b.use()
	if err != nil {
		return 0, nil, err
	}
	defer b.mu.RUnlock()
	// Once it is sent, only the answer tells: the end of ctx changes nothing.
	ctx, cancel := context.WithTimeout(n.life, appendTimeout)
	defer cancel()
	began := time.Now()
	seq, err := n.append(ctx, frame, expectLast)
	if err != nil {
		if broken := context.Cause(n.life); broken != nil {
			err = broken
		}
		return 0, n, err
	}
	b.appends.Add(1)
	b.appendTime.Add(int64(time.Since(began)))
	return seq, n, nil
}

// Bounds gives the first and the last sequence of the log; last is first-1
// when it is empty. Sequences survive Trim and restarts.
func (b *Bus) Bounds(ctx context.Context) (first, last uint64, err error) {
	n, err := b.use()
	if err != nil {
		return 0, 0, err
	}
	defer b.mu.RUnlock()
	st, err := n.state(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("ask for the bounds of the bus: %w", err)
	}
	return st.FirstSeq, st.LastSeq, nil
}

// Trim drops the frames up to and including upTo, which every reader must
// have made durable elsewhere. The newest frame always stays: it carries the
// sequence on even if the server's index is lost.
func (b *Bus) Trim(ctx context.Context, upTo uint64) error {
	n, err := b.use()
	if err != nil {
		return err
	}
	defer b.mu.RUnlock()
	if err := n.trim(ctx, upTo); err != nil {
		return fmt.Errorf("trim the bus up to frame %d: %w", upTo, err)
	}
	b.full.Store(false)
	b.trimmed.Store(max(b.trimmed.Load(), upTo))
	return nil
}

// Scrub drops all frames and the files that they lay in, so that nothing of them
// is on the disk. last is the newest frame, which every reader must have made
// durable elsewhere; where another came behind it, nothing is dropped.
func (b *Bus) Scrub(ctx context.Context, last uint64) error {
	n, err := b.use()
	if err != nil {
		return err
	}
	defer b.mu.RUnlock()
	if err := n.scrub(ctx, last); err != nil {
		return fmt.Errorf("empty the bus up to frame %d: %w", last, err)
	}
	b.full.Store(false)
	return nil
}

// Stats tells the present figures. It does not wait for a server that is being
// started again.
func (b *Bus) Stats(ctx context.Context) Stats {
	var s Stats
	err := errRestarts
	if b.mu.TryRLock() {
		if s, err = b.figures(ctx); err == nil {
			b.known.Store(&s)
		}
		b.mu.RUnlock()
	}
	if err != nil {
		if known := b.known.Load(); known != nil {
			s = *known
		}
		s.Down = err
	}
	s.Appends, s.AppendTime = b.appends.Load(), time.Duration(b.appendTime.Load())
	s.Refused, s.Restarts = b.refused.Load(), b.restarts.Load()
	s.Short, s.Full, s.MinFree = b.room.check(0) != nil, b.full.Load(), b.room.min
	s.Lost, s.Losses = b.lost.Frames, b.lost.Losses
	s.Unlisted, s.UnlistedLast = s.Lost-min(s.Lost, b.lost.listed()), b.lost.Unlisted
	if free, _, err := disk.Space(b.opt.Dir); err == nil {
		s.DiskFree = free
	}
	return s
}

// figures are those of the log; mu is held.
func (b *Bus) figures(ctx context.Context) (Stats, error) {
	if b.node == nil {
		return Stats{}, b.down()
	}
	st, err := b.node.state(ctx)
	if err != nil {
		return Stats{}, fmt.Errorf("ask for the figures of the bus: %w", err)
	}
	return Stats{Bytes: st.Bytes, MaxBytes: uint64(b.node.maxBytes), Frames: st.Msgs, First: st.FirstSeq, Last: st.LastSeq}, nil
}

// Close stops the server and waits for it. Calls after the first do nothing.
func (b *Bus) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if b.node != nil {
		b.node.stop()
		b.node = nil
	}
	return nil
}

// advance moves the end of the log to the sequence after, where it lies before.
func (b *Bus) advance(ctx context.Context, after uint64) error {
	n, err := b.use()
	if err != nil {
		return err
	}
	defer b.mu.RUnlock()
	if err := n.purge(ctx, after+1); err != nil {
		return err
	}
	b.trimmed.Store(max(b.trimmed.Load(), after))
	return nil
}

// MaxFrame is the largest frame that an append takes.
func (b *Bus) MaxFrame() int { return maxPayload - frameSpare }

// Damaged is closed when a frame could not be read that must be there, or was found to
// be lost when the server had to be started again. The next Open makes the log anew from what is sound and names what is lost.
func (b *Bus) Damaged() <-chan struct{} { return b.damaged }

// ErrDamaged says that frames of the log are damaged on the disk.
var ErrDamaged = errors.New("frames of the bus are damaged on the disk")

// Room is an error while the disk has too little room for more.
func (b *Bus) Room() error { return b.room.check(0) }

// down says why there is no node; mu is held.
func (b *Bus) down() error {
	if b.closed {
		return errClosed
	}
	return fmt.Errorf("%w: %w", bridge.ErrUnavailable, b.failedFor)
}

// use gives the running node and holds mu for reading until the caller
// unlocks it. A node that a restart could not bring up is tried again, after a
// pause.
func (b *Bus) use() (*node, error) {
	b.mu.RLock()
	for b.node == nil {
		err, again := b.down(), !b.closed && time.Since(b.failed) >= restartPause
		b.mu.RUnlock()
		if !again {
			return nil, err
		}
		if err := b.restart(nil); err != nil {
			return nil, err
		}
		b.mu.RLock()
	}
	return b.node, nil
}

// restart replaces the server that was found broken, unless that has happened
// already.
func (b *Bus) restart(broken *node) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.node != broken {
		return nil
	}
	b.opt.Log.Warn("bus server restarts", logkey.Dir, b.opt.Dir)
	b.restarts.Add(1)
	if b.node != nil {
		b.node.stop()
		b.node = nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	opt := b.opt
	opt.After = b.trimmed.Load()
	n, err := start(ctx, opt)
	if err != nil {
		b.failed, b.failedFor = time.Now(), fmt.Errorf("restart the bus server: %w", err)
		return fmt.Errorf("%w: %w", bridge.ErrUnavailable, b.failedFor)
	}
	if b.node = n; readLosses(&opt).Frames > b.lost.Frames {
		// What the rest of the appliance has of these frames is not in the log any more.
		b.damage.Do(func() { close(b.damaged) })
	}
	return nil
}
