package preflight

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"vitrine/appliance/config"
	"vitrine/bridge/kafka"
	"vitrine/bridge/kafka/schema"
	"vitrine/bridge/kafka/values"
	"vitrine/installer/words"
)

// ports tries whether both listeners could be opened.
func (h *host) ports(ctx context.Context) []Row {
	running := sync.OnceValue(func() bool { return h.running(ctx) })
	var rows []Row
	for _, l := range []struct{ id, addr string }{{"port.api", h.opt.Config.HTTP.Listen}, {"port.admin", h.opt.Config.HTTP.AdminListen}} {
		row := Row{ID: l.id, Value: l.addr, Want: words.New("free"), Severity: OK}
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", l.addr)
		switch {
		case err == nil:
			_ = listener.Close()
		case errors.Is(err, syscall.EADDRINUSE) && running():
			row.Value += " (vitrine)"
		case errors.Is(err, syscall.EADDRINUSE):
			row.Severity = fatal
			row.Why, row.Fix = words.New("another process listens there: ss -ltnp shows which"), words.New("stop it, or choose another address: http.listen, http.admin_listen")
		case errors.Is(err, fs.ErrPermission):
			row.Severity = fatal
			row.Why, row.Fix = words.New("ports below 1024 are for root"), words.New("choose another address: http.listen, http.admin_listen")
		default:
			row.Severity = fatal
			row.Value += ": " + err.Error()
			row.Why, row.Fix = words.New("this machine has no such address"), words.New("choose another address: http.listen, http.admin_listen")
		}
		rows = append(rows, row)
	}
	return rows
}

// reloadTime is how long an appliance may hold its ports without answering on
// its socket, because it is starting or taking a new configuration. It is looked
// for so often in that time: where the machine stands still, so does the other.
const (
	reloadTime  = 3 * time.Second
	reloadLooks = 30
)

// running says whether the appliance of this data folder answers. One that
// starts is waited for, where there has been one.
func (h *host) running(ctx context.Context) bool {
	for range reloadLooks {
		if reachable(ctx, "unix", filepath.Join(h.data, "admin.sock")) == nil {
			return true
		}
		if _, err := os.Stat(filepath.Join(h.data, "state", "lock")); err != nil || ctx.Err() != nil {
			return false
		}
		time.Sleep(reloadTime / reloadLooks)
	}
	return false
}

// Service is another service that the configuration names.
type Service struct {
	ID, Address string
	// ask asks it for what it has; nil opens a connection only.
	ask func(ctx context.Context) (found string, err error)
}

// services connects to each service that the configuration names.
func (h *host) services(ctx context.Context) []Row {
	var rows []Row
	for _, s := range Services(h.opt.Config) {
		row := Row{ID: s.ID, Value: s.Address, Want: words.New("answers"), Severity: OK}
		found, err := Reach(ctx, s)
		var own interface{ Hint() string }
		switch {
		case err == nil && found != "":
			row.Value += ": " + found
		case errors.As(err, &own) && own.Hint() != "":
			row.Severity, row.Value = Block, err.Error()
			row.Why, row.Fix = words.New("the configuration names it, and it cannot be used like this"), words.New("%s", own.Hint())
		case err != nil:
			row.Severity = Block
			row.Value += ": " + err.Error()
			row.Why, row.Fix = words.New("the configuration names it, and it does not answer"), words.New("is it running, is the name right, is the firewall open? see %s", configKey(s.ID))
		}
		rows = append(rows, row)
	}
	return rows
}

// Reach tries a service and tells what it found there. A Kafka is asked for the
// topics that are read, with the security that is configured, and a schema registry
// for the kinds that it has; to the others a connection is opened. An error of these
// two has a method Hint.
func Reach(ctx context.Context, s Service) (found string, err error) {
	if s.ask == nil {
		return "", reachable(ctx, "tcp", s.Address)
	}
	return s.ask(ctx)
}

// topics asks a cluster for those that are read, and how many partitions they have.
func topics(ctx context.Context, opt kafka.Options) (found string, err error) {
	partitions, err := kafka.Check(ctx, opt)
	var names []string
	for _, name := range slices.Sorted(maps.Keys(partitions)) {
		names = append(names, fmt.Sprintf("%s (%d)", name, partitions[name]))
	}
	return strings.Join(names, ", "), err
}

func configKey(id string) string {
	return map[string]string{"redis": "redis.address", "nats": "bus.url", "hdfs": "archive.url"}[id]
}

// Services finds in a configuration what it connects to.
func Services(c *config.Config) []Service {
	var out []Service
	if opt := c.Kafka.Options(); len(opt.Brokers) > 0 {
		out = append(out, Service{
			ID: "kafka", Address: strings.Join(opt.Brokers, ","), ask: func(ctx context.Context) (string, error) { return topics(ctx, opt) },
		})
		if at := opt.Registry; at.URL != "" && opt.Format == values.Avro && opt.Topic != "" {
			out = append(out, Service{ID: "schema_registry", Address: redacted(at.URL), ask: func(ctx context.Context) (string, error) { return schema.Check(ctx, at) }})
		}
	}
	return append(out, named(c.Map())...)
}

// redacted is an address without the user that may stand in it.
func redacted(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "-"
	}
	u.User = nil
	return u.String()
}

// named finds the addresses that settings have as text, as config.Map gives
// them.
func named(settings map[string]any) []Service {
	var out []Service
	value := func(table, key string) any {
		t, _ := settings[table].(map[string]any)
		return t[key]
	}
	add := func(id, address string) {
		if address = strings.TrimSpace(address); address != "" {
			out = append(out, Service{ID: id, Address: address})
		}
	}
	if address, ok := value("redis", "address").(string); ok {
		add("redis", address)
	}
	text, _ := value("bus", "url").(string)
	if parsed, err := url.Parse(text); err == nil && parsed.Host != "" {
		address := parsed.Host
		if parsed.Port() == "" {
			address = net.JoinHostPort(parsed.Hostname(), "4222")
		}
		add("nats", address)
	}
	text, _ = value("archive", "url").(string)
	if place := (&config.Archive{URL: text}).Elsewhere(); place != nil {
		for _, node := range place.Nodes {
			add("hdfs", node)
		}
	}
	return out
}

func reachable(ctx context.Context, network, address string) error {
	conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, network, address)
	if err != nil {
		return err
	}
	return conn.Close()
}
