package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"vitrine/bridge"
	"vitrine/internal/logkey"
	"vitrine/internal/pause"
)

const (
	// clusterTimeout is how long a cluster may take over a frame or an answer,
	// before frames go aside. It is above a link that is slow by 200 ms each
	// way, and the whole pause that a caller sees when a cluster falls silent.
	clusterTimeout = 1500 * time.Millisecond

	// clusterLook is how often a cluster that is away is asked again.
	clusterLook = 250 * time.Millisecond
)

// ClusterOptions of a Cluster.
type ClusterOptions struct {
	// URLs are some servers, as nats://host:4222 or tls://host:4222.
	URLs []string
	// Stream is the name of the stream, DefaultStream when empty. One data
	// folder has it for itself.
	Stream string
	// Replicas is how many servers keep each frame. Default 3.
	Replicas int
	// MaxBytes bounds the stream. Default 8 GiB.
	MaxBytes int64
	// After is as in Options.
	After uint64
	// Aside are the options of the log on this machine that takes frames while
	// the cluster is away; its After does not count.
	Aside    Options
	Security Security
	// Patience is how long a cluster is waited for at the start, as after a power
	// cut that it came back from later than this machine, or while it elects a
	// leader. Default 20 s.
	Patience time.Duration
	// Log takes changes of state. Default: none are written.
	Log *slog.Logger
}

// DefaultStream is the name of the stream where none is given.
const DefaultStream = "vitrine"

// Cluster is the log in a NATS cluster. While the cluster is away, frames are
// made durable in a log on this machine, with the sequences that they would have
// had, and brought to the cluster in their order when it is back: so a caller
// waits for one fsync here at worst. Its methods are safe for concurrent use.
type Cluster struct {
	stream
	opt   ClusterOptions
	aside *Bus

	mu sync.Mutex
	// direct says that frames go to the cluster; else they go aside. Then
	// pending counts those on their way, and joining, where it is not nil, is
	// closed when the few last ones have been brought over.
	direct  bool
	pending int
	// asides counts all that ever were.
	asides  uint64
	joining chan struct{}
	// end is the last sequence that is known to be in the cluster, first the
	// first one that was not trimmed.
	first, end uint64
	// unsure says that the frame after end may be in the cluster, and is not
	// aside.
	unsure bool
	// away is why frames go aside, foreign the fault of a stream that somebody
	// else has written to.
	away, foreign error
	known         Stats

	appends, refused atomic.Uint64
	appendTime       atomic.Int64
	full             atomic.Bool
	// maxFrame and lost are what the connection for appends would tell, the
	// largest frame and that it is gone. It is not asked: while it tries a server
	// that is silent, it answers nobody for seconds.
	maxFrame atomic.Int64
	lost     atomic.Bool
	kick     chan struct{}
	stop     context.CancelFunc
	done     chan struct{}
}

var _ bridge.Log = (*Cluster)(nil)

// OpenCluster connects to the cluster, and creates or takes up the stream.
func OpenCluster(ctx context.Context, opt ClusterOptions) (_ *Cluster, err error) {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Stream == "" {
		opt.Stream = DefaultStream
	}
	if opt.Replicas <= 0 {
		opt.Replicas = 3
	}
	if opt.MaxBytes <= 0 {
		opt.MaxBytes = defaultMaxBytes
	}
	if opt.Patience <= 0 {
		opt.Patience = 20 * time.Second
	}
	opt.Aside.After, opt.Aside.Log = 0, opt.Log
	c := &Cluster{
		stream: stream{name: opt.Stream, subject: opt.Stream + ".records", replicas: opt.Replicas, maxBytes: opt.MaxBytes},
		opt:    opt, kick: make(chan struct{}, 1), done: make(chan struct{}),
	}
	defer func() {
		if err != nil {
			c.close()
			if c.aside != nil {
				err = errors.Join(err, c.aside.Close())
			}
		}
	}()
	var last uint64
	if err := c.await(ctx, func(ctx context.Context) error {
		last, err = c.open(ctx)
		return err
	}); err != nil {
		return nil, explain(err, &opt)
	}
	opt.Aside.passed = max(last, opt.After)
	if c.aside, err = Open(ctx, opt.Aside); err != nil {
		return nil, err
	}
	if err := c.await(ctx, func(ctx context.Context) error { return c.takeUp(ctx, last) }); err != nil {
		return nil, explain(err, &opt)
	}
	run, cancel := context.WithCancel(context.Background())
	c.stop = cancel
	go c.run(run)
	return c, nil
}

