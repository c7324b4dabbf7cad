// Package publish writes users' lists where a shop reads them without asking:
// into the Redis of the article, under the article's keys.
//
// It owns which lists are written when: those of users who have done something,
// within a second or two, and those of all others once in a while and after each
// new model. How a list is made and what it is written to belong to others. It
// imports bridge/redis for its entries, bridge/event, appliance/scrape, internal/logkey
// and internal/pause.
package publish

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"vitrine/bridge/event"
	"vitrine/bridge/redis"
	"vitrine/internal/logkey"
	"vitrine/internal/pause"
)

// Store is what lists are written to.
type Store interface {
	Put(ctx context.Context, entries []redis.Entry, ttl time.Duration) error
	Close() error
}

// Options say where lists are written. All but Log are needed.
type Options struct {
	Store Store
	// Name is the store's address in messages.
	Name string
	// Key is the key of a user's list, with IDMark for his id.
	Key string
	// TTL is how long a list lives that is not written again.
	TTL time.Duration
	Log *slog.Logger
}

// IDMark stands for the user's id in Options.Key.
const IDMark = "{id}"

// Source is where lists come from.
type Source struct {
	// Users is the number of codes of users; User gives the id of one, ok where
	// he has a history.
	Users func() int
	User  func(code uint32) (id string, ok bool)
	// Lists makes the lists of some users when there is time for them, and gives
	// each, which is the publisher's: without items where he is not known, and with
	// what went wrong with his. Its own error ends the publishing.
	Lists func(ctx context.Context, ids []string, give func(id string, items []string, err error)) error
}

const (
	// batchUsers are written in one turn, within the time putTimeout.
	batchUsers = 200
	putTimeout = 5 * time.Second
	// maxWaiting bounds the users who wait: what is beyond comes with all others.
	maxWaiting = 1 << 17
	// idlePause is how long nothing is done when nobody waits; the lists of who is
	// quick to do more are then made once.
	idlePause = 500 * time.Millisecond
	// retryPause is that between two tries to reach the store.
	retryPause = time.Second
	// remindEvery is how often the log repeats an error that stays.
	remindEvery = 5 * time.Minute
)

// Publisher writes lists. Its methods may be called from several goroutines.
type Publisher struct {
	opt Options

	mu sync.Mutex
	// waiting are users whose lists have changed.
	waiting map[string]struct{}
	// next is the code of the user whom the round through all of them is at;
	// behind the last one it waits until due, or for again.
	next  uint32
	due   time.Time
	again bool
	// beside counts who else writes lists now, and acted are the users whose lists
	// have changed since the first of them began, up to maxWaiting.
	beside int
	acted  map[string]struct{}

	written, removed, failures atomic.Int64
	failing                    atomic.Bool
}

// New prepares a publisher; nothing is written until Run.
func New(opt Options) *Publisher {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	return &Publisher{opt: opt, waiting: map[string]struct{}{}}
}

// Apply implements bridge.Consumer: it notes whose lists have changed.
func (p *Publisher) Apply(_ uint64, records []event.Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range records {
		switch r := &records[i]; r.Kind {
		case event.KindEvent:
			p.note(r.Event.UserID)
		case event.KindUserErase:
			p.note(r.User.ID)
		case event.KindUserMerge:
			p.note(r.User.ID)
			p.note(r.User.Into)
		}
	}
}

// note lets a user wait. The caller holds mu.
func (p *Publisher) note(user string) {
	if _, there := p.acted[user]; p.beside > 0 && !there && len(p.acted) <= maxWaiting {
		p.acted[strings.Clone(user)] = struct{}{}
	}
	if _, there := p.waiting[user]; there {
		return
	}
	if len(p.waiting) >= maxWaiting {
		p.again = true
		return
	}
	// A copy: the text may be a part of a request's body.
	p.waiting[strings.Clone(user)] = struct{}{}
}

// Changed says that all lists may have changed, as with a new model.
func (p *Publisher) Changed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.again = true
}

