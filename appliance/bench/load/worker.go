package load

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"runtime"
	"syscall"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// cancelEvery bounds how long a worker sleeps before it looks at its context
// and for answers that are overdue.
const cancelEvery = 50 * time.Millisecond

// drainShare of Duration is how long after the end of an open loop requests
// that are late may still be sent. What is left then counts as unsent.
const drainShare = 4

// worker is one thread of the generator: some connections and a share of the
// rate. Nothing in its loop allocates, so no collector stops it.
type worker struct {
	opt     *Options
	address netip.AddrPort
	poll    *poller
	conns   []conn
	// free are the connections without a request, longest free first; unused are
	// how many of the first ones were never used. Pools of connections use the one
	// that was used last, so that only as many are busy as there have to be.
	free   []int
	unused int
	// result counts, in Answered, only answers that came within Duration.
	result *Result

	// pace is the time from one request to the next, in ns; 0 is a closed loop.
	pace float64
	// All times are ns since start.
	start         time.Time
	measure, stop int64
	drained       int64 // when the last late request may be sent
	next          int64 // number of the next request
	first         int   // of Options.Requests
	answered      int64 // within Duration
	swept         int64 // when overdue answers were last looked for
	clear         bool  // connections were free and nothing due when it last sent
}

// conn is one connection with at most one request on its way.
type conn struct {
	fd       int
	busy     bool
	request  int
	due      int64
	sent     int64
	lag      int64
	freeAt   int64
	buf      []byte
	have     int
	measured bool
}

func newWorker(opt *Options, address netip.AddrPort, index int) (*worker, error) {
	w := &worker{opt: opt, address: address, result: newResult(0)}
	share := opt.Connections / opt.Workers
	if index < opt.Connections%opt.Workers {
		share++
	}
	if opt.Rate > 0 {
		w.pace = 1e9 * float64(opt.Workers) / opt.Rate
	}
	// Workers begin at different requests.
	w.first = index * len(opt.Requests) / opt.Workers
	var err error
	if w.poll, err = newPoller(share); err != nil {
		return nil, err
	}
	w.conns = make([]conn, share)
	for i := range w.conns { // all before any is opened: close takes 0 for standard input
		w.conns[i] = conn{fd: -1, buf: make([]byte, 16<<10)}
	}
	for i := range w.conns {
		if err := w.open(i); err != nil {
			w.close()
			return nil, err
		}
		w.free = append(w.free, i)
	}
	w.unused = share
	return w, nil
}

func newResult(offered float64) *Result {
	h := func() *hdrhistogram.Histogram { return hdrhistogram.New(histogramUnit, histogramMax, histogramDigits) }
	return &Result{Offered: offered, response: h(), service: h(), lag: h(), lessLag: h()}
}

func (r *Result) merge(o *Result) {
	r.Requests += o.Requests
	r.Answered += o.Answered
	r.Wrong += o.Wrong
	r.Lesser += o.Lesser
	r.Refused += o.Refused
	r.Failed += o.Failed
	r.Unsent += o.Unsent
	r.CPU += o.CPU
	r.Total += o.Total
	r.Achieved += o.Achieved
	if r.FirstFault == "" {
		r.FirstFault = o.FirstFault
	}
	r.response.Merge(o.response)
	r.service.Merge(o.service)
	r.lag.Merge(o.lag)
	r.lessLag.Merge(o.lessLag)
}

// open makes connection i anew.
func (w *worker) open(i int) error {
	c := &w.conns[i]
	fd, err := dial(w.address)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	c.fd, c.have = fd, 0
	if err := w.poll.add(fd, i); err != nil {
		return fmt.Errorf("watch connection: %w", err)
	}
	return nil
}

func (w *worker) close() {
	for i := range w.conns {
		if w.conns[i].fd >= 0 {
			_ = syscall.Close(w.conns[i].fd) // nothing is expected from it any more
			w.conns[i].fd = -1
		}
	}
	w.poll.close()
}

func (w *worker) now() int64 { return int64(time.Since(w.start)) }

// due is when a request is to be sent: the beginning of its burst.
func (w *worker) due(n int64) int64 {
	return int64(math.Floor(float64(n)*w.pace/float64(burst))) * int64(burst)
}

