package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	"vitrine/appliance/bench/gap"
	"vitrine/appliance/bench/load"
	"vitrine/appliance/bench/process"
	"vitrine/appliance/bench/report"
	"vitrine/appliance/bench/scorer"
	"vitrine/appliance/bench/serving"
	"vitrine/appliance/client"
	"vitrine/appliance/demo"
	"vitrine/bridge/event"
)

const (
	// requestCount is how many different requests are sent in turn.
	requestCount = 2048
	// itemEvents are how many an item has that a model knows well.
	itemEvents = 3
	// askedItems is the length of the lists asked for.
	askedItems = 20
)

// subject is a server under load.
type subject struct {
	// name is the case in figure names.
	name    string
	address string
	// process is nil for one that was running already; dir is its data folder.
	process *process.Process
	dir     string
	gaps    *gap.Meter
	// users have a history, items several events; empty for a target.
	users, items []string
	requests     [][]byte
	// check grades answers, as load.Options has it.
	check func(request int, body []byte) load.Grade
	close func()
}

// hello starts the reference.
func (r *run) hello(ctx context.Context) (*subject, error) {
	p, address, err := process.StartServer(ctx, r.opt.ChildCommand(ChildHello), nil)
	if err != nil {
		return nil, err
	}
	s := &subject{name: "hello", address: address, process: p, close: p.Stop}
	want, err := serving.Ask(ctx, address, "/")
	if err != nil {
		p.Stop()
		return nil, err
	}
	s.requests = serving.Gets(address, []string{"/"})
	s.check = func(_ int, body []byte) load.Grade {
		if !bytes.Equal(body, want) {
			return load.Wrong
		}
		return load.Right
	}
	return s, nil
}

// settings of an appliance under load: those given, on ports of its own, with
// nothing going on beside the requests.
func (r *run) settings() []string {
	settings := append(slices.Clone(r.opt.Settings), "kafka.brokers=", "bus.url=embedded", "archive.url=file:archive", "redis.publish=false", // no shop's
		"http.listen=127.0.0.1:0", "http.admin_listen=127.0.0.1:0", "train.schedule=off", "log.level=error")
	if r.own != nil { // it stays as it is, whatever its age
		settings = append(settings, "archive.retention=0", "archive.compact_every=24h")
	}
	return settings
}

// shopSpec is a generated shop, whose items have the columns f0 to f15 that the
// scorer reads where scored is set.
type shopSpec struct {
	demo.Config
	scored bool
}

// columns are those of one item, all small, so that scores stay what they are
// for the most part.
func (s *shopSpec) columns() []event.Attribute {
	if !s.scored {
		return nil
	}
	out := make([]event.Attribute, scorer.Columns)
	for i := range out {
		const small = 1e-3
		out[i] = event.Attribute{Name: fmt.Sprintf("f%d", i), Value: event.Value{Kind: event.Number, Num: small * float64(i)}}
	}
	return out
}

