package admit

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

// tryEvery is how often a byte is sent to find out how long it stays unread.
const tryEvery = 10 * time.Millisecond

// unread is how long what comes in lies unread. Go asks its poller for
// connections that have something only when no goroutine is ready to run, and
// then for 128 of them at a time: with a thousand requests in the sockets, 128
// wait within this program and all others where it cannot see them. So a byte is
// written to a pipe now and then, which lies in the poller's queue behind the
// requests that have come before it, and the time until it is read is theirs.
type unread struct {
	pipe atomic.Pointer[os.File]
	// sent is when the byte that is on its way was written, 0 while none is;
	// last is when the one before was written, and took how long it stayed.
	sent, last, took atomic.Int64
}

// wait is how long a request that is read at now lay unread, and sends a byte
// where the last is some time ago.
func (u *unread) wait(now time.Duration) time.Duration {
	pipe := u.pipe.Load()
	if pipe == nil {
		return 0
	}
	took := time.Duration(u.took.Load())
	if sent := u.sent.Load(); sent != 0 {
		return max(took, now-time.Duration(sent))
	}
	if last := u.last.Load(); int64(now) >= last+int64(tryEvery) && u.sent.CompareAndSwap(0, int64(now)) {
		u.last.Store(int64(now))
		// A byte that cannot be written is one that is never read.
		if _, err := pipe.Write([]byte{0}); err != nil {
			u.sent.Store(0)
		}
	}
	return took
}

// Watch lets the gate know how long requests lie unread, until ctx ends.
func (g *Gate) Watch(ctx context.Context) error {
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("open a pipe to see how long requests lie unread: %w", err)
	}
	defer w.Close()
	defer r.Close()
	defer context.AfterFunc(ctx, func() { r.Close() })()
	g.unread.pipe.Store(w)
	defer g.unread.pipe.Store(nil)
	var one [1]byte
	for {
		if _, err := r.Read(one[:]); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("see how long requests lie unread: %w", err)
		}
		g.unread.took.Store(int64(g.now()) - g.unread.sent.Load())
		g.unread.sent.Store(0)
	}
}
