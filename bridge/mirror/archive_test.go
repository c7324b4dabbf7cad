package mirror_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vitrine/bridge/archive"
	"vitrine/bridge/archive/compact"
	"vitrine/bridge/event"
	"vitrine/bridge/mirror"
	"vitrine/bridge/mirror/storetest"
	"vitrine/bridge/parquet"
)

const dayMillis = 24 * 60 * 60 * 1000

// shop is a real archive that is compacted, and its copy.
type shop struct {
	t          *testing.T
	dir, there string
	store      mirror.Store
	archive    *archive.Archive
	mirror     *mirror.Mirror
	now        time.Time
	events     int
}

// newShop is one whose copy is in a store that s.same reads, on disk with nil.
func newShop(t *testing.T, store mirror.Store) *shop {
	t.Helper()
	s := &shop{t: t, dir: t.TempDir(), there: t.TempDir(), now: time.Now(), store: store}
	if store == nil {
		s.store = storetest.Disk{Dir: s.there}
	}
	var err error
	if s.archive, err = archive.Open(t.Context(), archive.Options{Dir: s.dir}); err != nil {
		t.Fatal(err)
	}
	s.mirror = mirror.New(mirror.Options{Archive: s.archive, Store: s.store, ID: id})
	return s
}

// commit archives an event of each of three days, and a change of an item.
func (s *shop) commit() {
	s.t.Helper()
	b, err := s.archive.Begin(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for day := range 3 {
		r := event.Record{Kind: event.KindEvent, Event: event.Event{
			UserID: fmt.Sprint("u", s.events), ItemID: "i", Type: "view", Time: s.now.UnixMilli() - int64(day+1)*dayMillis,
		}}
		s.events++
		if err := b.Add(b.First(), &r); err != nil {
			s.t.Fatal(err)
		}
	}
	item := event.Record{Kind: event.KindItemPut, Item: event.Item{ID: fmt.Sprint("i", s.events)}}
	if err := b.Add(b.First(), &item); err != nil {
		s.t.Fatal(err)
	}
	if err := b.Commit(s.t.Context(), b.First()); err != nil {
		s.t.Fatal(err)
	}
}

// compact looks through the archive as days later.
func (s *shop) compact(retention time.Duration) {
	s.t.Helper()
	c := compact.New(compact.Options{Archive: s.archive, Retention: retention, Quiet: time.Second, Now: func() time.Time { return s.now.Add(time.Hour) }})
	if err := c.Pass(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// same wants the copy to be the archive, and returns its files.
func (s *shop) same() []string {
	s.t.Helper()
	if _, local := s.store.(storetest.Disk); !local {
		s.fetch()
	}
	wantCopy(s.t, &folder{dir: s.dir}, s.there)
	return slices.Sorted(maps.Keys(contents(s.there)))
}

// fetch brings what is in the store to a folder of this machine.
func (s *shop) fetch() {
	s.t.Helper()
	s.there = s.t.TempDir()
	local := storetest.Disk{Dir: s.there}
	var walk func(dir string)
	walk = func(dir string) {
		entries, err := s.store.List(s.t.Context(), dir)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, e := range entries {
			if at := path.Join(dir, e.Name); e.Dir {
				walk(at)
			} else {
				storetest.Put(s.t, local, at, storetest.Get(s.t, s.store, at))
			}
		}
	}
	walk("")
}

// users counts the rows of each user in the copy.
func (s *shop) users() map[string]int {
	s.t.Helper()
	out := map[string]int{}
	scanner := parquet.NewEventScanner(parquet.UserID)
	for at := range contents(s.there) {
		if !strings.HasPrefix(at, "events/") {
			continue
		}
		f, err := parquet.Open(filepath.Join(s.there, at))
		if err != nil {
			s.t.Fatal(err)
		}
		err = scanner.Scan(s.t.Context(), f, func(b *parquet.EventBatch) error {
			for i := range b.Len {
				out[b.UserID.At(i)]++
			}
			return nil
		})
		if err := errors.Join(err, f.Close()); err != nil {
			s.t.Fatal(err)
		}
	}
	return out
}

// TestFollowsTheArchive: commits, merged files and dates behind the retention
// are in the copy as they are in the archive.
func TestFollowsTheArchive(t *testing.T) { followsTheArchive(t, nil) }

func followsTheArchive(t *testing.T, store mirror.Store) {
	s := newShop(t, store)
	for range 3 {
		s.commit()
		if err := s.mirror.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.same()
	}
	small := len(s.same())
	s.compact(0)
	if err := s.mirror.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	merged := len(s.same())
	if merged >= small || len(s.users()) != s.events {
		t.Errorf("%d files before, %d after merging, with %d users of %d", small, merged, len(s.users()), s.events)
	}
	s.compact(48 * time.Hour)
	if err := s.mirror.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if kept := s.same(); len(kept) >= merged {
		t.Errorf("the retention leaves %v", kept)
	}
}

// TestFollowsWhileItGrows copies all along while the archive grows and is
// compacted.
func TestFollowsWhileItGrows(t *testing.T) {
	s := newShop(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			if err := s.mirror.Flush(ctx); err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
			time.Sleep(5 * time.Millisecond) // the archive needs a processor and the disk, too
		}
	}()
	for n := range 8 {
		s.commit()
		if n%4 == 3 {
			s.compact(0)
		}
	}
	cancel()
	<-done
	if err := s.mirror.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.same()
	for user, n := range s.users() {
		if n != 1 {
			t.Errorf("%s has %d rows", user, n)
		}
	}
	if got := len(s.users()); got != s.events {
		t.Errorf("%d users, want %d", got, s.events)
	}
}
