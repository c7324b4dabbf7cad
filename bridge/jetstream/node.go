package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"vitrine/internal/logkey"
)

// start brings up a server over opt.Dir with its clients and the log.
func start(ctx context.Context, opt Options) (_ *node, err error) {
	n := &node{}
	n.life, n.end = context.WithCancelCause(context.Background())
	defer func() {
		if err != nil {
			n.stop()
		}
	}()
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
		if *c, err = nats.Connect("", nats.InProcessServer(n.srv), nats.NoReconnect()); err != nil {
			return nil, fmt.Errorf("connect to the server: %w", err)
		}
	}
	if n.put, err = jetstream.New(n.writes); err != nil {
		return nil, fmt.Errorf("connect to the store: %w", err)
	}
	if n.ask, err = jetstream.New(n.reads); err != nil {
		return nil, fmt.Errorf("connect to the store: %w", err)
	}
	if err = n.open(ctx, opt); err != nil {
		return nil, err
	}
	return n, nil
}

// open creates the stream or takes the existing one, with the limits of today.
func (n *node) open(ctx context.Context, opt Options) error {
	_, size, err := disk(opt.Dir)
	if err != nil {
		return fmt.Errorf("stat the disk: %w", err)
	}
	// From the size, not from what is free just now: a start on a full disk
	// must not leave a small log behind. Append looks at what is free.
	n.maxBytes = min(opt.MaxBytes, int64(size/2))
	st, err := n.state(ctx)
	if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("look up the log: %w", err)
	}
	_, err = n.ask.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name:        streamName,
		Subjects:    []string{subject},
		Storage:     jetstream.FileStorage,
		Retention:   jetstream.LimitsPolicy,
		Discard:     jetstream.DiscardNew,
		MaxBytes:    n.maxBytes,
		AllowDirect: true,
		// Frames are never identified by message id, so the window, which
		// cannot be switched off, is the shortest.
		Duplicates: 100 * time.Millisecond,
	})
	if err != nil {
		return fmt.Errorf("create the log: %w", err)
	}
	return n.skip(ctx, st.LastSeq, opt)
}

// skip moves the end of the log from last to opt.After if that is later.
func (n *node) skip(ctx context.Context, last uint64, opt Options) error {
	if last >= opt.After {
		return nil
	}
	if last > 0 {
		opt.Log.Warn("bus ends before what was taken from it", logkey.Last, last, logkey.Seq, opt.After)
	}
	if err := n.purge(ctx, opt.After+1); err != nil {
		return fmt.Errorf("set the next sequence to %d: %w", opt.After+1, err)
	}
	return nil
}

// state asks the server for the figures of the log. The handle is fresh every
// time, as the library's is not safe for concurrent use.
func (n *node) state(ctx context.Context) (jetstream.StreamState, error) {
	s, err := n.ask.Stream(ctx, streamName)
	if err != nil {
		return jetstream.StreamState{}, err
	}
	st := s.CachedInfo().State
	if st.Msgs == 0 {
		st.FirstSeq = st.LastSeq + 1
	}
	return st, nil
}

// trim drops the frames up to upTo, but never the newest.
func (n *node) trim(ctx context.Context, upTo uint64) error {
	st, err := n.state(ctx)
	if err != nil {
		return err
	}
	keep := min(upTo+1, st.LastSeq)
	if st.Msgs == 0 || keep <= st.FirstSeq {
		return nil
	}
	return n.purge(ctx, keep)
}

// purge makes first the first sequence of the log.
func (n *node) purge(ctx context.Context, first uint64) error {
	s, err := n.ask.Stream(ctx, streamName)
	if err != nil {
		return err
	}
	return s.Purge(ctx, jetstream.WithPurgeSequence(first))
}

// stop ends what start has begun and waits for it.
func (n *node) stop() {
	n.end(errClosed)
	for _, c := range []*nats.Conn{n.writes, n.reads} {
		if c != nil {
			c.Close()
		}
	}
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
