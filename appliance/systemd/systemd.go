// Package systemd tells the service manager how the appliance is: ready, what
// it does, reloading, stopping, and, for the watchdog, that it still answers.
//
// It speaks the datagrams of sd_notify(3) as systemd 219 knows them, and does
// nothing where no manager listens. It knows no other part: what "still
// answers" means is the caller's probe. It imports the standard library alone.
//
//	unit, err := systemd.Connect(os.Getenv)
//	unit.Tell("READY=1")
//	unit.Watch(ctx, probe, log)
package systemd

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"
)

// Unit is the service that this process is the main process of. A nil Unit is
// none: all that is told is dropped.
type Unit struct {
	conn     net.Conn
	watchdog time.Duration
	patience time.Duration
}

// tellTime is how long a manager may leave what it was told before unread: the
// kernel keeps 10 datagrams, and the next one waits. One that hangs must not hold
// up an appliance that stops.
const tellTime = 5 * time.Second

// Connect finds the manager in the environment; without one it gives nil.
func Connect(getenv func(string) string) (*Unit, error) {
	socket := getenv("NOTIFY_SOCKET")
	if socket == "" {
		return nil, nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"}) // "@" is the abstract namespace, here as there
	if err != nil {
		return nil, fmt.Errorf("connect to the service manager: %w", err)
	}
	u := &Unit{conn: conn, patience: tellTime}
	if usec, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64); err == nil && usec > 0 {
		u.watchdog = time.Duration(usec) * time.Microsecond
	}
	return u, nil
}

// Tell sends assignments such as READY=1 in one datagram, or fails after a few
// seconds when the manager reads nothing.
func (u *Unit) Tell(assignments ...string) error {
	if u == nil {
		return nil
	}
	_ = u.conn.SetWriteDeadline(time.Now().Add(u.patience)) // where it fails, Write does
	if _, err := u.conn.Write([]byte(strings.Join(assignments, "\n"))); err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	return nil
}

// Status is what "systemctl status" shows, in one line.
func Status(text string) string { return "STATUS=" + strings.ReplaceAll(text, "\n", " ") }

// beats is how many probes fit into the watchdog's time: one may be late or
// fail without the process being killed.
const beats = 4

// Watch asks the probe again and again until ctx ends, and feeds the watchdog
// after each good answer. So a process that runs but no longer answers is
// killed and started anew. It returns at once when there is no watchdog.
func (u *Unit) Watch(ctx context.Context, probe func(context.Context) error, log *slog.Logger) {
	if u == nil || u.watchdog == 0 {
		return
	}
	tick := time.NewTicker(u.watchdog / beats)
	defer tick.Stop()
	for {
		if err := u.beat(ctx, probe); err != nil && ctx.Err() == nil {
			log.Warn("watchdog not fed", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (u *Unit) beat(ctx context.Context, probe func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, u.watchdog/beats)
	defer cancel()
	if err := probe(ctx); err != nil {
		return err
	}
	return u.Tell("WATCHDOG=1")
}
