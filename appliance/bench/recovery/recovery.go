// Package recovery measures an appliance that is killed without warning and
// started again: how long until it answers, and whether it has everything that
// it acknowledged.
//
// It owns what is sent, what is asked, and the bars. How an appliance is
// started and killed, and what becomes of the figures, are its caller's. It
// must not know of the appliance's files.
package recovery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"vitrine/appliance/bench/load"
	"vitrine/appliance/bench/report"
	"vitrine/appliance/bench/serving"
)

// BarLive is how many seconds an appliance may take from its start to a live
// answer, with 200k items and a million users.
const BarLive = 5.0

const (
	// batchEvents are the events of one request.
	batchEvents = 100
	batchKind   = "application/x-ndjson"
	// most is how many requests are sent in a second.
	most = 1000
	// connections send them.
	connections = 16
	// askEvery is how often the start is looked at, answerMost how long it may
	// take.
	askEvery   = 10 * time.Millisecond
	answerMost = 2 * time.Minute
)

// Daemon is an appliance of the caller's on a data folder.
type Daemon struct {
	// Start starts it and returns host:port of its API; Kill ends it as a power
	// failure of the process would: it is told nothing.
	Start func(ctx context.Context) (address string, err error)
	Kill  func()
	// Users have a history, Items are known.
	Users, Items []string
}

// Bench is one run.
type Bench struct {
	// Ingest is how long events are sent until the kill.
	Ingest time.Duration
	// Repetitions are the kills.
	Repetitions int
	// Progress is told what is being done.
	Progress func(stage string, done, total int64)
	// Figures are those found so far.
	Figures []report.Figure
}

// Run kills the running daemon at address in mid-ingest and starts it again,
// several times; it leaves one that runs.
func (b *Bench) Run(ctx context.Context, address string, d *Daemon) error {
	got := report.Samples{}
	lost, acknowledged := 0.0, 0.0
	for rep := range b.Repetitions {
		b.Progress("recover", int64(rep), int64(b.Repetitions))
		sent, err := b.send(ctx, address, d, rep)
		if err != nil {
			return err
		}
		start := time.Now()
		if address, err = d.Start(ctx); err != nil {
			return err
		}
		got.Add("recover.listening", time.Since(start).Seconds())
		if err := live(ctx, address, d.Users[rep%len(d.Users)]); err != nil {
			return err
		}
		got.Add("recover.live", time.Since(start).Seconds())
		missing, err := again(ctx, address, sent)
		if err != nil {
			return err
		}
		acknowledged += float64(len(sent) * batchEvents)
		lost += missing
	}
	b.Figures = append(b.Figures,
		got.Figure("recover.listening", "s", report.Lower),
		got.Figure("recover.live", "s", report.Lower).WithBar(BarLive),
		report.New("recover.acknowledged", "", "", acknowledged),
		report.New("recover.lost", "", report.Lower, lost).WithBar(0),
	)
	return nil
}

// send sends batches until the daemon is killed under them, and returns those
// that were acknowledged.
func (b *Bench) send(ctx context.Context, address string, d *Daemon, rep int) ([][]byte, error) {
	bodies := batches(d, int(most*b.Ingest.Seconds())+1, rep)
	requests := make([][]byte, len(bodies))
	for i, body := range bodies {
		requests[i] = load.Post(address, "/v1/events", batchKind, body)
	}
	taken := make(chan int, len(bodies))
	ended := make(chan struct{})
	kill := time.AfterFunc(b.Ingest, func() {
		d.Kill()
		close(ended)
	})
	defer kill.Stop()
	_, err := load.Run(ctx, load.Options{
		Address: address, Requests: requests, Rate: most, Duration: b.Ingest, Connections: connections, Workers: 1, Until: ended, Timeout: b.Ingest,
		Judge: func(a load.Answer) bool {
			if a.Status == http.StatusAccepted {
				taken <- a.Request
			}
			return true
		},
	})
	// The end of the connections is what was wanted, and only then is it sure
	// that the daemon is gone.
	select {
	case <-ended:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	close(taken)
	var acknowledged [][]byte
	for i := range taken {
		acknowledged = append(acknowledged, bodies[i])
	}
	if len(acknowledged) == 0 {
		return nil, fmt.Errorf("no event was acknowledged before the kill: %w", errors.Join(err, ctx.Err()))
	}
	return acknowledged, nil
}

// batches are n bodies of events, each event with an id of its own.
func batches(d *Daemon, n, rep int) [][]byte {
	out := make([][]byte, n)
	now := time.Now().UnixMilli()
	for i := range out {
		var body []byte
		for k := range batchEvents {
			e := i*batchEvents + k
			line, _ := json.Marshal(map[string]any{ // texts and numbers are always JSON
				"user_id": d.Users[e*7919%len(d.Users)], "item_id": d.Items[e%len(d.Items)], "event_type": "view",
				"ts": now, "event_id": fmt.Sprintf("recover-%d-%d", rep, e),
			})
			body = append(append(body, line...), '\n')
		}
		out[i] = body
	}
	return out
}

// live asks for a user's list until that is a live one.
func live(ctx context.Context, address, user string) error {
	path := "/v1/recommend?limit=20&user_id=" + url.QueryEscape(user)
	deadline := time.Now().Add(answerMost)
	for {
		body, err := serving.Ask(ctx, address, path)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil && serving.Live(body):
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("no live answer within %s of the start: %w: %.200s", answerMost, errors.Join(serving.ErrNotLive, err), body)
		}
		time.Sleep(askEvery)
	}
}

// again sends what was acknowledged once more, and counts what is taken as new:
// that much was lost.
func again(ctx context.Context, address string, bodies [][]byte) (lost float64, err error) {
	for _, body := range bodies {
		answer, err := serving.Send(ctx, address, batchKind, body)
		if err != nil {
			return 0, fmt.Errorf("send events again: %w", err)
		}
		var counts struct{ Accepted, Duplicate int }
		if err := json.Unmarshal(answer, &counts); err != nil || counts.Accepted+counts.Duplicate != batchEvents {
			return 0, fmt.Errorf("send events again: %.200s: %w", answer, errors.Join(errNotTaken, err))
		}
		lost += float64(counts.Accepted)
	}
	return lost, nil
}

// errNotTaken says that events were refused the second time.
var errNotTaken = errors.New("the answer does not count all events")
