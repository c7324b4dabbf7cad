package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"vitrine/appliance/bench/gap"
	"vitrine/appliance/client"
	"vitrine/appliance/demo"
	"vitrine/bridge/event"
)

const (
	// requestCount is how many different requests are sent in turn.
	requestCount = 2048
	// askedItems is the length of the lists asked for.
	askedItems = 20
	// benchRequestID makes answers to the same request the same bytes.
	benchRequestID = "bench"
	// maxAnswer bounds what is read of an answer outside the load.
	maxAnswer = 4 << 20
)

// afterItems begins the part of an answer that changes with time: all before
// it must stay as it was.
var afterItems = []byte(`,"model":`)

// subject is a server under load.
type subject struct {
	// name is the case in figure names.
	name    string
	address string
	// process is nil for one that was running already; dir is its data folder.
	process  *process
	dir      string
	gaps     *gap.Meter
	requests [][]byte
	// check tells right answers, as load.Options has it.
	check func(request int, body []byte) bool
	close func()
}

// hello starts the reference.
func (r *run) hello(ctx context.Context) (*subject, error) {
	p, address, err := startServer(ctx, r.opt.ChildCommand(ChildHello), nil)
	if err != nil {
		return nil, err
	}
	s := &subject{name: "hello", address: address, process: p, close: p.stop}
	want, err := ask(ctx, address, "/")
	if err != nil {
		p.stop()
		return nil, err
	}
	s.requests = [][]byte{request(address, "/")}
	s.check = func(_ int, body []byte) bool { return bytes.Equal(body, want) }
	return s, nil
}

// settings of an appliance under load: those given, on ports of its own, with
// nothing going on beside the requests.
func (r *run) settings() []string {
	return append(slices.Clone(r.opt.Settings),
		"http.listen=127.0.0.1:0", "http.admin_listen=127.0.0.1:0", "train.schedule=off", "log.level=error")
}

