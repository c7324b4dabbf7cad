package bridge

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"vitrine/bridge/event"
	"vitrine/internal/logkey"
)

// Log is the one log of the appliance: durable frames with gapless sequences.
type Log interface {
	// Append adds a frame after the sequence expectLast and returns when it is
	// on stable storage. ErrBusFull and ErrFenced mean that it is not in the
	// log. After any other error the next Bounds tells whether it is: it must
	// not get in later.
	Append(ctx context.Context, frame []byte, expectLast uint64) (seq uint64, err error)
	// Read calls fn with every frame from the sequence from (0 is the first)
	// to the one that is last when it is called.
	Read(ctx context.Context, from uint64, fn func(seq uint64, frame []byte) error) (next uint64, err error)
	// Bounds gives the first and last sequence; last is first-1 when empty.
	Bounds(ctx context.Context) (first, last uint64, err error)
}

// Consumer sees every record of the log once, in log order, from one
// goroutine; those of a frame in one call or more. It must not block on I/O, as
// the callers of Submit wait for it. It keeps nothing of the records, and copies
// of their strings: they may be parts of a request's body or of a fetch, which
// would stay in memory with any of them.
type Consumer interface {
	Apply(seq uint64, records []event.Record)
}

// Options of a Pump; the zero value is the documented default.
type Options struct {
	// FrameBytes is the size at which a frame is closed. Default 256 KiB: half
	// a million small events per second on a disk that does 400 fsyncs.
	FrameBytes int
	// MaxFrame is the largest frame that the log takes. Default 4 MiB beside
	// FrameBytes; one call that does not fit is cut into parts.
	MaxFrame int
	// FrameDelay is the longest that a frame waits for the calls that seem to
	// be on their way, or, where calls come by themselves, for a few of them; a
	// lone caller never waits. Default 5 ms.
	FrameDelay time.Duration
	// DedupWindow is how long an event id is remembered, from its arrival.
	// Default 7 days.
	DedupWindow time.Duration
	// DedupMax is how many event ids are remembered at most, about 28 bytes
	// each; beyond it the oldest are forgotten before their time. Default 8
	// million.
	DedupMax int
	// QueueRecords is how many records wait at most; beyond it Submit blocks.
	// Default 65,536.
	QueueRecords int
	// Log takes state changes. Default: none are written.
	Log *slog.Logger
	// Now is the clock of arrivals. Default time.Now.
	Now func() time.Time
}

