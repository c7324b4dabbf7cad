package bridge

import (
	"context"
	"sync"
	"sync/atomic"

	"vitrine/bridge/event"
)

// The life of a request. Only the goroutine that moves it out of queued may
// touch it from then on: the committer by taking it, the submitter by
// withdrawing it.
const (
	queued int32 = iota
	taken
	withdrawn
)

// request is one Submit call, or a part of a very large one.
type request struct {
	records []event.Record
	// keys are the identities of the records, by index; the zero identity
	// means that the record has none.
	keys []identity
	// size is an upper bound of what the records take in a frame.
	size  int
	state atomic.Int32
	// done takes one token when the result stands.
	done chan struct{}
	// lane is that of the request, nil for one that stands alone.
	lane *Lane
	// batch is what its sender has made ready of it; nil where that was not done.
	batch *portion
	res   Result
	err   error
}

// begin makes it one of these records.
func (r *request) begin(records []event.Record, keys []identity, size int) {
	r.records, r.keys, r.size, r.res, r.err = records, keys, size, Result{}, nil
	r.state.Store(queued)
}

// answer hands the result to the submitter, after which the request is his.
func (r *request) answer(err error) {
	r.err = err
	if err != nil {
		r.res = Result{}
		r.spoil(err)
	}
	r.done <- struct{}{}
}

// spoil makes what comes behind r on its lane fail too.
func (r *request) spoil(err error) {
	if r.lane != nil && r.lane.broken == nil {
		r.lane.broken = err
	}
}

// queue holds the requests that wait for the committer: first come, first
// served, bounded by their number of records.
type queue struct {
	mu      sync.Mutex
	waiting []*request
	head    int
	records int
	limit   int
	closed  error
	// ready has a token when there may be news for the committer.
	ready chan struct{}
	// space is closed when a full queue has room again, or is closed itself.
	space   chan struct{}
	blocked bool
}

func newQueue(limit int) *queue {
	return &queue{limit: limit, ready: make(chan struct{}, 1), space: make(chan struct{})}
}

// put appends r, waiting for room until ctx ends. A queue below its limit
// takes a request of any size: so a big one cannot starve behind small ones,
// and the bound is exceeded by one request at most.
func (q *queue) put(ctx context.Context, r *request) error {
	for {
		q.mu.Lock()
		if q.closed != nil {
			q.mu.Unlock()
			return q.closed
		}
		if q.records < q.limit {
			q.waiting = append(q.waiting, r)
			q.records += len(r.records)
			q.mu.Unlock()
			q.wake()
			return nil
		}
		q.blocked = true
		space := q.space
		q.mu.Unlock()
		select {
		case <-space:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// next takes the oldest request if its size is at most maxSize; nil means
// that there is none to take now.
func (q *queue) next(maxSize int) *request {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.head < len(q.waiting) {
		r := q.waiting[q.head]
		if r.size > maxSize {
			return nil
		}
		q.waiting[q.head] = nil
		q.head++
		if q.head == len(q.waiting) {
			q.waiting, q.head = q.waiting[:0], 0
		}
		// The count must not be read after the take: a withdrawn request has
		// lost its records, but its identities stay.
		q.records -= len(r.keys)
		if q.blocked && q.records < q.limit {
			q.release()
		}
		if r.state.CompareAndSwap(queued, taken) {
			return r
		}
		r.spoil(errWithdrawn)
	}
	return nil
}

// end closes the queue with the reason that later callers get. What is in it
// stays to be taken.
func (q *queue) end(reason error) {
	q.mu.Lock()
	if q.closed == nil {
		q.closed = reason
	}
	q.release()
	q.mu.Unlock()
	q.wake()
}

// ended tells whether nothing is left and nothing can come.
func (q *queue) ended() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed != nil && q.head == len(q.waiting)
}

// depth is the number of records that wait.
func (q *queue) depth() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.records
}

// release lets the blocked callers try again; the lock is held.
func (q *queue) release() {
	close(q.space)
	q.space = make(chan struct{})
	q.blocked = false
}

func (q *queue) wake() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}