// await connects and does a step of the start, trying again while the reason why it
// fails may pass.
func (c *Cluster) await(ctx context.Context, step func(context.Context) error) error {
	deadline := time.Now().Add(c.opt.Patience)
	for told := false; ; told = true {
		err := c.reach()
		if err == nil {
			err = step(ctx)
		}
		passes := errors.Is(err, nats.ErrNoServers) || errors.Is(err, nats.ErrTimeout) || errors.Is(err, nats.ErrNoResponders) || errors.Is(err, context.DeadlineExceeded)
		if err == nil || !passes || ctx.Err() != nil || time.Now().After(deadline) {
			return err
		}
		if !told {
			c.opt.Log.Warn("bus: waiting for the cluster", logkey.Error, err)
		}
		if err := pause.For(ctx, clusterLook); err != nil {
			return err
		}
	}
}

// reach makes the connections that are not there yet.
func (c *Cluster) reach() (err error) {
	for _, conn := range []**nats.Conn{&c.writes, &c.reads} {
		if *conn != nil {
			continue
		}
		if *conn, err = dial(&c.opt); err != nil {
			return err
		}
	}
	c.connected(c.writes)
	c.writes.SetReconnectHandler(c.connected)
	c.writes.SetDisconnectErrHandler(func(*nats.Conn, error) { c.lost.Store(true) })
	return c.connect()
}

// connected notes what appends have to know of their connection.
func (c *Cluster) connected(conn *nats.Conn) {
	c.maxFrame.Store(min(conn.MaxPayload(), maxPayload) - frameSpare)
	c.lost.Store(false)
}

// takeUp finds where the log ends: in the cluster, with the frame last, or aside when
// the last life of the process ended while the cluster was away.
func (c *Cluster) takeUp(ctx context.Context, last uint64) error {
	first, end, err := c.aside.Bounds(ctx)
	if err != nil {
		return err
	}
	switch {
	case end > last && first <= end && first > last+1 && c.opt.After+1 >= first:
		// What lies between is in the archive: the log was in the data folder so
		// far, or the stream is a new one.
		if err := c.skip(ctx, last, &Options{After: first - 1, Log: c.opt.Log}); err != nil {
			return err
		}
	case end > last && first <= end && first > last+1:
		return fmt.Errorf("the stream %s ends with frame %d, and what was kept aside begins with %d: frames are missing in the cluster", c.name, last, first)
	case end > last && first <= end:
		c.opt.Log.Info("bus: frames that were kept aside go to the cluster", logkey.First, last+1, logkey.Last, end)
	default:
		if err := c.skip(ctx, last, &Options{After: c.opt.After, Log: c.opt.Log}); err != nil {
			return err
		}
		c.direct = true
	}
	st, err := c.state(ctx)
	c.first, c.end = st.FirstSeq, st.LastSeq
	return err
}

// MaxFrame is the largest frame that an append takes.
func (c *Cluster) MaxFrame() int {
	return int(c.maxFrame.Load())
}