// appliance starts one of our own on a folder of its own, with the archive that
// is measured, or a generated shop that is filled in through its front door, and
// trains it.
func (r *run) appliance(ctx context.Context, shop shopSpec) (s *subject, err error) {
	dir, err := os.MkdirTemp(r.opt.TempDir, "vitrine-bench-")
	if err != nil {
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	s = &subject{name: report.Short(shop.Items), dir: dir}
	if r.own != nil {
		s.name = ownCase
	}
	s.close = func() {
		if s.process != nil {
			s.process.Stop()
		}
		if e := os.RemoveAll(dir); e != nil {
			r.warn("the data folder of the run could not be removed: %v", e)
		}
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	stage := "serve." + s.name + "."
	r.opt.Progress(stage+"start", 0, 0)
	if r.own != nil {
		if err := r.own.Put(ctx, dir); err != nil {
			return nil, err
		}
	}
	if err := r.start(ctx, s); err != nil {
		return nil, err
	}
	api := client.NewSocket(s.socket())
	defer api.Close()
	if r.own == nil {
		if s.users, s.items, err = r.fill(ctx, api, shop, stage); err != nil {
			return nil, fmt.Errorf("fill the shop: %w", err)
		}
	}
	job, err := serving.Train(ctx, api, func(what string, done, total int64) { r.opt.Progress(stage+"train "+what, done, total) })
	switch {
	case err != nil:
	case job.Verdict == nil:
		err = errors.New("the model was not published")
	case !job.Verdict.Published:
		err = refused("the model was not published", job.Verdict.Reason)
	}
	if err != nil {
		return nil, fmt.Errorf("train the shop: %w", err)
	}
	if r.own != nil {
		err = r.sample(ctx, s)
	}
	return s, err
}

// start starts the appliance of a folder, with further settings. One that runs
// is stopped before.
func (r *run) start(ctx context.Context, s *subject, settings ...string) error {
	if s.process != nil {
		s.process.Stop()
		s.process = nil
	}
	gaps := gap.NewMeter()
	p, address, err := process.StartServer(ctx, r.opt.ServeCommand(s.dir, append(r.settings(), settings...)), gaps.Line)
	if err != nil {
		return err
	}
	gaps.Ask = p.Stdin
	s.process, s.address, s.gaps = p, address, gaps
	return nil
}

// socket is the path of the admin socket.
func (s *subject) socket() string { return filepath.Join(s.dir, "admin.sock") }

// asked asks a shop for the lists of its users once, and makes these answers
// the right ones.
func (r *run) asked(ctx context.Context, s *subject) error {
	paths := make([]string, requestCount)
	rng := rand.New(rand.NewPCG(1, 4))
	zipf := rand.NewZipf(rng, 1.1, 10, uint64(len(s.users)-1))
	for i := range paths {
		// Half of the visitors come evenly, half as a few regulars would.
		user := s.users[rng.IntN(len(s.users))]
		if i%2 == 0 {
			user = s.users[zipf.Uint64()]
		}
		paths[i] = fmt.Sprintf("/v1/recommend?limit=%d&user_id=%s", askedItems, url.QueryEscape(user))
	}
	r.opt.Progress("serve."+s.name+".ask", 0, 0)
	want, err := serving.Expect(ctx, s.address, paths)
	if err != nil {
		return err
	}
	s.requests = serving.Gets(s.address, paths)
	s.check = func(n int, body []byte) load.Grade { return serving.Grade(want[n], body) }
	return nil
}

// fill sends items and events, and returns the users who have some and the
// items that have several.
func (r *run) fill(ctx context.Context, api *client.Client, shop shopSpec, stage string) (users, liked []string, err error) {
	items := func(write func([]byte) error) error {
		var line []byte
		return demo.Fill(shop.Config, demo.Sink{Items: func(it event.Item) error {
			id := event.Value{Kind: event.String, Str: it.ID}
			line = append(event.AppendValueJSON(append(line[:0], `{"item_id":`...), &id), ',')
			attributes := event.AppendAttributesJSON(nil, append(it.Attributes, shop.columns()...))
			return write(append(append(line, attributes[1:]...), '\n'))
		}})
	}
	known, seen := map[string]bool{}, map[string]int{}
	done := int64(0)
	events := func(write func([]byte) error) error {
		var line []byte
		return demo.Fill(shop.Config, demo.Sink{Events: func(e event.Event) error {
			if !known[e.UserID] {
				known[e.UserID] = true
				users = append(users, e.UserID)
			}
			if seen[e.ItemID]++; seen[e.ItemID] == itemEvents {
				liked = append(liked, e.ItemID)
			}
			if done++; done%10_000 == 0 {
				r.opt.Progress(stage+"fill", done, int64(shop.Events))
			}
			line = append(event.AppendEventJSON(line[:0], &e), '\n')
			return write(line)
		}})
	}
	if err := r.send(ctx, api, client.ImportFileParams{Name: new("items.ndjson"), Kind: new(client.ImportFileParamsKind("items"))}, items); err != nil {
		return nil, nil, err
	}
	err = r.send(ctx, api, client.ImportFileParams{Name: new("events.ndjson")}, events)
	return users, liked, err
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

// running is an appliance that somebody else runs.
func running(ctx context.Context, target, key string) (*subject, error) {
	t, err := serving.NewTarget(ctx, target, key)
	if err != nil {
		return nil, err
	}
	return &subject{name: "target", address: t.Address, requests: t.Requests, check: t.Grade, close: func() {}}, nil
}