// run is the worker's loop, on a thread of its own so that its processor time
// can be told and its timers are exact.
func (w *worker) run(ctx context.Context, start time.Time) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	exactTimers()
	before := threadCPU()
	w.start = start
	w.measure = int64(w.opt.Warmup)
	w.stop = w.measure + int64(w.opt.Duration)
	w.drained = w.stop + int64(min(w.opt.Duration/drainShare, w.opt.Timeout))
	for {
		now := w.now()
		if err := w.send(now); err != nil {
			return err
		}
		if w.finished(now) {
			break
		}
		if now-w.swept > int64(cancelEvery) {
			w.swept = now
			if ctx.Err() != nil {
				return ctx.Err()
			}
			w.cutShort(now)
			if err := w.sweep(now); err != nil {
				return err
			}
		}
		ready, err := w.poll.wait(w.sleep())
		if err != nil {
			return fmt.Errorf("wait for answers: %w", err)
		}
		for _, i := range ready {
			if err := w.read(int(i)); err != nil {
				return err
			}
		}
	}
	w.abandon(w.now())
	w.result.CPU = threadCPU() - before
	w.result.Achieved = float64(w.answered) / time.Duration(max(w.stop-w.measure, 1)).Seconds()
	return nil
}

// cutShort ends the run now when it is told to.
func (w *worker) cutShort(now int64) {
	select {
	case <-w.opt.Until:
		if now < w.stop {
			w.stop, w.drained = now, now
		}
	default:
	}
}

// finished tells whether there is nothing left to send or to wait for.
func (w *worker) finished(now int64) bool {
	if now < w.stop {
		return false
	}
	if w.pace > 0 && w.due(w.next) < w.stop && now < w.drained {
		return false
	}
	return len(w.free) == len(w.conns) || now > w.stop+int64(w.opt.Timeout)
}

// sleep is how long nothing is due.
func (w *worker) sleep() time.Duration {
	if len(w.free) == 0 || w.pace == 0 {
		return cancelEvery
	}
	due := w.due(w.next)
	if due >= w.stop {
		return cancelEvery
	}
	return max(0, min(cancelEvery, time.Duration(due-w.now())))
}

// send sends what is due while connections are free.
func (w *worker) send(now int64) error {
	for len(w.free) > 0 {
		due := now
		if w.pace > 0 {
			due = w.due(w.next)
			if now > w.drained {
				return nil // abandon counts the rest
			}
		}
		if due > now || due >= w.stop || now < 0 {
			w.clear = true
			return nil
		}
		if err := w.sendOn(w.take(), due); err != nil {
			return err
		}
		now = w.now()
	}
	w.clear = false
	return nil
}

// take is a connection without a request: each once, as servers close those that
// say nothing, and from then on the one that was used last.
func (w *worker) take() int {
	at := len(w.free) - 1
	if w.unused > 0 {
		w.unused--
		at = w.unused
	}
	i := w.free[at]
	w.free = append(w.free[:at], w.free[at+1:]...)
	return i
}

func (w *worker) sendOn(i int, due int64) error {
	c := &w.conns[i]
	c.request = (w.first + int(w.next%int64(len(w.opt.Requests)))) % len(w.opt.Requests)
	w.next++
	c.busy, c.due, c.measured = true, due, due >= w.measure
	c.sent = w.now()
	w.result.Total++
	if c.measured {
		w.result.Requests++
		c.lag = c.sent - max(due, c.freeAt)
		record(w.result.lag, c.lag)
	}
	message := w.opt.Requests[c.request]
	// A request is far smaller than a socket's buffer, so that a write which
	// takes only part of it means that the connection is broken.
	if n, err := syscall.Write(c.fd, message); err != nil || n < len(message) {
		return w.fail(i, "send: "+orShort(err))
	}
	return nil
}

func orShort(err error) string {
	if err == nil {
		return "only a part was taken"
	}
	return err.Error()
}

