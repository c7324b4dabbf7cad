package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"vitrine/bridge"
	"vitrine/internal/logkey"
)

const (
	// storeFailed is JetStream's code for every refusal of the store, full or
	// broken; only its text tells which.
	storeFailed   jetstream.ErrorCode = 10077
	storeFullText                     = "maximum bytes exceeded"
	// noResources and noStorage are the server's own limits.
	noResources jetstream.ErrorCode = 10023
	noStorage   jetstream.ErrorCode = 10047

	// readBatch and readBytes bound what is under way at once; a batch ends
	// with the frame that exceeds readBytes. Measured: larger ones are no
	// faster, and 64 MB break the connection.
	readBatch = 256
	readBytes = 2 << 20

	readTimeout = 10 * time.Second
)

// stream is the log on a server, ours or another's, over its connections.
type stream struct {
	// Appends have a connection of their own, so that they do not wait behind
	// a batch of frames that is being read.
	writes, reads *nats.Conn
	// put publishes over writes, ask does all else over reads.
	put, ask      jetstream.JetStream
	name, subject string
	replicas      int
	maxBytes      int64
}

// connect makes the stream's clients over its connections.
func (s *stream) connect() (err error) {
	if s.put, err = jetstream.New(s.writes); err != nil {
		return fmt.Errorf("connect to the store: %w", err)
	}
	if s.ask, err = jetstream.New(s.reads); err != nil {
		return fmt.Errorf("connect to the store: %w", err)
	}
	return nil
}

// open creates the stream or takes the existing one, with the limits of today,
// and gives its last sequence.
func (s *stream) open(ctx context.Context) (last uint64, err error) {
	st, err := s.state(ctx)
	if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return 0, fmt.Errorf("look up the log: %w", err)
	}
	_, err = s.ask.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name:        s.name,
		Subjects:    []string{s.subject},
		Storage:     jetstream.FileStorage,
		Retention:   jetstream.LimitsPolicy,
		Discard:     jetstream.DiscardNew,
		MaxBytes:    s.maxBytes,
		Replicas:    s.replicas,
		AllowDirect: true,
		// Frames are never identified by message id, so the window, which
		// cannot be switched off, is the shortest.
		Duplicates: 100 * time.Millisecond,
	})
	if err != nil {
		return 0, fmt.Errorf("create the log: %w", err)
	}
	return st.LastSeq, nil
}

// skip moves the end of the log from last to after if that is later.
func (s *stream) skip(ctx context.Context, last uint64, opt *Options) error {
	if last >= opt.After {
		return nil
	}
	if last > 0 {
		opt.Log.Warn("bus ends before what was taken from it", logkey.Last, last, logkey.Seq, opt.After)
	}
	if err := s.purge(ctx, opt.After+1); err != nil {
		return fmt.Errorf("set the next sequence to %d: %w", opt.After+1, err)
	}
	return nil
}

// append publishes a frame and waits until it is durable.
func (s *stream) append(ctx context.Context, frame []byte, expectLast uint64) (uint64, error) {
	// The fence is on the last sequence of the stream, which has this one
	// subject only: unlike the last sequence of the subject it is still there
	// when the stream is empty.
	ack, err := s.put.PublishMsg(ctx, &nats.Msg{Subject: s.subject, Data: frame},
		jetstream.WithExpectLastSequence(expectLast), jetstream.WithRetryAttempts(0))
	if err != nil {
		return 0, refusal(err)
	}
	return ack.Sequence, nil
}

// refusal names the errors that surely kept the frame out.
func refusal(err error) error {
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return err
	}
	switch {
	case api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence:
		return fmt.Errorf("%w (%s)", bridge.ErrFenced, api.Description)
	case api.ErrorCode == storeFailed && api.Description == storeFullText,
		api.ErrorCode == noResources, api.ErrorCode == noStorage:
		return fmt.Errorf("%w (%s)", bridge.ErrBusFull, api.Description)
	}
	return err
}

// state asks the server for the figures of the log. The handle is fresh every
// time, as the library's is not safe for concurrent use.
func (s *stream) state(ctx context.Context) (jetstream.StreamState, error) {
	h, err := s.ask.Stream(ctx, s.name)
	if err != nil {
		return jetstream.StreamState{}, err
	}
	st := h.CachedInfo().State
	if st.Msgs == 0 {
		st.FirstSeq = st.LastSeq + 1
	}
	return st, nil
}

// trim drops the frames up to upTo, but never the newest.
func (s *stream) trim(ctx context.Context, upTo uint64) error {
	st, err := s.state(ctx)
	if err != nil {
		return err
	}
	keep := min(upTo+1, st.LastSeq)
	if st.Msgs == 0 || keep <= st.FirstSeq {
		return nil
	}
	return s.purge(ctx, keep)
}

// scrub drops all frames, the newest of which is last, and with them the files
// that held them: trim leaves a file until it is full. A mark of the server's in
// the new file carries the sequence on, and Options.After does.
func (s *stream) scrub(ctx context.Context, last uint64) error {
	st, err := s.state(ctx)
	if err != nil {
		return err
	}
	if st.LastSeq != last {
		return fmt.Errorf("frame %d came behind %d", st.LastSeq, last)
	}
	return s.purge(ctx, last+1)
}

// purge makes first the first sequence of the log.
func (s *stream) purge(ctx context.Context, first uint64) error {
	h, err := s.ask.Stream(ctx, s.name)
	if err != nil {
		return err
	}
	return h.Purge(ctx, jetstream.WithPurgeSequence(first))
}

// close ends the connections.
func (s *stream) close() {
	for _, c := range []*nats.Conn{s.writes, s.reads} {
		if c != nil {
			c.Close()
		}
	}
}

// batchGet asks for the frames from Seq on, without a consumer on the server:
// nothing to keep alive, nothing to resume, strictly in order.
type batchGet struct {
	Seq      uint64 `json:"seq"`
	Batch    int    `json:"batch"`
	MaxBytes int    `json:"max_bytes"`
}

// fetch collects one batch of the frames next to last.
func (s *stream) fetch(ctx context.Context, next, last uint64) ([]*nats.Msg, error) {
	conn := s.reads
	inbox := conn.NewInbox()
	sub, err := conn.SubscribeSync(inbox)
	if err != nil {
		return nil, fmt.Errorf("read frame %d: %w", next, err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	ask, err := json.Marshal(batchGet{Seq: next, Batch: int(min(readBatch, last-next+1)), MaxBytes: readBytes})
	if err != nil {
		return nil, fmt.Errorf("read frame %d: %w", next, err)
	}
	if err := conn.PublishRequest("$JS.API.DIRECT.GET."+s.name, inbox, ask); err != nil {
		return nil, fmt.Errorf("read frame %d: %w", next, err)
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var msgs []*nats.Msg
	for {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return nil, fmt.Errorf("read frame %d: %w", next+uint64(len(msgs)), err)
		}
		switch status := m.Header.Get("Status"); status {
		case "":
			msgs = append(msgs, m)
		case "204": // the end of the batch
			if len(msgs) == 0 {
				return nil, &bridge.GapError{Want: next}
			}
			return msgs, nil
		case "404":
			return nil, &bridge.GapError{Want: next}
		default:
			return nil, fmt.Errorf("read frame %d: the server answers %s %s", next, status, m.Header.Get("Description"))
		}
	}
}
