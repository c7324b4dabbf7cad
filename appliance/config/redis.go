package config

import (
	"strings"
	"time"

	"vitrine/appliance/publish"
)

// Redis configures where lists are published; without Publish nowhere.
type Redis struct {
	Address            string
	Publish            bool
	Key                string
	TTL                time.Duration
	User, PasswordFile string
}

func defaultRedis() Redis { return Redis{Key: "user:" + publish.IDMark + ":recs", TTL: 24 * time.Hour} }

func (r *Redis) validate(check func(ok bool, key, format string, args ...any)) {
	_, _, ok := server(r.Address)
	check(r.Address == "" || ok, "redis.address", "%q: a server looks like host:6379", r.Address)
	check(!r.Publish || r.Address != "", "redis.publish", "needs redis.address")
	check(strings.Contains(r.Key, publish.IDMark), "redis.key", "must contain %s, which stands for the user's id", publish.IDMark)
	check(r.TTL >= time.Minute, "redis.ttl", "must be at least 1m")
	check(r.User == "" || r.PasswordFile != "", "redis.user", "needs redis.password_file")
}

// redisKeys are the keys of [redis].
func redisKeys() []key {
	return []key{
		text("redis.address", "host:port of a Redis server.", func(c *Config) *string { return &c.Redis.Address }),
		boolean("redis.publish", "Write the list of every user with a history there, as /recommend answers it: item ids with commas between them, the best first. After an event within seconds.", func(c *Config) *bool { return &c.Redis.Publish }),
		text("redis.key", "Key of a list; {id} stands for the user's id.", func(c *Config) *string { return &c.Redis.Key }),
		duration("redis.ttl", "How long a list lives there; all are written anew twice in that time.", func(c *Config) *time.Duration { return &c.Redis.TTL }),
		text("redis.user", "User that logs in; empty is Redis's default one.", func(c *Config) *string { return &c.Redis.User }),
		text("redis.password_file", "File with the password in its first line; empty logs nobody in.", func(c *Config) *string { return &c.Redis.PasswordFile }),
	}
}
