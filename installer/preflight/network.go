package preflight

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"syscall"

	"vitrine/appliance/config"
	"vitrine/installer/words"
)

// ports tries whether both listeners could be opened.
func (h *host) ports(ctx context.Context) []Row {
	running := reachable(ctx, "unix", filepath.Join(h.data, "admin.sock")) == nil
	var rows []Row
	for _, l := range []struct{ id, addr string }{{"port.api", h.opt.Config.HTTP.Listen}, {"port.admin", h.opt.Config.HTTP.AdminListen}} {
		row := Row{ID: l.id, Value: l.addr, Want: words.New("free"), Severity: OK}
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", l.addr)
		switch {
		case err == nil:
			_ = listener.Close()
		case errors.Is(err, syscall.EADDRINUSE) && running:
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

// Service is another service that the configuration names.
type Service struct{ ID, Address string }

// services connects to each service that the configuration names.
func (h *host) services(ctx context.Context) []Row {
	var rows []Row
	for _, s := range Services(h.opt.Config.Map()) {
		row := Row{ID: s.ID, Value: s.Address, Want: words.New("answers"), Severity: OK}
		if err := Reach(ctx, s); err != nil {
			row.Severity = Block
			row.Value += ": " + err.Error()
			row.Why, row.Fix = words.New("the configuration names it, and it does not answer"), words.New("is it running, is the name right, is the firewall open? see %s", configKey(s.ID))
		}
		rows = append(rows, row)
	}
	return rows
}

// Reach opens a connection to a service and closes it again.
func Reach(ctx context.Context, s Service) error { return reachable(ctx, "tcp", s.Address) }

func configKey(id string) string {
	return map[string]string{"kafka": "kafka.brokers", "redis": "redis.address", "nats": "bus.url", "hdfs": "archive.url"}[id]
}

// Services finds in a configuration, as config.Map gives it, what it connects
// to.
func Services(settings map[string]any) []Service {
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
	switch brokers := value("kafka", "brokers").(type) {
	case []any:
		for _, b := range brokers {
			add("kafka", fmt.Sprint(b))
		}
	case string:
		for b := range strings.SplitSeq(brokers, ",") {
			add("kafka", b)
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
