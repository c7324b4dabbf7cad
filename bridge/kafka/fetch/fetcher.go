package fetch

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Start is the offset at which a partition begins, whichever that is.
const Start = -2

// Options of a Fetcher; all are needed.
type Options struct {
	// Client has the connections and knows the leaders. It consumes the topics,
	// and its own fetching of them is paused.
	Client *kgo.Client
	// Topics are the ids of the topics by their names, zero where the cluster has
	// no ids.
	Topics map[string][16]byte
	// Reader takes answers apart.
	Reader *Reader
	// MaxBytes bounds an answer of a broker, PartitionBytes what is in it of a
	// partition; a larger batch comes alone. MaxWait is how long a broker waits
	// for something to answer.
	MaxBytes, PartitionBytes int32
	MaxWait                  time.Duration
	// Backoff is how long to wait after so many failures.
	Backoff func(fails int) time.Duration
	// Lost is told when reading cannot go on where it was: the cluster has dropped
	// records, or lost some that were read.
	Lost func(Loss)
	// Stuck is told of a partition that cannot be read from the offset on, while the
	// others are; and with a nil error when it can be again. An error that may pass is
	// told when it has lasted for Patience.
	Stuck    func(topic string, partition int32, offset int64, err error)
	Patience time.Duration
}

// Loss is a jump of the position of a partition.
type Loss struct {
	Topic     string
	Partition int32
	// From is where reading would have gone on, To where it does.
	From, To int64
	// Dropped tells that the partition begins behind From by now; else it ended
	// before From.
	Dropped bool
	// Gone are how many offsets have lost their records: the first ones from From on
	// when they were dropped, else the last ones before it.
	Gone int64
}

// place is a partition of a topic.
type place struct {
	topic     string
	partition int32
}

// cursor is where a partition is read. The Fetcher's mu guards all but life, which
// changes with it held.
type cursor struct {
	place
	// life is another one when the position was set, or the partition is gone.
	life atomic.Uint64
	// offset is where the next request begins; Start is to be looked up.
	offset int64
	// epoch is that of the last batch, checked the one of the leader that was
	// asked whether it has that batch; -1 is none.
	epoch, checked int32
	// busy tells that a request has it, of the broker asked. What comes of a
	// request of an earlier life does not count.
	busy  bool
	asked int32
	// reset tells that the broker has no such offset.
	reset bool
	// Nothing is asked before after, which is in the future behind failures.
	after time.Time
	fails int
	// since is when a broker first had an error in its place, zero when it had none
	// last; stuck tells that Stuck was told of it.
	since time.Time
	stuck bool
	// turn is when it last had records: who waits longest is first.
	turn uint64
}

// link is what is under way with a broker: one request at most, and one answer
// that nobody has taken.
type link struct {
	cancel context.CancelFunc // of the request; nil without one
	since  time.Time
	ready  bool
	fails  int
}

// answer is what came of a request.
type answer struct {
	from    *link
	batches []*Batch
}

// Fetcher reads partitions, each from where it was set.
type Fetcher struct {
	opt   Options
	admin *kadm.Client

	mu      sync.Mutex
	cursors map[place]*cursor
	links   map[int32]*link
	ready   []answer
	turn    uint64
	err     error
	// told is what is to be told when mu is not held; telling says that somebody does.
	told    []func()
	telling bool

	// wake has a token when there may be something to ask for, news when there is
	// an answer or an error.
	wake, news chan struct{}
}