func (o Options) withDefaults() Options {
	if o.FrameBytes <= 0 {
		o.FrameBytes = 256 << 10
	}
	if o.MaxFrame <= 0 {
		o.MaxFrame = o.FrameBytes + defaultCall
	}
	o.FrameBytes = min(o.FrameBytes, o.MaxFrame/4)
	if o.FrameDelay <= 0 {
		o.FrameDelay = 5 * time.Millisecond
	}
	if o.DedupWindow <= 0 {
		o.DedupWindow = 7 * 24 * time.Hour
	}
	if o.DedupMax <= 0 {
		o.DedupMax = 8 << 20
	}
	if o.QueueRecords <= 0 {
		o.QueueRecords = 64 << 10
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Result is what became of the records of one Submit.
type Result struct {
	// Accepted records are on disk and applied by every consumer.
	Accepted int
	// Duplicate records carried an event id that was accepted before, or lie
	// at a place of a topic that was passed before.
	Duplicate int
}

// Stats are the counts since New.
type Stats struct {
	// Accepted, Duplicate, Refused (no room on the bus) and Failed (the bus
	// broke) count records; they add up to what was taken from the queue.
	Accepted, Duplicate, Refused, Failed uint64
	// Frames and FrameBytes count what was appended.
	Frames, FrameBytes uint64
	// Queued is the number of records that wait now.
	Queued int
	// Remembered is the number of event ids known now.
	Remembered int
	// Last is the newest sequence that was applied, News the newest of them that
	// told more than what was answered.
	Last, News uint64
}

// defaultCall is what one call may take of a frame.
const defaultCall = 4 << 20

// maxCall bounds the records of one request, so that a frame, one request after
// at most FrameBytes of others, stays within MaxFrame.
func (o *Options) maxCall() int { return min(o.MaxFrame-o.FrameBytes, defaultCall) }

// Pump is the ingest pump. Its methods are safe for concurrent use, but
// Restore, Seen, Passed, Begun, Want and Replay belong before Run, and GiveUp belongs
// there or into Between.
type Pump struct {
	log       Log
	consumers []Consumer
	opt       Options
	queue     *queue
	ids       *idSet
	places    *places
	missed    missed
	spare     sync.Pool
	// between takes what waits for a moment between frames; stopped is closed
	// when Run has ended.
	between chan func()
	stopped chan struct{}

	committer
	counters
}

// counters back Stats.
type counters struct {
	accepted, duplicate, refused, failed atomic.Uint64
	frames, frameBytes                   atomic.Uint64
	remembered                           atomic.Int64
	lastSeq, news                        atomic.Uint64
}

// New makes a pump that appends to log and feeds the consumers. It does
// nothing until Run.
func New(log Log, consumers []Consumer, opt Options) *Pump {
	opt = opt.withDefaults()
	return &Pump{
		log:       log,
		consumers: consumers,
		opt:       opt,
		queue:     newQueue(opt.QueueRecords),
		ids:       newIDSet(opt.DedupWindow.Milliseconds(), opt.DedupMax),
		places:    newPlaces(),
		spare:     sync.Pool{New: func() any { return &request{done: make(chan struct{}, 1)} }},
		between:   make(chan func()),
		stopped:   make(chan struct{}),
	}
}

// Submit hands records in and returns when they are durable and applied, or
// refused as a whole. The records of one call go into one frame, so all of
// them are kept or none; only a call of more than about 4 MiB is cut into
// parts, and then an error comes with the Result of the parts that were kept.
// When ctx ends while the call still waits in the queue, nothing was kept; once
// the records are on their way to the disk, Submit waits for the outcome.
func (p *Pump) Submit(ctx context.Context, records []event.Record) (Result, error) {
	var sum Result
	for i := range records {
		if n := sizeBound(&records[i]); n > p.opt.maxCall() {
			return sum, fmt.Errorf("submit record %d of %d bytes: %w", i, n, ErrTooLarge)
		}
	}
	for len(records) > 0 {
		n, size := p.framed(records)
		res, err := p.submit(ctx, records[:n:n], size)
		sum.Accepted += res.Accepted
		sum.Duplicate += res.Duplicate
		if err != nil {
			return sum, err
		}
		records = records[n:]
	}
	return sum, nil
}

// submit is Submit of what fits into one frame.
func (p *Pump) submit(ctx context.Context, records []event.Record, size int) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	r := p.request(records, size)
	if err := p.queue.put(ctx, r); err != nil {
		p.recycle(r)
		return Result{}, err
	}
	return p.outcome(ctx, r)
}

// request prepares records of one frame for the queue.
func (p *Pump) request(records []event.Record, size int) *request {
	r := p.spare.Get().(*request)
	keys := r.keys[:0]
	for i := range records {
		keys = append(keys, p.identityOf(&records[i]))
	}
	r.begin(records, keys, size)
	return r
}

// identityOf is the identity of a record, the zero one where it has none.
func (p *Pump) identityOf(r *event.Record) identity {
	if r.Kind != event.KindEvent || r.Event.EventID == "" {
		return identity{}
	}
	return p.ids.identify(r.Event.EventID)
}

// outcome waits for what becomes of a queued request. When ctx ends while it
// still waits in the queue, it is withdrawn.
func (p *Pump) outcome(ctx context.Context, r *request) (Result, error) {
	select {
	case <-r.done:
	case <-ctx.Done():
		if r.state.CompareAndSwap(queued, withdrawn) {
			// The queue still refers to r, so it cannot be used again.
			r.records = nil
			return Result{}, ctx.Err()
		}
		<-r.done
	}
	res, err := r.res, r.err
	p.recycle(r)
	return res, err
}

func (p *Pump) recycle(r *request) {
	if r.batch != nil {
		r.keys = nil // they are the batch's
	}
	r.records, r.lane, r.batch = nil, nil, nil
	p.spare.Put(r)
}

// sizeBound is an upper bound of what a record takes in a frame: its text and
// 10 bytes for every number, of which the codec writes less than 24.
func sizeBound(r *event.Record) int {
	const numbers = 24 * 10
	if r.Kind == event.KindEvent {
		e := &r.Event
		return numbers + len(r.Source.Name) + len(e.UserID) + len(e.ItemID) + len(e.Type) + len(e.EventID) +
			len(e.SessionID) + len(e.RequestID) + len(e.Scene) + len(e.Currency) + len(e.Props)
	}
	it, u := &r.Item, &r.User
	n := numbers + len(r.Source.Name) + len(it.ID) + len(u.ID) + len(u.Into)
	if s := r.Served; s != nil {
		n += servedBound(s)
	}
	for _, list := range [...][]event.Attribute{it.Attributes, u.Attributes} {
		for i := range list {
			a := &list[i]
			n += 40 + len(a.Name) + len(a.Value.Str)
			for _, s := range a.Value.Set {
				n += 10 + len(s)
			}
		}
	}
	return n
}

// servedBound is what a served list adds to that.
func servedBound(s *event.Served) int {
	n := len(s.RequestID) + len(s.UserID) + len(s.List) + len(s.Subject) + len(s.Scene) + len(s.Source) + len(s.Reason) + len(s.Model)
	for _, plugin := range s.Plugins {
		n += 20 + len(plugin)
	}
	for i := range s.Items {
		n += 24 + len(s.Items[i].ID)
	}
	return n
}

// Seen seeds the dedup window with an event id that is in the state already.
// ts is when it arrived, in Unix milliseconds; 0 means not known and counts as
// now. It does nothing for the empty id and for one beyond the window.
func (p *Pump) Seen(eventID string, ts int64) {
	now := p.opt.Now().UnixMilli()
	if ts <= 0 || ts > now {
		ts = now
	}
	if eventID == "" || ts < now-p.opt.DedupWindow.Milliseconds() {
		return
	}
	p.ids.expire(now)
	p.ids.add(p.ids.identify(eventID), ts)
	p.remembered.Store(int64(p.ids.count))
}

// Passed seeds the position of a partition of a topic, the offset of the next
// record that is wanted of it, with what is in the state already.
func (p *Pump) Passed(place Place, next int64) { p.places.pass(place, next) }

// Begun seeds where a partition of a topic began to be read. It counts only where
// Replay comes to a frame that the log has lost, and nothing of the partition was
// before it: then all from there on is wanted again that comes not behind.
func (p *Pump) Begun(place Place, from int64) { p.places.begin(place, from) }

// Want seeds what an earlier life wanted again, as of a moment that was no earlier
// than the frame that Replay begins behind. It belongs behind Passed.
func (p *Pump) Want(h Hole) { p.places.want(&h) }

// Wanted lists what is wanted again, as of the frame seq: those behind it, which may
// be in the log already, are not reckoned with.
func (p *Pump) Wanted() (holes []Hole, seq uint64) { return p.places.wanted() }

// GiveUp wants nothing again of the partitions that of says, and tells what it was.
func (p *Pump) GiveUp(of func(Place) bool, why Why) []Hole {
	holes := p.places.giveUp(of)
	p.miss(holes, why)
	return holes
}

// Position is the offset of the next record that is wanted of a partition:
// what lies before it is in the log, or need not be, but for what was in a frame
// that the log has lost: that is wanted again. ok is false when nothing
// of the partition has come yet.
func (p *Pump) Position(place Place) (next int64, ok bool) { return p.places.position(place) }

// Replay reads the log from the sequence from (0 is the first) to its end,
// feeds the consumers and the dedup window with it, and sets the point from
// which Run appends. A log that does not hold all of that is a *GapError or
// an *AheadError.
func (p *Pump) Replay(ctx context.Context, from uint64) error {
	start := time.Now()
	if err := p.replay(ctx, from); err != nil {
		return fmt.Errorf("replay the bus from frame %d: %w", from, err)
	}
	level := slog.LevelInfo
	if p.replayed == 0 {
		level = slog.LevelDebug // nothing happened
	}
	p.opt.Log.Log(ctx, level, "bus replayed", logkey.First, from, logkey.Last, p.last,
		logkey.Rows, p.replayed, logkey.Seconds, time.Since(start).Seconds())
	return nil
}

// Stats tells the counts so far.
func (p *Pump) Stats() Stats {
	return Stats{
		Accepted: p.accepted.Load(), Duplicate: p.duplicate.Load(),
		Refused: p.refused.Load(), Failed: p.failed.Load(),
		Frames: p.frames.Load(), FrameBytes: p.frameBytes.Load(),
		Queued: p.queue.depth(), Remembered: int(p.remembered.Load()), Last: p.lastSeq.Load(), News: p.news.Load(),
	}
}
