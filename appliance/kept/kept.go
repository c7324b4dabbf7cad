// Package kept remembers the last good list of each user for a while: what the
// ladder answers when a new one cannot be had.
//
// It owns their memory, which is bounded, and which questions they answer. It
// imports the HTTP layer's terms only.
package kept

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"vitrine/appliance/httpapi"
)

const (
	// users is a power of two; of two users that meet in a place the later
	// one stays. With places it bounds the memory: some 8 MB when full.
	users  = 1 << 13
	places = 32
	// goodFor is how old a list may be that is shown for want of a new one.
	goodFor = time.Hour
)

// Lists are the last good lists of users.
type Lists struct {
	seed  maphash.Seed
	slots [users]atomic.Pointer[one]
}

// one is a user's.
type one struct {
	mu      sync.Mutex
	user    uint64
	at      int64 // Unix milliseconds
	seen    bool  // whether seen items were left out
	n       int
	picks   [places]httpapi.Pick
	version string
	created int64
}

// New returns an empty memory.
func New() *Lists { return &Lists{seed: maphash.MakeSeed()} }

// Keepable says whether the list for a query is simply that of its user.
func Keepable(q *httpapi.Query) bool {
	return q.UserID != "" && len(q.Session) == 0 && len(q.Exclude) == 0 && q.Filter == "" && !q.NotPersonalized &&
		q.Scene == "" && q.After == "" && (q.Explain == "" || q.Explain == httpapi.ExplainNone)
}

// Put keeps the beginning of a list.
func (k *Lists) Put(q *httpapi.Query, list *httpapi.List) {
	user := maphash.String(k.seed, q.UserID)
	slot := &k.slots[user%users]
	kept := slot.Load()
	if kept == nil {
		kept = new(one)
		if !slot.CompareAndSwap(nil, kept) {
			kept = slot.Load()
		}
	}
	if !kept.mu.TryLock() {
		return // somebody keeps one just now
	}
	defer kept.mu.Unlock()
	kept.user, kept.at, kept.seen = user, q.Now, q.ExcludeSeen
	kept.n = copy(kept.picks[:], list.Picks)
	kept.version, kept.created = list.ModelVersion, q.Now-list.ModelAge.Milliseconds()
}

// Get fills list with what is kept for a query's user and may still be shown;
// false when there is nothing, or less than is asked for.
func (k *Lists) Get(q *httpapi.Query, list *httpapi.List, shown func(string, int64) bool) bool {
	user := maphash.String(k.seed, q.UserID)
	kept := k.slots[user%users].Load()
	if kept == nil {
		return false
	}
	kept.mu.Lock()
	defer kept.mu.Unlock()
	if kept.user != user || kept.n < q.Limit || kept.seen != q.ExcludeSeen || q.Now-kept.at > goodFor.Milliseconds() {
		return false
	}
	picks := list.Picks[:0]
	for _, p := range kept.picks[:kept.n] {
		if len(picks) < q.Limit && shown(p.ItemID, q.Now) {
			picks = append(picks, p)
		}
	}
	if len(picks) == 0 {
		return false
	}
	*list = httpapi.List{
		Picks: picks, Plugins: list.Plugins[:0], Source: httpapi.SourceLastGood,
		ModelVersion: kept.version, ModelAge: time.Duration(q.Now-kept.created) * time.Millisecond,
	}
	return true
}