// appliance starts one of our own on a folder of its own, fills a generated
// shop in through its front door, and trains it.
func (r *run) appliance(ctx context.Context, shop demo.Config) (s *subject, err error) {
	dir, err := os.MkdirTemp(r.opt.TempDir, "vitrine-bench-")
	if err != nil {
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	remove := func() {
		if e := os.RemoveAll(dir); e != nil {
			r.warn("the data folder of the run could not be removed: %v", e)
		}
	}
	stage := "serve." + short(shop.Items) + "."
	r.opt.Progress(stage+"start", 0, 0)
	gaps := gap.NewMeter()
	p, address, err := startServer(ctx, r.opt.ServeCommand(dir, r.settings()), gaps.Line)
	if err != nil {
		remove()
		return nil, err
	}
	gaps.Ask = p.stdin
	s = &subject{name: short(shop.Items), address: address, process: p, dir: dir, gaps: gaps, close: func() { p.stop(); remove() }}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	api := client.NewSocket(filepath.Join(dir, "admin.sock"))
	defer api.Close()
	users, err := r.fill(ctx, api, shop, stage)
	if err != nil {
		return nil, fmt.Errorf("fill the shop: %w", err)
	}
	if err := r.trainShop(ctx, api, stage); err != nil {
		return nil, fmt.Errorf("train the shop: %w", err)
	}
	paths := make([]string, requestCount)
	rng := rand.New(rand.NewPCG(1, 4))
	zipf := rand.NewZipf(rng, 1.1, 10, uint64(len(users)-1))
	for i := range paths {
		// Half of the visitors come evenly, half as a few regulars would.
		user := users[rng.IntN(len(users))]
		if i%2 == 0 {
			user = users[zipf.Uint64()]
		}
		paths[i] = fmt.Sprintf("/v1/recommend?limit=%d&user_id=%s", askedItems, url.QueryEscape(user))
	}
	r.opt.Progress(stage+"ask", 0, 0)
	return s, s.expect(ctx, paths)
}

// fill sends items and events, and returns the users who have some.
func (r *run) fill(ctx context.Context, api *client.Client, shop demo.Config, stage string) ([]string, error) {
	items := func(write func([]byte) error) error {
		var line []byte
		return demo.Fill(shop, demo.Sink{Items: func(it event.Item) error {
			id := event.Value{Kind: event.String, Str: it.ID}
			line = append(event.AppendValueJSON(append(line[:0], `{"item_id":`...), &id), ',')
			attributes := event.AppendAttributesJSON(nil, it.Attributes)
			return write(append(append(line, attributes[1:]...), '\n'))
		}})
	}
	var users []string
	known := map[string]bool{}
	done := int64(0)
	events := func(write func([]byte) error) error {
		var line []byte
		return demo.Fill(shop, demo.Sink{Events: func(e event.Event) error {
			if !known[e.UserID] {
				known[e.UserID] = true
				users = append(users, e.UserID)
			}
			if done++; done%10_000 == 0 {
				r.opt.Progress(stage+"fill", done, int64(shop.Events))
			}
			line = append(event.AppendEventJSON(line[:0], &e), '\n')
			return write(line)
		}})
	}
	if err := r.send(ctx, api, client.ImportFileParams{Name: new("items.ndjson"), Kind: new(client.ImportFileParamsKind("items"))}, items); err != nil {
		return nil, err
	}
	return users, r.send(ctx, api, client.ImportFileParams{Name: new("events.ndjson")}, events)
}

// pipeBuffer gathers lines into writes that are worth handing over.
const pipeBuffer = 256 << 10

// send imports the lines that produce writes, and hashes them.
func (r *run) send(ctx context.Context, api *client.Client, params client.ImportFileParams, produce func(write func([]byte) error) error) error {
	reader, pipe := io.Pipe()
	produced := make(chan error, 1)
	go func() {
		buffer := bufio.NewWriterSize(io.MultiWriter(pipe, r.data), pipeBuffer)
		err := produce(func(line []byte) error {
			_, err := buffer.Write(line)
			return err
		})
		err = errors.Join(err, buffer.Flush())
		_ = pipe.CloseWithError(err)
		produced <- err
	}()
	got, err := api.Import(ctx, reader, params)
	_ = reader.Close() // ends the producer where the import ended early
	if e := <-produced; err == nil && e != nil {
		err = e
	}
	switch {
	case err != nil:
		return err
	case got.Accepted != got.Read:
		return fmt.Errorf("of %d rows %d were accepted and %d rejected", got.Read, got.Accepted, got.Rejected)
	}
	return nil
}

// trainShop trains and wants the model published.
func (r *run) trainShop(ctx context.Context, api *client.Client, stage string) error {
	job, err := api.StartJob(ctx, client.JobRequest{Kind: client.Train})
	if err != nil {
		return err
	}
	const poll = 50 * time.Millisecond
	job, err = api.WaitJob(ctx, job.ID, poll, func(j *client.Job) {
		if p := j.Progress; p != nil {
			r.opt.Progress(stage+"train "+p.Stage, p.Done, p.Total)
		}
	})
	switch {
	case err != nil:
		return err
	case job.State == client.Failed:
		return errors.New(job.Error)
	case job.Verdict == nil || !job.Verdict.Published:
		return errors.New("the model was not published")
	}
	return nil
}

// running is an appliance that somebody else runs. Its users are not known, so
// it is asked for the lists of visitors who have looked at popular items; its
// data may change while it is asked, so that only the form of an answer can be
// checked.
func running(ctx context.Context, target string) (*subject, error) {
	u, err := url.Parse(target)
	if err != nil || u.Scheme != "http" || (u.Path != "" && u.Path != "/") {
		return nil, fmt.Errorf("the target %q must look like http://127.0.0.1:8080", target)
	}
	host := u.Host
	if name, port, found := strings.Cut(host, ":"); name == "localhost" && found {
		host = "127.0.0.1:" + port
	}
	address, err := netip.ParseAddrPort(host)
	if err != nil || !address.Addr().IsLoopback() {
		return nil, fmt.Errorf("the target %q must be on this machine, such as http://127.0.0.1:8080", target)
	}
	s := &subject{name: "target", address: address.String(), close: func() {}}
	body, err := ask(ctx, s.address, "/v1/popular?limit=200")
	if err != nil {
		return nil, err
	}
	var popular client.Recommendations
	if err := json.Unmarshal(body, &popular); err != nil || len(popular.Items) == 0 {
		return nil, fmt.Errorf("%s answers no popular items: is it a vitrine with a catalogue?", target)
	}
	rng := rand.New(rand.NewPCG(1, 5))
	for range requestCount {
		query := url.Values{"limit": {fmt.Sprint(askedItems)}}
		for range 3 {
			query.Add("session", popular.Items[rng.IntN(len(popular.Items))].ItemID)
		}
		s.requests = append(s.requests, request(s.address, "/v1/recommend?"+query.Encode()))
	}
	begin, items := []byte(`{"request_id":"`+benchRequestID+`"`), []byte(`"items":[{"item_id":`)
	s.check = func(_ int, body []byte) bool { return bytes.HasPrefix(body, begin) && bytes.Contains(body, items) }
	first, err := ask(ctx, s.address, "/v1/recommend?session="+url.QueryEscape(popular.Items[0].ItemID))
	if err != nil {
		return nil, err
	}
	if !s.check(0, first) {
		return nil, fmt.Errorf("%s answers %.60q: is it a vitrine?", target, first)
	}
	return s, nil
}

// expect asks once for everything and makes these answers the right ones.
func (s *subject) expect(ctx context.Context, paths []string) error {
	known := map[string][]byte{}
	want := make([][]byte, len(paths))
	for i, path := range paths {
		if known[path] == nil {
			body, err := ask(ctx, s.address, path)
			if err != nil {
				return err
			}
			if err := personal(body); err != nil {
				return fmt.Errorf("ask for %s: %w", path, err)
			}
			known[path] = body[:bytes.Index(body, afterItems)]
		}
		want[i] = known[path]
		s.requests = append(s.requests, request(s.address, path))
	}
	s.check = func(n int, body []byte) bool { return bytes.HasPrefix(body, want[n]) }
	return nil
}

// personal checks that an answer is the full list of a known visitor.
func personal(body []byte) error {
	var list client.Recommendations
	if err := json.Unmarshal(body, &list); err != nil {
		return fmt.Errorf("understand the answer: %w", err)
	}
	if len(list.Items) != askedItems || list.Source != "live" || !bytes.Contains(body, afterItems) {
		return fmt.Errorf("a live list of %d was wanted, not %d items, source %s, reason %q", askedItems, len(list.Items), list.Source, list.Reason)
	}
	return nil
}

// request is the request for a path.
func request(address, path string) []byte {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nX-Request-ID: %s\r\n\r\n", path, address, benchRequestID)
}

// ask sends one request as everybody would, and wants status 200.
func ask(ctx context.Context, address, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", address, err)
	}
	req.Header.Set("X-Request-ID", benchRequestID)
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("reach the target: %w", err)
	}
	defer answer.Body.Close() //nolint:errcheck // read only
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", address, err)
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask %s for %s: it answers %s", address, path, answer.Status)
	}
	return body, nil
}
