// Package redis is the door to a Redis server: texts are written under keys,
// with the time that they live.
//
// It owns the connection and nothing of what is written. It is the only importer
// of the Redis library, and must not import anything of this module but the reader of
// password files.
//
//	s := redis.New(redis.Options{Address: "localhost:6379"})
//	err := s.Put(ctx, entries, time.Hour)
package redis

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"vitrine/internal/keyfile"
)

// Options say which server.
type Options struct {
	// Address is host:port.
	Address string
	// User and PasswordFile log in; without a file nobody does. The password is
	// its first line, read anew for each connection. User defaults to Redis's.
	User, PasswordFile string
}

// timeout bounds a connection's making, and each write and read.
const timeout = 3 * time.Second

// Store is a server. It may be used by several goroutines.
type Store struct {
	client *redis.Client
}

// Entry is a text under a key; one without a text is removed.
type Entry struct{ Key, Text string }

// New prepares a store; nothing is connected yet.
func New(opt Options) *Store {
	// Whatever fails comes back as an error, so the library need not print it.
	logging.Disable()
	o := &redis.Options{
		Addr: opt.Address, DialTimeout: timeout, ReadTimeout: timeout, WriteTimeout: timeout, ContextTimeoutEnabled: true,
		PoolSize: 1, MaxRetries: -1, DialerRetries: 1, DisableIdentity: true, Protocol: 2,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if opt.PasswordFile != "" {
		o.CredentialsProviderContext = func(context.Context) (string, string, error) {
			password, err := keyfile.Password(opt.PasswordFile)
			if err != nil {
				return "", "", fmt.Errorf("read the password of redis: %w", err)
			}
			return opt.User, password, nil
		}
	}
	return &Store{client: redis.NewClient(o)}
}

// Put writes all entries in one turn, each for the time ttl. After an error some
// may be there.
func (s *Store) Put(ctx context.Context, entries []Entry, ttl time.Duration) error {
	if len(entries) == 0 {
		return nil
	}
	_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, e := range entries {
			if e.Text == "" {
				p.Del(ctx, e.Key)
			} else {
				p.Set(ctx, e.Key, e.Text, ttl)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write to redis: %w", err)
	}
	return nil
}

// Close ends the connection.
func (s *Store) Close() error { return s.client.Close() }