// Run writes lists until ctx ends, and returns ctx.Err(). At most half of a core
// is taken.
func (p *Publisher) Run(ctx context.Context, src Source) error {
	var users []string
	var told time.Time
	for {
		users = p.take(src, users[:0])
		if len(users) == 0 {
			if err := pause.For(ctx, idlePause); err != nil {
				return err
			}
			continue
		}
		began := time.Now()
		err := p.write(ctx, src, users)
		rest := min(time.Since(began), putTimeout) // what took longer was no work
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			rest = retryPause
			p.giveBack(users)
			p.failures.Add(1)
			p.failing.Store(true)
			if time.Since(told) > remindEvery {
				told = time.Now()
				p.opt.Log.Error("lists cannot be published; they wait, and answers go on; trying again", logkey.Address, p.opt.Name, logkey.Error, err,
					logkey.Hint, "look at redis.address, redis.user and redis.password_file, and at whether the server runs")
			}
		case p.failing.Swap(false):
			told = time.Time{}
			p.opt.Log.Info("lists are published again", logkey.Address, p.opt.Name)
		}
		if err := pause.For(ctx, rest); err != nil {
			return err
		}
	}
}

// take appends users whose lists are to be written: who waits, and then the next
// ones of the round.
func (p *Publisher) take(src Source, users []string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for user := range p.waiting {
		if len(users) == batchUsers {
			return users
		}
		delete(p.waiting, user)
		users = append(users, user)
	}
	all := uint32(src.Users())
	if p.again || !time.Now().Before(p.due) {
		// So soon that no list's time is up before the round comes to it.
		p.next, p.again, p.due = 0, false, time.Now().Add(p.opt.TTL/2)
	}
	for ; p.next < all && len(users) < batchUsers; p.next++ {
		if id, ok := src.User(p.next); ok {
			users = append(users, id)
		}
	}
	return users
}

// Beside says that another writes lists, too, until it calls end: what it writes of
// somebody who does something meanwhile may be older than what is written here, so
// his list is written once more afterwards.
func (p *Publisher) Beside() (end func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.beside++; p.acted == nil {
		p.acted = map[string]struct{}{}
	}
	// The last lists are on their way when the other has all of them.
	return func() { time.AfterFunc(putTimeout, p.alone) }
}

// alone is the end of one who writes beside.
func (p *Publisher) alone() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.beside--; p.beside > 0 {
		return
	}
	acted := p.acted
	p.acted = nil
	if p.again = p.again || len(acted) > maxWaiting; p.again {
		return // all lists are written anew
	}
	for user := range acted {
		p.note(user)
	}
}

// giveBack lets users wait again, those of the round too.
func (p *Publisher) giveBack(users []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, user := range users {
		p.note(user)
	}
}

// write makes and writes the lists of some users. One whose list takes too long
// waits again, and who has none for another reason keeps what is there.
func (p *Publisher) write(ctx context.Context, src Source, users []string) error {
	lists := make([]List, 0, len(users))
	err := src.Lists(ctx, users, func(user string, items []string, err error) {
		if err == nil {
			lists = append(lists, List{user, items})
			return
		}
		if errors.Is(err, context.DeadlineExceeded) {
			p.giveBack([]string{user})
		}
		p.opt.Log.Debug("a list was not made for publishing", logkey.Error, err)
	})
	if err != nil {
		return err
	}
	return p.Put(ctx, lists)
}

// List is a user's list, best first; one without items takes what is there away.
type List struct {
	User  string
	Items []string
}

// PutAtOnce is how many lists one Put should have: so many are on their way
// together.
const PutAtOnce = batchUsers

// Put writes lists as they are.
func (p *Publisher) Put(ctx context.Context, lists []List) error {
	entries := make([]redis.Entry, len(lists))
	removed := 0
	for i, l := range lists {
		if len(l.Items) == 0 {
			removed++
		}
		entries[i] = redis.Entry{Key: strings.ReplaceAll(p.opt.Key, IDMark, l.User), Text: strings.Join(l.Items, ",")}
	}
	put, cancel := context.WithTimeout(ctx, putTimeout)
	defer cancel()
	if err := p.opt.Store.Put(put, entries, p.opt.TTL); err != nil {
		return err
	}
	p.written.Add(int64(len(entries) - removed))
	p.removed.Add(int64(removed))
	return nil
}

// Close lets go of the store, when nothing is written any more.
func (p *Publisher) Close() error { return p.opt.Store.Close() }
