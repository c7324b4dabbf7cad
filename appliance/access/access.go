// Package access keeps the API keys: who may call which routes of the API and of
// the admin listener.
//
// It owns the key file and the form of a key. The file holds no key, only the
// SHA-256 of each: a key is 256 random bits, so nobody can try them all, and a
// slow password hash would only make every request slow. It imports nothing of
// this module but internal/logkey; which scope a route wants is httpapi's.
//
//	store, err := access.Open(path)
//	secret, err := store.New("shop", access.Recommend) // shown once
//	key, ok := store.Check(secret)
package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"vitrine/internal/logkey"
)

// Scope says which routes a key opens. Scopes do not include each other.
type Scope string

// The scopes.
const (
	// Recommend reads: lists, items, users.
	Recommend Scope = "recommend"
	// Ingest writes: events, items, users.
	Ingest Scope = "ingest"
	// Admin is for the admin listener.
	Admin Scope = "admin"
)

// Scopes are all there are.
func Scopes() []Scope { return []Scope{Recommend, Ingest, Admin} }

// A key reads vk_ID_SECRET in hexadecimal digits. The prefix lets scanners of
// leaked secrets know it; the ID, which is no secret, finds its line in the
// file, so that the secret itself need only be compared once, in constant time.
const (
	prefix      = "vk_"
	idBytes     = 4
	secretBytes = 32
	keyLength   = len(prefix) + 2*idBytes + 1 + 2*secretBytes
)

const (
	// MaxKeys bounds the file.
	MaxKeys = 10_000
	maxName = 64
	// lookEvery is how often Run looks whether others have changed the file.
	lookEvery = time.Second
)

// Errors that callers tell apart.
var (
	// ErrExists says that a key of that name is there.
	ErrExists = errors.New("a key of that name is there already")
	// ErrUnknown says that there is no key of that name.
	ErrUnknown = errors.New("there is no key of that name")
	// ErrInvalid says that a name or scope is malformed.
	ErrInvalid = errors.New("invalid key")
)

// Key is what is kept of one.
type Key struct {
	Name    string    `json:"name"`
	Scope   Scope     `json:"scope"`
	ID      string    `json:"id"`
	Hash    string    `json:"sha256"`
	Created time.Time `json:"created_at"`

	hash [sha256.Size]byte
}

// Store is the open key file. All methods are safe for concurrent use.
type Store struct {
	path  string
	mu    sync.Mutex // one change at a time
	state atomic.Pointer[state]
}

// state is the file as it was read last.
type state struct {
	stamp stamp
	list  []Key
	byID  map[string]*Key
}

// Open reads the file; one that is not there holds no keys.
func Open(path string) (*Store, error) {
	s := &Store{path: path}
	s.state.Store(&state{})
	return s, s.Reload()
}

// Required says whether callers need a key: from the first key on, and also
// when the last one was revoked, for revoking must never open a door. Removing
// the file does.
func (s *Store) Required() bool { return s.state.Load().stamp.exists }

// Len is the number of keys.
func (s *Store) Len() int { return len(s.state.Load().list) }

// List is every key by name.
func (s *Store) List() []Key { return slices.Clone(s.state.Load().list) }

// Check finds the key that a caller sent.
func (s *Store) Check(sent string) (*Key, bool) {
	if len(sent) != keyLength || !strings.HasPrefix(sent, prefix) {
		return nil, false
	}
	key, ok := s.state.Load().byID[sent[len(prefix):len(prefix)+2*idBytes]]
	if !ok {
		return nil, false
	}
	var text [keyLength]byte
	copy(text[:], sent)
	sum := sha256.Sum256(text[:])
	if subtle.ConstantTimeCompare(sum[:], key.hash[:]) != 1 {
		return nil, false
	}
	return key, true
}

// New adds a key to the file and returns it. It is not kept anywhere.
func (s *Store) New(name string, scope Scope) (string, error) {
	if err := checkName(name); err != nil {
		return "", err
	}
	if !slices.Contains(Scopes(), scope) {
		return "", fmt.Errorf("%w: the scope must be recommend, ingest or admin, not %.64q", ErrInvalid, scope)
	}
	var random [idBytes + secretBytes]byte
	rand.Read(random[:]) //nolint:errcheck // it never fails: the program ends first
	key := Key{Name: name, Scope: scope, ID: hex.EncodeToString(random[:idBytes]), Created: time.Now().UTC().Truncate(time.Second)}
	secret := prefix + key.ID + "_" + hex.EncodeToString(random[idBytes:])
	sum := sha256.Sum256([]byte(secret))
	key.Hash = hex.EncodeToString(sum[:])
	err := s.change(func(list []Key) ([]Key, error) {
		for i := range list {
			switch {
			case list[i].Name == name:
				return nil, fmt.Errorf("%w: %q", ErrExists, name)
			case list[i].ID == key.ID:
				return nil, errors.New("make key: two keys got the same id; try again")
			}
		}
		if len(list) >= MaxKeys {
			return nil, fmt.Errorf("%w: there are %d keys, the most is %d", ErrInvalid, len(list), MaxKeys)
		}
		return append(list, key), nil
	})
	if err != nil {
		return "", err
	}
	return secret, nil
}

// Revoke takes a key out of the file.
func (s *Store) Revoke(name string) error {
	return s.change(func(list []Key) ([]Key, error) {
		at := slices.IndexFunc(list, func(k Key) bool { return k.Name == name })
		if at < 0 {
			return nil, fmt.Errorf("%w: %.64q", ErrUnknown, name)
		}
		return slices.Delete(list, at, at+1), nil
	})
}

// Run follows the file until ctx ends, for others may replace it. A file that
// cannot be read leaves the keys as they were.
func (s *Store) Run(ctx context.Context, log *slog.Logger) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	failed := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		before := s.state.Load()
		err := s.Reload()
		if err != nil && err.Error() != failed {
			log.Error("keys not read anew, those before stay", slog.Any(logkey.Error, err))
		}
		failed = ""
		if err != nil {
			failed = err.Error()
		} else if s.state.Load() != before {
			log.Info("keys read anew", slog.Int(logkey.Count, s.Len()))
		}
	}
}

// checkName takes names that need no quotes anywhere.
func checkName(name string) error {
	bad := func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("._-", r))
	}
	if name == "" || len(name) > maxName || strings.ContainsFunc(name, bad) || strings.HasPrefix(name, "-") {
		return fmt.Errorf("%w: a name has 1 to %d letters, digits, dots, dashes or underscores, not %.80q", ErrInvalid, maxName, name)
	}
	return nil
}