// Append adds a frame after the sequence expectLast and returns its sequence
// when the cluster has it, or when it is on stable storage here while the
// cluster is away.
func (c *Cluster) Append(ctx context.Context, frame []byte, expectLast uint64) (uint64, error) {
	if len(frame) > c.MaxFrame() {
		return 0, fmt.Errorf("append a frame of %d bytes: %w", len(frame), bridge.ErrTooLarge)
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	began := time.Now()
	seq, err := c.add(ctx, frame, expectLast)
	switch {
	case err == nil:
		c.appends.Add(1)
		c.appendTime.Add(int64(time.Since(began)))
		c.full.Store(false)
		return seq, nil
	case errors.Is(err, bridge.ErrBusFull):
		c.refused.Add(1)
		c.full.Store(!errors.Is(err, bridge.ErrDiskFull))
	}
	return 0, fmt.Errorf("append frame %d: %w", expectLast+1, err)
}

func (c *Cluster) add(ctx context.Context, frame []byte, expectLast uint64) (uint64, error) {
	direct, err := c.enter()
	if err != nil {
		return 0, err
	}
	if !direct {
		return c.addAside(ctx, frame, expectLast)
	}
	ctx = context.WithoutCancel(ctx)
	seq, err := c.send(ctx, frame, expectLast)
	if err == nil {
		c.mu.Lock()
		c.end = max(c.end, seq)
		c.mu.Unlock()
		return seq, nil
	}
	if errors.Is(err, bridge.ErrBusFull) || errors.Is(err, bridge.ErrFenced) {
		return 0, err
	}
	c.leave(err)
	seq, aerr := c.addAside(ctx, frame, expectLast)
	if aerr != nil {
		c.mu.Lock()
		c.unsure = true
		c.mu.Unlock()
		// Not wrapped: the refusal of the log here does not mean that the
		// cluster has not kept it.
		return 0, fmt.Errorf("%w; and aside: %v", err, aerr)
	}
	return seq, nil
}

// send appends a frame in the cluster, unless there is no connection.
func (c *Cluster) send(ctx context.Context, frame []byte, expectLast uint64) (uint64, error) {
	if c.lost.Load() {
		return 0, nats.ErrDisconnected
	}
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	return c.append(ctx, frame, expectLast)
}

// enter tells where the next frame goes. One that goes aside is pending from
// here on. While the last frames are being brought over it waits a moment, for
// under a steady load there would always be one more.
func (c *Cluster) enter() (direct bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if joining := c.joining; joining != nil {
		c.mu.Unlock()
		timer := time.NewTimer(clusterTimeout)
		select {
		case <-joining:
		case <-timer.C:
		}
		timer.Stop()
		c.mu.Lock()
	}
	switch {
	case c.foreign != nil:
		return false, c.foreign
	case c.unsure:
		return false, c.unknown()
	case !c.direct:
		c.pending++
		c.asides++
	}
	return c.direct, nil
}

func (c *Cluster) unknown() error {
	return fmt.Errorf("%w: frame %d may have reached the cluster, which is away (%v)", bridge.ErrUnavailable, c.end+1, c.away)
}

// leave sends the frames aside from here on, with one pending.
func (c *Cluster) leave(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending++
	c.asides++
	c.away = why
	if c.direct {
		c.direct = false
		c.opt.Log.Warn("bus: the cluster is away, frames are kept aside on this machine", logkey.Error, why, logkey.Seq, c.end+1)
	}
}

// addAside keeps a pending frame here.
func (c *Cluster) addAside(ctx context.Context, frame []byte, expectLast uint64) (uint64, error) {
	defer func() {
		c.mu.Lock()
		c.pending--
		c.mu.Unlock()
		c.wake()
	}()
	_, last, err := c.aside.Bounds(ctx)
	if err != nil {
		return 0, err
	}
	c.mu.Lock()
	end := c.end
	c.mu.Unlock()
	if last < expectLast && end == expectLast {
		// The first one after a time in the cluster.
		if err := c.aside.advance(ctx, expectLast); err != nil {
			return 0, err
		}
	}
	return c.aside.Append(ctx, frame, expectLast)
}

func (c *Cluster) wake() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

// Bounds gives the first and the last sequence of the log. It does not ask the
// cluster: nobody else writes there.
func (c *Cluster) Bounds(ctx context.Context) (first, last uint64, err error) {
	_, aside, err := c.aside.Bounds(ctx)
	if err != nil {
		return 0, 0, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unsure {
		return 0, 0, c.unknown()
	}
	return c.first, max(c.end, aside), nil
}

// Read is as Bus.Read.
func (c *Cluster) Read(ctx context.Context, from uint64, fn func(seq uint64, frame []byte) error) (next uint64, err error) {
	from, last, err := begin(ctx, c.Bounds, from)
	if err != nil {
		return from, err
	}
	for next = from; next <= last; {
		msgs, err := c.batch(ctx, next, last)
		if err != nil {
			return next, err
		}
		if next, err = hand(msgs, next, last, fn); err != nil {
			return next, err
		}
	}
	return next, nil
}

// batch reads some frames from where they are.
func (c *Cluster) batch(ctx context.Context, next, last uint64) ([]*nats.Msg, error) {
	const tries = 20
	for try := 1; ; try++ {
		c.mu.Lock()
		end := c.end
		c.mu.Unlock()
		var msgs []*nats.Msg
		var err error
		if next <= end {
			msgs, err = c.fetch(ctx, next, min(last, end))
		} else {
			msgs, err = c.aside.fetch(ctx, next, last)
		}
		var gap *bridge.GapError
		if err == nil && len(msgs) > 0 && msgs[0].Header.Get(sequenceHeader) != strconv.FormatUint(next, 10) {
			err = &bridge.GapError{Want: next}
		}
		if !errors.As(err, &gap) || try == tries {
			return msgs, err
		}
		// Any server of the cluster answers, also one that is a little behind;
		// and what was aside may just have moved.
		if err := pause.For(ctx, 100*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// Trim drops the frames up to and including upTo, but never the newest. Where
// the cluster is away it is done by a later call.
func (c *Cluster) Trim(ctx context.Context, upTo uint64) error {
	c.mu.Lock()
	upTo = min(upTo, c.end)
	c.mu.Unlock()
	limited, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	err := c.trim(limited, upTo)
	if err != nil {
		c.opt.Log.Debug("bus: the cluster was not trimmed", logkey.Seq, upTo, logkey.Error, err)
		return ctx.Err()
	}
	st, err := c.state(limited)
	if err == nil {
		c.mu.Lock()
		c.first = max(c.first, st.FirstSeq)
		c.mu.Unlock()
	}
	return ctx.Err()
}

// Scrub drops all frames up to last, which must be the newest, from the cluster
// and from what is kept aside; each server drops the files that they lay in.
func (c *Cluster) Scrub(ctx context.Context, last uint64) error {
	_, aside, err := c.aside.Bounds(ctx)
	if err != nil {
		return err
	}
	c.mu.Lock()
	end, unsure := c.end, c.unsure
	c.mu.Unlock()
	if unsure || end != last || aside > end {
		return fmt.Errorf("empty the bus up to frame %d: frames wait beside the cluster, which ends at %d", last, end)
	}
	limited, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	if err := c.scrub(limited, last); err != nil {
		return fmt.Errorf("empty the bus up to frame %d: %w", last, err)
	}
	c.mu.Lock()
	c.first = max(c.first, last+1)
	c.mu.Unlock()
	return c.aside.Scrub(ctx, aside)
}

// Stats tells the present figures; Down is never set, for frames that the
// cluster does not take are kept aside.
func (c *Cluster) Stats(ctx context.Context) Stats {
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	aside := c.aside.Stats(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	var err error
	if c.direct { // else nobody waits for a cluster that is away
		c.mu.Unlock()
		state, serr := c.state(ctx)
		c.mu.Lock()
		if err = serr; err == nil {
			c.known = Stats{Bytes: state.Bytes, Frames: state.Msgs}
		}
	}
	out := Stats{
		Bytes: c.known.Bytes, Frames: c.known.Frames, MaxBytes: uint64(c.maxBytes), First: c.first, Last: max(c.end, aside.Last),
		Appends: c.appends.Load(), AppendTime: time.Duration(c.appendTime.Load()), Refused: c.refused.Load(), Restarts: aside.Restarts,
		DiskFree: aside.DiskFree, MinFree: aside.MinFree, Short: aside.Short, Full: c.full.Load(), Lost: aside.Lost, Losses: aside.Losses, Unlisted: aside.Unlisted, UnlistedLast: aside.UnlistedLast, Away: c.foreign,
	}
	if !c.direct {
		out.AsideFrames, out.AsideBytes = out.Last-c.end, aside.Bytes
		if out.Away == nil {
			out.Away = errors.Join(errAway, c.away)
		}
	} else if err != nil {
		out.Away = errors.Join(errAway, err)
	}
	out.Short = out.Short && !c.direct
	return out
}

var errAway = errors.New("the cluster is away, frames are kept aside")

// Damaged is as Bus.Damaged, of what is kept aside.
func (c *Cluster) Damaged() <-chan struct{} { return c.aside.Damaged() }

// Room is an error while the disk has too little room for more.
func (c *Cluster) Room() error { return c.aside.Room() }

// Close ends the connections and the log aside. Calls after the first do
// nothing.
func (c *Cluster) Close() error {
	c.stop()
	<-c.done
	c.close()
	return c.aside.Close()
}
