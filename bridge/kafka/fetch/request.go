package fetch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// request is a fetch, of the last version that goes by names where the cluster has
// no ids.
type request struct {
	*kmsg.FetchRequest
	named bool
}

// lastNamed is the last version of fetches that names topics.
const lastNamed = 12

// MaxVersion is what the client asks before it settles on a version.
func (r *request) MaxVersion() int16 {
	if r.named {
		return lastNamed
	}
	return r.FetchRequest.MaxVersion()
}

// Timeout is how long the broker may wait, for the client's deadline.
func (r *request) Timeout() int32 { return r.MaxWaitMillis }

// due is a partition to ask for, and the epoch of its leader.
type due struct {
	*cursor
	leaderEpoch int32
}

// wanted is a partition of a request, as it was when that was made.
type wanted struct {
	*cursor
	life   uint64
	offset int64
	got    bool
}

// request asks a broker for partitions, unless it is asked or has answered and
// nobody took it. f.mu is held.
func (f *Fetcher) request(ctx context.Context, underWay *sync.WaitGroup, leader int32, list []due) {
	l := f.links[leader]
	if l == nil {
		l = &link{}
		f.links[leader] = l
	}
	if l.cancel != nil || l.ready {
		return
	}
	slices.SortFunc(list, func(a, b due) int {
		return cmp.Or(cmp.Compare(a.turn, b.turn), cmp.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
	})
	req := &request{FetchRequest: kmsg.NewPtrFetchRequest()}
	req.MaxWaitMillis, req.MinBytes, req.IsolationLevel, req.SessionEpoch = int32(f.opt.MaxWait.Milliseconds()), 1, 1, -1
	req.MaxBytes = max(f.opt.PartitionBytes, f.opt.MaxBytes/int32(max(1, len(f.links)/2)))
	asked := map[place]*wanted{}
	for _, c := range list {
		c.busy, c.asked = true, leader
		asked[c.place] = &wanted{cursor: c.cursor, life: c.life.Load(), offset: c.offset}
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes, p.CurrentLeaderEpoch = c.partition, c.offset, f.opt.PartitionBytes, c.leaderEpoch
		// A broker fills its answer in the order of the request, so a topic comes in it
		// as often as others are between its partitions.
		at := len(req.Topics) - 1
		if at < 0 || req.Topics[at].Topic != c.topic {
			at++
			t := kmsg.NewFetchRequestTopic()
			t.Topic, t.TopicID = c.topic, f.opt.Topics[c.topic]
			req.named = req.named || t.TopicID == [16]byte{}
			req.Topics = append(req.Topics, t)
		}
		req.Topics[at].Partitions = append(req.Topics[at].Partitions, p)
	}
	ctx, l.cancel = context.WithCancel(ctx)
	l.since = time.Now()
	underWay.Go(func() { f.exchange(ctx, leader, l, req, asked) })
}

// exchange sends a request and takes what comes of it.
func (f *Fetcher) exchange(ctx context.Context, leader int32, l *link, req *request, asked map[place]*wanted) {
	resp, err := f.opt.Client.Broker(int(leader)).Request(ctx, req)
	var batches []*Batch
	var told []func() // under the lock
	if err == nil {
		answer := resp.(*kmsg.FetchResponse)
		if err = kerr.ErrorForCode(answer.ErrorCode); err == nil {
			batches, told = f.take(answer, asked)
		}
	}
	defer f.tell()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, tell := range told {
		tell()
	}
	switch moved := ctx.Err() != nil; {
	case err == nil:
		l.fails = 0
	case strings.Contains(err.Error(), "BrokerMaxReadBytes"):
		f.fail(fmt.Errorf("read from broker %d: %w", leader, err))
	case !moved:
		l.fails++
		f.opt.Client.ForceMetadataRefresh()
	}
	for _, w := range asked {
		w.busy = false
		if !w.got && ctx.Err() == nil && w.life == w.cursor.life.Load() {
			w.fails = max(w.fails, l.fails-1)
			w.since = time.Time{} // nobody has said anything of the partition
			f.later(w.cursor)
		}
	}
	l.cancel()
	l.cancel = nil
	if len(batches) > 0 {
		l.ready = true
		f.ready = append(f.ready, answer{l, batches})
		signal(f.news)
	}
	signal(f.wake)
}

// take reads an answer; what it tells of the cursors is for when f.mu is held.
func (f *Fetcher) take(resp *kmsg.FetchResponse, asked map[place]*wanted) (batches []*Batch, told []func()) {
	names := map[[16]byte]string{}
	for name, id := range f.opt.Topics {
		names[id] = name
	}
	for i := range resp.Topics {
		t := &resp.Topics[i]
		if resp.Version > lastNamed {
			t.Topic = names[t.TopicID]
		}
		for n := range t.Partitions {
			p := &t.Partitions[n]
			w := asked[place{t.Topic, p.Partition}]
			if w == nil || w.got {
				continue // it was not asked for, or came twice
			}
			w.got = true
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				told = append(told, func() { f.refused(w, err) })
				continue
			}
			got, next, err := f.opt.Reader.Batches(t.Topic, p, w.offset)
			for _, b := range got {
				b.from, b.life = w.cursor, w.life
			}
			batches = append(batches, got...)
			told = append(told, func() { f.came(w, p, got, next, err) })
		}
	}
	return batches, told
}

// came notes what came of a partition. f.mu is held.
func (f *Fetcher) came(w *wanted, p *kmsg.FetchResponseTopicPartition, got []*Batch, next int64, err error) {
	c := w.cursor
	switch {
	case c.life.Load() != w.life:
		return
	case len(got) > 0:
		f.turn++
		f.served(c)
		c.offset, c.turn = next, f.turn
		if last := got[len(got)-1].Epoch; last >= 0 {
			c.epoch = last
		}
	case err != nil:
		f.note(c, err, true)
		f.later(c)
	case len(p.RecordBatches) > 0:
		f.note(c, errNothing, false)
		f.later(c) // asking at once would bring the same
	default:
		f.served(c)
	}
}

// errNothing is the error of an answer that has bytes of a partition and no batch.
var errNothing = errors.New("the broker answers with less than a batch")

// refused notes that a broker does not answer for a partition. f.mu is held.
func (f *Fetcher) refused(w *wanted, err error) {
	c := w.cursor
	if c.life.Load() != w.life {
		return
	}
	if err == kerr.OffsetOutOfRange {
		c.reset = true
		return
	}
	f.note(c, err, !retriable(err))
	f.later(c)
	f.opt.Client.ForceMetadataRefresh()
}