// New makes one that reads nothing yet.
func New(opt Options) *Fetcher {
	return &Fetcher{
		opt: opt, admin: kadm.NewClient(opt.Client), cursors: map[place]*cursor{}, links: map[int32]*link{},
		wake: make(chan struct{}, 1), news: make(chan struct{}, 1),
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Set reads a partition from the offset on. What was read of it before is stale.
func (f *Fetcher) Set(topic string, partition int32, offset int64) {
	f.set(topic, partition, offset, true)
}

// Back is Set for a partition that is read, and nothing for another.
func (f *Fetcher) Back(topic string, partition int32, offset int64) {
	f.set(topic, partition, offset, false)
}

func (f *Fetcher) set(topic string, partition int32, offset int64, add bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := place{topic, partition}
	c := f.cursors[at]
	switch {
	case c == nil && !add:
		return
	case c == nil:
		c = &cursor{place: at}
		f.cursors[at] = c
	}
	c.life.Add(1)
	c.offset, c.epoch, c.checked, c.reset, c.after, c.fails = offset, -1, -1, false, time.Time{}, 0
	signal(f.wake)
}

// Last asks for a partition behind all others, whose records then come before its own.
func (f *Fetcher) Last(topic string, partition int32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.cursors[place{topic, partition}]; c != nil {
		f.turn++
		c.turn = f.turn
	}
}

// Drop reads a partition no more.
func (f *Fetcher) Drop(topic string, partition int32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.cursors[place{topic, partition}]; c != nil {
		c.life.Add(1)
		delete(f.cursors, c.place)
	}
}

// Next waits for what a broker answers. An error is that of a partition which
// cannot be read on without more ado; it comes again.
func (f *Fetcher) Next(ctx context.Context) ([]*Batch, error) {
	for {
		f.mu.Lock()
		if len(f.ready) > 0 {
			first := f.ready[0]
			f.ready[0] = answer{}
			f.ready = f.ready[1:]
			first.from.ready = false
			f.mu.Unlock()
			signal(f.wake)
			return first.batches, nil
		}
		err := f.err
		f.mu.Unlock()
		if err != nil {
			return nil, err
		}
		select {
		case <-f.news:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Run asks the brokers until ctx ends, and returns when nothing is under way.
func (f *Fetcher) Run(ctx context.Context) {
	var underWay sync.WaitGroup
	defer underWay.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		timer.Reset(f.ask(ctx, &underWay))
		f.tell()
		select {
		case <-f.wake:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}

// lookAgain is how often what nobody tells of is looked after: leaders that
// change, and requests that hang.
const lookAgain = 250 * time.Millisecond

// errNoLeader is the error of a partition whose replicas are all away.
var errNoLeader = errors.New("no broker leads it")

// ask sends what there is to ask for, and says when to look again.
func (f *Fetcher) ask(ctx context.Context, underWay *sync.WaitGroup) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	now, wait := time.Now(), lookAgain
	unknown := false
	by := map[int32][]due{}
	for _, c := range f.cursors {
		leader, epoch, err := f.opt.Client.PartitionLeader(c.topic, c.partition)
		known := err == nil && leader >= 0
		switch {
		case c.busy:
			if l := f.links[c.asked]; known && leader != c.asked && l != nil && l.cancel != nil {
				l.cancel() // by the old leader, who may be silent
			}
		case now.Before(c.after):
			wait = min(wait, c.after.Sub(now))
		case !known:
			unknown = true
			f.note(c, errNoLeader, false)
		case c.offset < 0 || c.reset || c.epoch >= 0 && epoch > c.checked && epoch > c.epoch:
			c.busy, c.asked = true, -1
			underWay.Go(func() { f.repair(ctx, c, c.life.Load(), epoch) })
		default:
			by[leader] = append(by[leader], due{c, epoch})
		}
	}
	for _, l := range f.links {
		unknown = unknown || l.cancel != nil && now.Sub(l.since) > f.opt.MaxWait+time.Second
	}
	if unknown {
		f.opt.Client.ForceMetadataRefresh()
	}
	for leader, list := range by {
		f.request(ctx, underWay, leader, list)
	}
	return max(wait, time.Millisecond)
}

// fail ends the reading with an error. f.mu is held.
func (f *Fetcher) fail(err error) {
	if f.err == nil {
		f.err = err
	}
	signal(f.news)
}

// later puts off a cursor that could not be read, and no other. f.mu is held.
func (f *Fetcher) later(c *cursor) {
	c.fails++
	c.after = time.Now().Add(f.opt.Backoff(c.fails))
}

// note notes why a cursor cannot be read, and tells it when that is for good or lasts.
// f.mu is held.
func (f *Fetcher) note(c *cursor, err error, forGood bool) {
	now := time.Now()
	if c.since.IsZero() {
		c.since = now
	}
	if !c.stuck && (forGood || now.Sub(c.since) >= f.opt.Patience) {
		c.stuck = true
		offset := c.offset
		f.told = append(f.told, func() { f.opt.Stuck(c.topic, c.partition, offset, err) })
	}
}

// served notes that a broker has answered for a cursor. f.mu is held.
func (f *Fetcher) served(c *cursor) {
	c.fails, c.since = 0, time.Time{}
	if c.stuck {
		c.stuck = false
		offset := c.offset
		f.told = append(f.told, func() { f.opt.Stuck(c.topic, c.partition, offset, nil) })
	}
}

// tell tells what there is to tell, in its order: that a partition is read again must
// not come before that it is not. f.mu is not held.
func (f *Fetcher) tell() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.telling {
		return // who does comes to this, too
	}
	f.telling = true
	for len(f.told) > 0 {
		tell := f.told[0]
		f.told = f.told[1:]
		f.mu.Unlock()
		tell()
		f.mu.Lock()
	}
	f.told, f.telling = nil, false
}
