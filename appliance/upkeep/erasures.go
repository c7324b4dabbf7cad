package upkeep

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"vitrine/bridge/archive/compact"
	"vitrine/internal/durable"
)

// Receipt says what was done about an erased user.
type Receipt struct {
	// ErasedAt is when it was asked for, DoneAt when the files held nothing of
	// him any more, in Unix milliseconds; 0 while they do.
	ErasedAt int64 `json:"erased_at"`
	DoneAt   int64 `json:"done_at,omitempty"`
	// Events, Places and Changes count rows of the archive, Letters dead letters,
	// Models versions that named him.
	Events  int64 `json:"events"`
	Places  int64 `json:"places"`
	Changes int64 `json:"changes"`
	Letters int64 `json:"letters"`
	Models  int64 `json:"models"`
}

// keptReceipts bounds the list: some 20 MB.
const keptReceipts = 100_000

// entry is a receipt in the file: who was erased is known by a hash alone.
type entry struct {
	Hash string `json:"hash"`
	Receipt
}

// Erasures is the list of erased users. It holds hashes: who asks must know the
// id. Its methods may be called from any goroutine.
type Erasures struct {
	path string
	now  func() time.Time

	mu   sync.Mutex
	key  []byte
	list []*entry // oldest first
	of   map[string]*entry
}

// erasuresFile is the form of the list on disk.
type erasuresFile struct {
	Version int      `json:"version"`
	Key     string   `json:"key"`
	Users   []*entry `json:"users"`
}

// OpenErasures reads the list, or begins one.
func OpenErasures(path string) (*Erasures, error) {
	e := &Erasures{path: path, now: time.Now, of: map[string]*entry{}}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		e.key = make([]byte, 32)
		_, err := rand.Read(e.key)
		return e, err
	}
	var f erasuresFile
	if err == nil {
		err = json.Unmarshal(data, &f)
	}
	if err == nil && f.Version != 1 {
		err = fmt.Errorf("version %d is not known to this program", f.Version)
	}
	if err == nil {
		e.key, err = hex.DecodeString(f.Key)
	}
	if err != nil {
		return nil, fmt.Errorf("read the list of erased users, %s: %w", path, err)
	}
	e.list = f.Users
	for _, u := range e.list {
		e.of[u.Hash] = u
	}
	return e, nil
}

func (e *Erasures) hash(id string) string {
	h := hmac.New(sha256.New, e.key)
	h.Write([]byte(id))
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Find gives the receipt of a user's newest erasure that was begun.
func (e *Erasures) Find(id string) (Receipt, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if u := e.of[e.hash(id)]; u != nil {
		return u.Receipt, true
	}
	return Receipt{}, false
}

// Begun says whether the erasure of a user at a time has come so far that files
// are written without his id.
func (e *Erasures) Begun(id string, at int64) bool {
	r, ok := e.Find(id)
	return ok && r.ErasedAt >= at
}

// change applies one change to the receipts of some users and writes the list.
func (e *Erasures) change(users []compact.Erasure, do func(u *compact.Erasure, r *Receipt)) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range users {
		hash := e.hash(users[i].UserID)
		u := e.of[hash]
		if u != nil && u.ErasedAt < users[i].At { // he had come back
			e.list = slices.DeleteFunc(e.list, func(old *entry) bool { return old == u })
			u = nil
		}
		if u == nil {
			u = &entry{Hash: hash, Receipt: Receipt{ErasedAt: users[i].At}}
			e.of[hash] = u
			e.list = append(e.list, u)
		}
		do(&users[i], &u.Receipt)
	}
	for len(e.list) > keptReceipts {
		delete(e.of, e.list[0].Hash)
		e.list = e.list[1:]
	}
	return e.write()
}

// unsettled says whether an erasure was begun that has no receipt.
func (e *Erasures) unsettled() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.ContainsFunc(e.list, func(u *entry) bool { return u.DoneAt == 0 })
}

// settle gives all of them their receipts.
func (e *Erasures) settle() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.now().UnixMilli()
	for _, u := range e.list {
		if u.DoneAt == 0 {
			u.DoneAt = now
		}
	}
	return e.write()
}

// write writes the list. The caller holds mu.
func (e *Erasures) write() error {
	data, err := json.Marshal(erasuresFile{Version: 1, Key: hex.EncodeToString(e.key), Users: e.list})
	if err == nil {
		err = durable.Replace(e.path, func(f *os.File) error {
			_, err := f.Write(append(data, '\n'))
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("write the list of erased users: %w", err)
	}
	return nil
}

// Models are the versions that name users.
type Models interface {
	Forget(users map[string]bool) (versions int, err error)
}

// Snapshots are copies of what is in memory.
type Snapshots interface {
	Renew(ctx context.Context) error
}

// eraser takes erased users out of everything but the archive.
type eraser struct {
	erasures  *Erasures
	models    Models
	snapshots Snapshots
	letters   Letters
	log       Log
	// copied brings what was written anew to the copy of the archive.
	copied func(ctx context.Context) error
}

// Erase implements compact.Eraser.
func (e *eraser) Erase(ctx context.Context, users []compact.Erasure) error {
	ids := make(map[string]bool, len(users))
	for i := range users {
		ids[users[i].UserID] = true
	}
	letters, err := removeLetters(ctx, e.letters, ids)
	if err != nil {
		return err
	}
	models, err := e.models.Forget(ids)
	if err != nil {
		return err
	}
	if err := e.erasures.change(users, func(u *compact.Erasure, r *Receipt) {
		// A pass that is done again counts what the one before had left.
		r.Events += u.Events
		r.Places += u.Places
		r.Letters += letters[u.UserID]
		r.Models = max(r.Models, int64(models))
	}); err != nil {
		return err
	}
	return errors.Join(e.snapshots.Renew(ctx), e.log.scrub(ctx), e.copy(ctx))
}

// copy waits for the copy elsewhere: while it holds rows of the erased, the pass
// is not done.
func (e *eraser) copy(ctx context.Context) error {
	if e.copied == nil {
		return nil
	}
	if err := e.copied(ctx); err != nil {
		return fmt.Errorf("bring an erasure to the copy of the archive: %w", err)
	}
	return nil
}

// Erased implements compact.Eraser.
func (e *eraser) Erased(_ context.Context, users []compact.Erasure) error {
	return e.erasures.change(users, func(u *compact.Erasure, r *Receipt) { r.Changes += u.Changes })
}

// Settle implements compact.Eraser: it gives the receipts, once the copy elsewhere
// has lost the record of the erasure, too.
func (e *eraser) Settle(ctx context.Context) error {
	if !e.erasures.unsettled() {
		return nil
	}
	if err := e.copy(ctx); err != nil {
		return err
	}
	return e.erasures.settle()
}
