package serving

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"vitrine/appliance/bench/load"
	"vitrine/appliance/client"
)

// askTimeout bounds one question to a target, which may be anything.
const askTimeout = 10 * time.Second

// Target is an appliance that somebody else runs. Its users are not known, so
// it is asked for the lists of visitors who have looked at popular items; its
// data may change while it is asked, so that only the form of an answer can be
// checked.
type Target struct {
	Address  string
	Requests [][]byte

	key string
}

// NewTarget asks an appliance on this machine what there is to ask for. key is
// the API key that it wants, "" for none.
func NewTarget(ctx context.Context, target, key string) (*Target, error) {
	address, err := loopback(target)
	if err != nil {
		return nil, err
	}
	t := &Target{Address: address, key: key}
	body, err := t.ask(ctx, "/v1/popular?limit=200")
	if err != nil {
		return nil, err
	}
	var popular client.Recommendations
	if err := json.Unmarshal(body, &popular); err != nil || len(popular.Items) == 0 {
		return nil, fmt.Errorf("%s answers no popular items: is it a vitrine with a catalogue?", target)
	}
	rng := rand.New(rand.NewPCG(1, 5))
	paths := make([]string, requestCount)
	for i := range paths {
		query := url.Values{"limit": {fmt.Sprint(askedItems)}}
		for range 3 {
			query.Add("session", popular.Items[rng.IntN(len(popular.Items))].ItemID)
		}
		paths[i] = "/v1/recommend?" + query.Encode()
	}
	t.Requests = Gets(t.Address, paths)
	if key != "" {
		for i, request := range t.Requests {
			head := bytes.TrimSuffix(request, []byte("\r\n"))
			t.Requests[i] = fmt.Appendf(head, "Authorization: Bearer %s\r\n\r\n", key)
		}
	}
	first, err := t.ask(ctx, paths[0])
	if err != nil {
		return nil, err
	}
	if t.Grade(0, first) == load.Wrong {
		return nil, fmt.Errorf("%s answers %.60q: is it a vitrine?", target, first)
	}
	return t, nil
}

// loopback is the address of a target's URL.
func loopback(target string) (string, error) {
	u, err := url.Parse(target)
	if err != nil || u.Scheme != "http" || u.Host == "" || (u.Path != "" && u.Path != "/") {
		return "", fmt.Errorf("the target %q must look like http://127.0.0.1:8080", target)
	}
	host, port := u.Hostname(), u.Port()
	if host == "localhost" {
		host = "127.0.0.1"
	}
	if port == "" {
		port = "80"
	}
	address, err := netip.ParseAddrPort(net.JoinHostPort(host, port))
	if err != nil || !address.Addr().IsLoopback() {
		return "", fmt.Errorf("the target %q must be on this machine, such as http://127.0.0.1:8080", target)
	}
	return address.String(), nil
}

// ask sends one request and wants status 200.
func (t *Target) ask(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+t.Address+path, nil)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", t.Address, err)
	}
	req.Header.Set("X-Request-ID", RequestID)
	if t.key != "" {
		req.Header.Set("Authorization", "Bearer "+t.key)
	}
	body, err := do(&http.Client{Timeout: askTimeout}, req, http.StatusOK)
	var where *url.Error
	if errors.As(err, &where) && ctx.Err() == nil { // it repeats the URL, and may hold whatever came
		err = fmt.Errorf("reach the target %s: %.100s", t.Address, strings.TrimPrefix(where.Err.Error(), "net/http: "))
	}
	return body, err
}

// Grade grades an answer by its form, as load.Options.Check does.
func (*Target) Grade(_ int, body []byte) load.Grade {
	if grade := Grade([]byte(`{"request_id":"`+RequestID+`"`), body); grade != load.Right || bytes.Contains(body, itemKey) {
		return grade
	}
	return load.Wrong
}

// Grade grades the answer for a list of which the beginning is known. Under
// load an appliance gives the last good list or popular items, and says so.
func Grade(want, body []byte) load.Grade {
	switch {
	case bytes.HasPrefix(body, want) && !lesser(body):
		return load.Right
	case lesser(body):
		return load.Lesser
	}
	return load.Wrong
}

func lesser(body []byte) bool {
	return bytes.Contains(body, dueToOverload) || bytes.Contains(body, dueToDeadline)
}

// The reasons of lesser answers.
var dueToOverload, dueToDeadline = []byte(`,"reason":"overload"`), []byte(`,"reason":"deadline"`)
