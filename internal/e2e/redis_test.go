package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"vitrine/internal/realservers"
)

// redisServer is a server that lists are published to.
type redisServer struct {
	address string
	// password is asked for, "" for none.
	password string
	// get is what is under a key and how long it lives there, "" for nothing.
	get func(key string) (text string, ttl time.Duration)
	// kill and restart take the server away and bring it back, empty.
	kill, restart func() error
}

// TestRedis publishes lists to a Redis in this process.
func TestRedis(t *testing.T) {
	skipShort(t)
	t.Parallel()
	server := miniredis.RunT(t)
	server.RequireAuth("secret")
	listsArePublished(t, redisServer{
		address: server.Addr(), password: "secret",
		get: func(key string) (string, time.Duration) {
			text, err := server.Get(key)
			if err != nil {
				return "", 0
			}
			return text, server.TTL(key)
		},
		kill: func() error { server.Close(); return nil },
		restart: func() error {
			server.FlushAll()
			// Somebody's outgoing connection may have the port for a while.
			until(t, "the port is free", func() bool { return server.Restart() == nil })
			return nil
		},
	})
}

// TestRealRedis publishes them to a redis-server.
func TestRealRedis(t *testing.T) {
	realservers.Require(t)
	s := realservers.During(t, realservers.Redis{Dir: t.TempDir()}.Start)
	ask := func(command string) string {
		answer, err := s.Ask(command)
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	listsArePublished(t, redisServer{
		address: s.Address,
		get: func(key string) (string, time.Duration) {
			_, text, _ := strings.Cut(strings.TrimSpace(ask("GET "+key)), "\r\n")
			var seconds int
			_, _ = fmt.Sscanf(ask("TTL "+key), ":%d", &seconds) // none is 0
			return text, time.Duration(seconds) * time.Second
		},
		kill:    s.Kill,
		restart: func() error { return s.Restart(t.Context()) },
	})
}

func listsArePublished(t *testing.T, server redisServer) {
	dir := shortDir(t)
	args := []string{"--set", "redis.address=" + server.address, "--set", "redis.publish=true", "--set", "redis.key=shop:{id}", "--set", "redis.ttl=1h"}
	if server.password != "" {
		file := filepath.Join(t.TempDir(), "password")
		if err := os.WriteFile(file, []byte(server.password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--set", "redis.password_file="+file)
	}
	d := start(t, dir, args...)
	smallShop(t, d)
	click := func(user, item string) {
		t.Helper()
		if code, text := d.send(http.MethodPost, "/v1/events", "application/json", `{"user_id":"`+user+`","item_id":"`+item+`","event_type":"purchase"}`); code != http.StatusAccepted {
			t.Fatalf("%d %s", code, text)
		}
	}
	published := func(user string) func() bool {
		return func() bool {
			var answer struct{ Recommendations []string }
			d.get("/recommend?user_id="+user, &answer)
			text, ttl := server.get("shop:" + user)
			return len(answer.Recommendations) > 0 && text == strings.Join(answer.Recommendations, ",") && ttl > 50*time.Minute && ttl <= time.Hour
		}
	}
	click("shopper", "i1")
	until(t, "the list of who has bought is there", published("shopper"))
	until(t, "the list of who had bought before is there", published("u1"))
	vitrine(t, "train", "--data", dir).must(t)
	until(t, "the new model's list is there", published("u1"))
	if err := server.kill(); err != nil {
		t.Fatal(err)
	}
	click("shopper", "i2")
	d.says("lists cannot be published")
	if err := server.restart(); err != nil {
		t.Fatal(err)
	}
	until(t, "what waited is there", published("shopper"))
	if code, _, text := d.ask(http.MethodDelete, "/v1/users/shopper", ""); code != http.StatusAccepted {
		t.Fatalf("%d %s", code, text)
	}
	until(t, "nothing is there of who was erased", func() bool { text, _ := server.get("shop:shopper"); return text == "" })
	if _, _, metrics := d.ask(http.MethodGet, "/metrics", ""); !strings.Contains(metrics, "\nvitrine_redis_failing 0") || strings.Contains(metrics, "\nvitrine_redis_published_total 0") {
		t.Error("the metrics do not tell")
	}
	d.stop()
}
