// Package serving measures a running appliance with a trained shop in it: ways
// of asking held against a hello-world, times beside ingest and training,
// overload, changes of the model, and how soon an event shows.
//
// It owns these measurements and their bars. How an appliance is started and
// filled, and what becomes of the figures, are its caller's.
package serving

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"vitrine/appliance/bench/load"
	"vitrine/appliance/bench/report"
	"vitrine/appliance/client"
	"vitrine/internal/pause"
)

// RequestID makes answers to the same request the same bytes.
const RequestID = "bench"

const (
	eventsPath = "/v1/events"
	// requestCount is how many different requests are sent in turn.
	requestCount = 2048
	// askedItems is the length of the lists asked for.
	askedItems = 20
	// maxAnswer bounds what is read of an answer outside the load.
	maxAnswer = 4 << 20
	// steadyRate is the promised rate, and eventRate that of the events beside.
	steadyRate = 5000
	eventRate  = 2000
)

// Shop is an appliance on this machine with a trained shop in it.
type Shop struct {
	// Address is host:port of its API.
	Address string
	// Socket is its admin socket, every route of which needs no key, and API a
	// client of that.
	Socket string
	API    *client.Client
	// CPU is the processor time that it has used.
	CPU func() time.Duration
	// Users have a history, Items several events.
	Users, Items []string
}

// Rhythm is how long measurements take.
type Rhythm struct {
	Warmup, Saturation, Open, Step time.Duration
	// Samples are the events that are followed to their effect.
	Samples int
}

// Bench is one run of these measurements.
type Bench struct {
	// Hello is the address of the reference, HelloCPU the processor time that it
	// has used.
	Hello       string
	HelloCPU    func() time.Duration
	Rhythm      Rhythm
	Repetitions int
	// Progress is told what is being done; Warn and Invalid what to doubt.
	Progress      func(stage string, done, total int64)
	Warn, Invalid func(format string, args ...any)
	// Figures are those found so far.
	Figures []report.Figure
}

// add keeps a figure.
func (b *Bench) add(f report.Figure) { b.Figures = append(b.Figures, f) }

// ErrNotLive says that a shop does not answer as a trained one should.
var ErrNotLive = errors.New("the answer is no live list")

// paths are the list requests of visitors, some of whom come far more often
// than others; query, when set, goes behind.
func (s *Shop) paths(query string) []string {
	rng := rand.New(rand.NewPCG(1, 8))
	zipf := rand.NewZipf(rng, 1.1, 10, uint64(len(s.Users)-1))
	paths := make([]string, requestCount)
	for i := range paths {
		paths[i] = fmt.Sprintf("/v1/recommend?limit=%d&user_id=%s%s", askedItems, url.QueryEscape(s.Users[zipf.Uint64()]), query)
	}
	return paths
}

// Gets are the requests for paths.
func Gets(address string, paths []string) [][]byte {
	out := make([][]byte, len(paths))
	for i, path := range paths {
		out[i] = fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nX-Request-ID: %s\r\n\r\n", path, address, RequestID)
	}
	return out
}

// posts are requests that send one event each, of visitors as they come.
func (s *Shop) posts() [][]byte {
	rng := rand.New(rand.NewPCG(1, 9))
	zipf := rand.NewZipf(rng, 1.1, 10, uint64(len(s.Users)-1))
	out := make([][]byte, requestCount)
	for i := range out {
		body := eventJSON(s.Users[zipf.Uint64()], s.Items[rng.IntN(len(s.Items))], "view")
		out[i] = load.Post(s.Address, eventsPath, "application/json", body)
	}
	return out
}

// eventJSON is an event that happens when it arrives.
func eventJSON(user, item, kind string) []byte {
	body, _ := json.Marshal(map[string]string{"user_id": user, "item_id": item, "event_type": kind}) // texts are always JSON
	return body
}

// Ask sends one request as everybody would, and wants status 200.
func Ask(ctx context.Context, address, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", address, err)
	}
	req.Header.Set("X-Request-ID", RequestID)
	return do(http.DefaultClient, req, http.StatusOK)
}

// errBusy says that a shop turns requests away.
var errBusy = errors.New("it is overloaded")

// do sends a request and wants a status.
func do(c *http.Client, req *http.Request, status int) ([]byte, error) {
	answer, err := c.Do(req)
	if err != nil {
		return nil, fmt.Errorf("reach the target: %w", err)
	}
	defer answer.Body.Close() //nolint:errcheck // read only
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if answer.StatusCode == http.StatusServiceUnavailable {
		return nil, fmt.Errorf("ask for %s: %w: %.200s", req.URL.Path, errBusy, body)
	}
	if answer.StatusCode != status {
		return nil, fmt.Errorf("ask for %s: it answers %s: %.200s", req.URL.Path, answer.Status, body)
	}
	return body, nil
}

// Parts of an answer: what changes with time comes behind afterItems.
var afterItems, liveSource, itemKey = []byte(`,"model":`), []byte(`"source":"live"`), []byte(`"item_id":`)

// Expect asks once for everything: the answers up to what changes with time.
func Expect(ctx context.Context, address string, paths []string) ([][]byte, error) {
	known := map[string][]byte{}
	want := make([][]byte, len(paths))
	for i, path := range paths {
		if known[path] == nil {
			body, err := patiently(ctx, address, path)
			if err != nil {
				return nil, err
			}
			known[path] = body[:bytes.Index(body, afterItems)]
		}
		want[i] = known[path]
	}
	return want, nil
}

// patiently asks until the answer is a live list: on a busy machine the first
// use of a filter may take longer than a list may, and a request that is alone
// may be turned away.
func patiently(ctx context.Context, address, path string) ([]byte, error) {
	const times, between = 10, 100 * time.Millisecond
	for n := 1; ; n++ {
		body, err := Ask(ctx, address, path)
		if err != nil && (!errors.Is(err, errBusy) || n == times) || full(body) {
			return body, err
		}
		if n == times {
			return nil, fmt.Errorf("ask for %s: %w: %s", path, ErrNotLive, body[max(0, bytes.Index(body, []byte(`],"source"`))):])
		}
		if err := pause.For(ctx, between); err != nil {
			return nil, err
		}
	}
}

// Knows tells whether an appliance makes a full list for a user.
func Knows(ctx context.Context, address, user string) (bool, error) {
	const times, between = 10, 100 * time.Millisecond
	path := fmt.Sprintf("/v1/recommend?limit=%d&user_id=%s", askedItems, url.QueryEscape(user))
	for n := 1; ; n++ {
		body, err := Ask(ctx, address, path)
		if again := errors.Is(err, errBusy) || lesser(body); !again || n == times {
			return full(body), err
		}
		if err := pause.For(ctx, between); err != nil {
			return false, err
		}
	}
}

// Live tells whether an answer is a live one.
func Live(body []byte) bool { return bytes.Contains(body, liveSource) }

// full tells whether an answer is a live list of the length asked for.
func full(body []byte) bool {
	return Live(body) && bytes.Count(body, itemKey) == askedItems && bytes.Contains(body, afterItems)
}

// saturate asks as fast as answers come. cost is the processor time of a
// request, the generator's share with it, in us.
func (b *Bench) saturate(ctx context.Context, opt load.Options, cpu func() time.Duration) (r *load.Result, cost float64, err error) {
	opt.Warmup, opt.Duration = b.Rhythm.Warmup, b.Rhythm.Saturation
	before := cpu()
	if r, err = load.Run(ctx, opt); err != nil {
		return nil, 0, err
	}
	return r, float64((cpu() - before + r.CPU).Nanoseconds()) / 1000 / float64(max(r.Total, 1)), nil
}