// read takes what has come on a connection.
func (w *worker) read(i int) error {
	c := &w.conns[i]
	for {
		if c.have == len(c.buf) {
			if c.have >= maxAnswer {
				return w.fail(i, "the answer is too long")
			}
			c.buf = append(c.buf, make([]byte, len(c.buf))...)
		}
		n, err := syscall.Read(c.fd, c.buf[c.have:])
		switch {
		case errors.Is(err, syscall.EAGAIN):
			return nil
		case errors.Is(err, syscall.EINTR):
			continue
		case err != nil:
			return w.fail(i, "read: "+err.Error())
		case n == 0:
			return w.fail(i, "the server closed the connection")
		}
		c.have += n
		if !c.busy {
			return w.fail(i, "an answer came that nothing was asked for")
		}
		a, used, err := parse(c.buf[:c.have])
		switch {
		case err != nil:
			return w.fail(i, err.Error())
		case used == 0:
			continue
		case used < c.have:
			return w.fail(i, "more came than was asked for")
		}
		c.have = 0
		w.complete(c, &a)
		return w.release(i, a.close)
	}
}

// complete counts an answer.
func (w *worker) complete(c *conn, a *answer) {
	now := w.now()
	c.busy, c.freeAt = false, now
	right := true
	switch {
	case w.opt.Judge != nil:
		right = w.opt.Judge(Answer{c.request, a.status, a.body, time.Duration(now - c.due), c.measured})
		if !right && c.measured {
			w.result.Wrong++
			w.fault("request %d got status %d and %.80q", c.request, a.status, a.body)
		}
	case a.status != 200:
		right = false
		if c.measured {
			w.result.Refused++
			w.fault("request %d got status %d", c.request, a.status)
		}
	case w.opt.Check != nil:
		grade := w.opt.Check(c.request, a.body)
		right = grade == Right
		switch {
		case right || !c.measured:
		case grade == Lesser:
			w.result.Lesser++
		default:
			w.result.Wrong++
			w.fault("request %d got the wrong answer %.80q", c.request, a.body)
		}
	}
	if right && now >= w.measure && now < w.stop {
		w.answered++
	}
	if !c.measured {
		return
	}
	if right {
		w.result.Answered++
	}
	w.responded(c, now)
	record(w.result.service, now-c.sent)
}

// responded records how long a request took, to its answer or its failure.
func (w *worker) responded(c *conn, now int64) {
	record(w.result.response, now-c.due)
	record(w.result.lessLag, now-c.due-max(c.lag, 0))
}

// fail counts a request without an answer and makes its connection anew.
func (w *worker) fail(i int, why string) error {
	c := &w.conns[i]
	if c.busy {
		now := w.now()
		c.busy, c.freeAt = false, now
		if c.measured {
			w.result.Failed++
			w.fault("request %d: %s", c.request, why)
			w.responded(c, now)
		}
		return w.release(i, true)
	}
	// An idle connection that broke costs nobody anything.
	return w.reopen(i)
}

// release gives a connection back for the next request.
func (w *worker) release(i int, broken bool) error {
	if broken {
		if err := w.reopen(i); err != nil {
			return err
		}
	}
	w.free = append(w.free, i)
	return nil
}

func (w *worker) reopen(i int) error {
	_ = syscall.Close(w.conns[i].fd) // it is broken, or the server is done with it
	w.conns[i].fd = -1
	return w.open(i)
}

// sweep fails requests whose answers are overdue.
func (w *worker) sweep(now int64) error {
	for i := range w.conns {
		if c := &w.conns[i]; c.busy && now-c.sent > int64(w.opt.Timeout) {
			if err := w.fail(i, fmt.Sprintf("no answer within %s", w.opt.Timeout)); err != nil {
				return err
			}
		}
	}
	return nil
}

// abandon counts what is still on its way, and what was due and never sent,
// with the time it has waited so far.
func (w *worker) abandon(now int64) {
	for i := range w.conns {
		if c := &w.conns[i]; c.busy && c.measured {
			w.result.Failed++
			w.fault("request %d: no answer within %s", c.request, w.opt.Timeout)
			w.responded(c, now)
		}
	}
	if w.pace == 0 {
		return
	}
	for ; w.due(w.next) < w.stop; w.next++ {
		if due := w.due(w.next); due >= w.measure {
			w.result.Requests++
			w.result.Unsent++
			record(w.result.response, now-due)
			if w.clear {
				due = now // a connection was there, and the generator was not
			}
			record(w.result.lessLag, now-due)
		}
	}
}

func (w *worker) fault(format string, args ...any) {
	if w.result.FirstFault == "" {
		w.result.FirstFault = fmt.Sprintf(format, args...)
	}
}

func record(h *hdrhistogram.Histogram, ns int64) {
	_ = h.RecordValue(min(max(ns, 0), histogramMax)) // always within its range
}
