package publish

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/bridge/event"
	"vitrine/bridge/redis"
)

// shelf is a store in memory that counts what is written.
type shelf struct {
	mu    sync.Mutex
	texts map[string]string
	puts  map[string]int
	ttl   time.Duration
	fail  error
}

func (s *shelf) Put(_ context.Context, entries []redis.Entry, ttl time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	s.ttl = ttl
	for _, e := range entries {
		s.puts[e.Key]++
		if s.texts[e.Key] = e.Text; e.Text == "" {
			delete(s.texts, e.Key)
		}
	}
	return nil
}

func (s *shelf) Close() error { return nil }

func (s *shelf) set(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

// times is how often something was written under a key.
func (s *shelf) times(key string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.puts[key]
}

func (s *shelf) life() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ttl
}

func (s *shelf) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, key := range slices.Sorted(maps.Keys(s.texts)) {
		out = append(out, key+"="+s.texts[key])
	}
	return strings.Join(out, " ")
}

// shop has users whose list is a number of items.
type shop struct {
	mu    sync.Mutex
	ids   []string
	items map[string]int
	slow  map[string]bool
}

func (s *shop) source() Source {
	return Source{
		Users: func() int { return len(s.ids) },
		User: func(code uint32) (string, bool) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.ids[code], s.items[s.ids[code]] > 0
		},
		Lists: func(ctx context.Context, ids []string, give func(string, []string, error)) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, id := range ids {
				if s.slow[id] {
					s.slow[id] = false
					give(id, nil, context.DeadlineExceeded)
					continue
				}
				var items []string
				for n := range s.items[id] {
					items = append(items, fmt.Sprint(n+1))
				}
				give(id, items, nil)
			}
			return ctx.Err()
		},
	}
}

func (s *shop) set(id string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.items[id] = n
}

func click(user string) []event.Record {
	return []event.Record{{Kind: event.KindEvent, Event: event.Event{UserID: user}}}
}

// TestPublisher lets everything happen that changes lists.
func TestPublisher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &shelf{texts: map[string]string{}, puts: map[string]int{}}
		users := &shop{ids: []string{"a", "b", "new"}, items: map[string]int{"a": 2, "b": 1}, slow: map[string]bool{}}
		p := New(Options{Store: store, Key: "u:{id}", TTL: time.Hour})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- p.Run(ctx, users.source()) }()
		within := func(d time.Duration, what, want string) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			if got := store.text(); got != want {
				t.Errorf("%s: %q, want %q", what, got, want)
			}
		}
		within(time.Second, "at the start", "u:a=1,2 u:b=1")
		if got := store.life(); got != time.Hour {
			t.Errorf("lists live for %v", got)
		}
		users.set("b", 3)
		p.Apply(1, click("b"))
		within(time.Second, "after an event", "u:a=1,2 u:b=1,2,3")
		if got := store.times("u:a"); got != 1 {
			t.Errorf("the list that did not change was written %d times", got)
		}
		users.set("a", 0)
		users.set("new", 1)
		p.Apply(2, []event.Record{{Kind: event.KindUserMerge, User: event.User{ID: "a", Into: "new"}}})
		within(time.Second, "after a merge", "u:b=1,2,3 u:new=1")
		users.set("b", 0)
		p.Apply(3, []event.Record{{Kind: event.KindUserErase, User: event.User{ID: "b"}}, {Kind: event.KindItemPut}})
		within(time.Second, "after an erasure", "u:new=1")
		users.set("new", 2)
		p.Changed()
		within(time.Second, "after a new model", "u:new=1,2")
		users.slow["new"] = true
		users.set("new", 3)
		p.Apply(4, click("new"))
		within(2*time.Second, "a list that was late at first", "u:new=1,2,3")
		before := store.times("u:new")
		within(31*time.Minute, "in half of the time that lists live", "u:new=1,2,3")
		if got := store.times("u:new") - before; got != 1 {
			t.Errorf("written %d times in that time", got)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// TestHaltIsNoWork: where the machine stood still while lists were written, the
// next ones do not wait for as long.
func TestHaltIsNoWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &shelf{texts: map[string]string{}, puts: map[string]int{}}
		users := &shop{ids: []string{"a"}, items: map[string]int{"a": 1}, slow: map[string]bool{}}
		p := New(Options{Store: store, Key: "{id}", TTL: 10 * time.Hour})
		source := users.source()
		lists, halt := source.Lists, time.Hour
		source.Lists = func(ctx context.Context, ids []string, give func(string, []string, error)) error {
			time.Sleep(halt)
			halt = 0
			return lists(ctx, ids, give)
		}
		go func() { _ = p.Run(t.Context(), source) }()
		time.Sleep(time.Hour + time.Second)
		users.set("a", 2)
		p.Apply(1, click("a"))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := store.text(); got != "a=1,2" {
			t.Errorf("ten seconds behind the halt: %q", got)
		}
	})
}

