package appliance

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"vitrine/appliance/httpapi"
)

const (
	// keptUsers is a power of two; of two users that meet in a place the later
	// one stays. With keptItems it bounds the memory: some 8 MB when full.
	keptUsers = 1 << 13
	keptItems = 32
	// keptFor is how old a list may be that is shown for want of a new one.
	keptFor = time.Hour
)

// keptLists are the last good lists of users.
type keptLists struct {
	seed  maphash.Seed
	slots [keptUsers]atomic.Pointer[keptList]
}

// keptList is one.
type keptList struct {
	mu      sync.Mutex
	user    uint64
	at      int64 // Unix milliseconds
	seen    bool  // whether seen items were left out
	n       int
	picks   [keptItems]httpapi.Pick
	version string
	created int64
}

func newKeptLists() *keptLists { return &keptLists{seed: maphash.MakeSeed()} }

// keepable says whether the list for a query is simply that of its user.
func keepable(q *httpapi.Query) bool {
	return q.UserID != "" && len(q.Session) == 0 && len(q.Exclude) == 0 && q.Filter == "" && !q.NotPersonalized &&
		q.Scene == "" && q.After == "" && (q.Explain == "" || q.Explain == httpapi.ExplainNone)
}

// put keeps the beginning of a list.
func (k *keptLists) put(q *httpapi.Query, list *httpapi.List) {
	user := maphash.String(k.seed, q.UserID)
	slot := &k.slots[user%keptUsers]
	kept := slot.Load()
	if kept == nil {
		kept = new(keptList)
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

// get fills list with what is kept for a query's user and may still be shown;
// false when there is nothing, or less than is asked for.
func (k *keptLists) get(q *httpapi.Query, list *httpapi.List, shown func(string, int64) bool) bool {
	user := maphash.String(k.seed, q.UserID)
	kept := k.slots[user%keptUsers].Load()
	if kept == nil {
		return false
	}
	kept.mu.Lock()
	defer kept.mu.Unlock()
	if kept.user != user || kept.n < q.Limit || kept.seen != q.ExcludeSeen || q.Now-kept.at > keptFor.Milliseconds() {
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
