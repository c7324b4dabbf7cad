package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"vitrine/internal/disk"
	"vitrine/internal/logkey"
)

// start brings up a server over opt.Dir with its clients and the log.
func start(ctx context.Context, opt Options) (_ *node, err error) {
	n := &node{stream: stream{name: streamName, subject: subject, replicas: 1}}
	n.life, n.end = context.WithCancelCause(context.Background())
	defer func() {
		if err != nil {
			n.stop()
		}
	}()
	if err = scrub(&opt); err != nil {
		return nil, err
	}
	n.srv, err = server.NewServer(&server.Options{
		ServerName:             "vitrine",
		DontListen:             true,
		NoSigs:                 true,
		NoSystemAccount:        true,
		DisableJetStreamBanner: true,
		JetStream:              true,
		StoreDir:               opt.Dir,
		// Anything less loses acknowledged frames in a power cut, often the
		// whole stream.
		SyncAlways: true,
		// The stream's own limit is the one that counts. Left at their zero
		// value, these are fixed from what is free at the start.
		JetStreamMaxStore:  1 << 50,
		JetStreamMaxMemory: 1 << 20,
		MaxPayload:         maxPayload,
	})
	if err != nil {
		return nil, fmt.Errorf("create server: %w", err)
	}
	n.srv.SetLoggerV2(serverLog{opt.Log, n.end}, false, false, false)
	go n.srv.Start()
	if !n.srv.ReadyForConnections(startTimeout) {
		return nil, errors.New("server did not start in time")
	}
	if !n.srv.JetStreamEnabled() {
		return nil, errors.New("server started without its store; its log says why")
	}
	for _, c := range []**nats.Conn{&n.writes, &n.reads} {
		// The library's two seconds are less than a machine may stand still, and
		// the server is a part of this process.
		if *c, err = nats.Connect("", nats.InProcessServer(n.srv), nats.NoReconnect(), nats.Timeout(startTimeout)); err != nil {
			return nil, fmt.Errorf("connect to the server: %w", err)
		}
	}
	if err = n.connect(); err != nil {
		return nil, err
	}
	if err = n.open(ctx, opt); err != nil {
		return nil, err
	}
	return n, nil
}

// open makes the log ready.
func (n *node) open(ctx context.Context, opt Options) error {
	_, size, err := disk.Space(opt.Dir)
	if err != nil {
		return fmt.Errorf("stat the disk: %w", err)
	}
	// From the size, not from what is free just now: a start on a full disk
	// must not leave a small log behind. Append looks at what is free.
	n.maxBytes = min(opt.MaxBytes, int64(size/2))
	// Where the caller sets no bound the library does, and its five seconds are
	// less than a machine may stand still.
	begin, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	last, err := n.stream.open(begin)
	if err != nil {
		return err
	}
	if err := n.mend(ctx, &opt); err != nil {
		return err
	}
	end, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if st, err := n.state(end); err == nil {
		last = st.LastSeq
	}
	return n.skip(end, last, &opt)
}

// stop ends what start has begun and waits for it.
func (n *node) stop() {
	n.end(errClosed)
	n.close()
	if n.srv != nil {
		n.srv.Shutdown()
		n.srv.WaitForShutdown()
	}
}

// serverLog passes on what an operator may have to act on. After a failed write
// the server answers nothing and takes nothing until it is started again, and
// only its log tells of it.
type serverLog struct {
	log    *slog.Logger
	broken context.CancelCauseFunc
}

// writeFailed is how the server words a failed write.
const writeFailed = "failed to store a msg"

func (l serverLog) Noticef(string, ...any) {}
func (l serverLog) Debugf(string, ...any)  {}
func (l serverLog) Tracef(string, ...any)  {}

func (l serverLog) Warnf(format string, v ...any) {
	l.log.Warn("bus server", logkey.Reason, fmt.Sprintf(format, v...))
}

func (l serverLog) Errorf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	l.log.Error("bus server", logkey.Reason, text)
	if strings.Contains(text, writeFailed) {
		l.broken(errors.New(text))
	}
}

func (l serverLog) Fatalf(format string, v ...any) {
	l.log.Error("bus server", logkey.Reason, fmt.Sprintf(format, v...))
}