// TestStoreAway: users wait while nothing can be written, so many and no more, and
// none is forgotten.
func TestStoreAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &shelf{texts: map[string]string{}, puts: map[string]int{}, fail: errors.New("no connection")}
		users := &shop{ids: []string{"a", "beyond"}, items: map[string]int{"a": 1, "beyond": 2}, slow: map[string]bool{}}
		p := New(Options{Store: store, Key: "{id}", TTL: time.Hour})
		go func() { _ = p.Run(t.Context(), users.source()) }()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if got := p.Figures(); got[2].Value < 3 || got[3].Value != 1 || got[4].Value != 2 {
			t.Errorf("figures %+v", got)
		}
		for n := range maxWaiting {
			p.Apply(1, click(fmt.Sprint("visitor-", n)))
		}
		users.set("beyond", 3)
		p.Apply(2, click("beyond"))
		if got := p.Figures()[4].Value; got > maxWaiting {
			t.Errorf("%v wait", got)
		}
		store.set(nil)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if got := store.text(); got != "a=1 beyond=1,2,3" {
			t.Errorf("when it is back: %q", got)
		}
		if got := p.Figures(); got[3].Value != 0 || got[4].Value != 0 || got[0].Value == 0 || got[1].Value == 0 {
			t.Errorf("figures %+v", got)
		}
	})
}

// TestBeside: whoever did something while another wrote lists is written once more
// when that one has ended, and nobody else.
func TestBeside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &shelf{texts: map[string]string{}, puts: map[string]int{}}
		users := &shop{ids: []string{"a", "b"}, items: map[string]int{"a": 1, "b": 1}, slow: map[string]bool{}}
		p := New(Options{Store: store, Key: "{id}", TTL: time.Hour})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- p.Run(ctx, users.source()) }()
		settle := func() { time.Sleep(2 * putTimeout); synctest.Wait() }
		settle()
		first, second := p.Beside(), p.Beside()
		users.set("a", 3)
		p.Apply(1, click("a"))
		settle()
		// The other writes what it has made before.
		if err := p.Put(ctx, []List{{"a", []string{"1"}}, {"b", []string{"1"}}}); err != nil {
			t.Fatal(err)
		}
		first()
		settle()
		if got := store.text(); got != "a=1 b=1" {
			t.Errorf("before the end: %s", got)
		}
		second()
		settle()
		if got := store.text(); got != "a=1,2,3 b=1" || store.times("a") != 4 || store.times("b") != 2 {
			t.Errorf("after the end: %s; a %d times, b %d times", got, store.times("a"), store.times("b"))
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// TestBesideMany: where too many did something to remember who, all lists are
// written anew.
func TestBesideMany(t *testing.T) {
	p := New(Options{})
	p.Beside()
	for n := range maxWaiting - 1 {
		p.acted[fmt.Sprint(n)] = struct{}{}
	}
	p.Apply(1, click("u1"))
	p.Beside()
	if p.alone(); p.again || len(p.acted) != maxWaiting {
		t.Errorf("all anew: %v, %d remembered", p.again, len(p.acted))
	}
	p.Apply(1, click("u2"))
	p.Apply(1, click("u3")) // is too many
	if p.alone(); !p.again || len(p.acted) != 0 || len(p.waiting) != 3 {
		t.Errorf("all anew: %v, %d remembered, %d wait", p.again, len(p.acted), len(p.waiting))
	}
}
