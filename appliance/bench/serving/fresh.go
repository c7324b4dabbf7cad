package serving

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"vitrine/appliance/bench/report"
)

const (
	// barFresh is the time from sending an event to an answer that is another, in
	// ms at the 99th percentile.
	barFresh = 50
	// longHistory are the events of a user who has been here before.
	longHistory = 100
	// regulars are the users with such a history; each is followed several times.
	regulars = 25
	// freshMost is how long an answer may stay the same before that is a failure.
	freshMost = 5 * time.Second
)

// Fresh sends events, with the promised number of others beside, and asks until
// the answer is another: for visitors who are new, and for some with a history
// of 100 events.
func (b *Bench) Fresh(ctx context.Context, s *Shop) error {
	b.Progress("fresh.histories", 0, 0)
	rng := rand.New(rand.NewPCG(1, 10))
	for n := range regulars {
		var batch bytes.Buffer
		for range longHistory {
			batch.Write(append(eventJSON(regular(n), s.Items[rng.IntN(len(s.Items))], "view"), '\n'))
		}
		if err := s.post(ctx, "application/x-ndjson", batch.Bytes()); err != nil {
			return err
		}
	}
	events, err := s.beside(ctx, func() error {
		for _, c := range []struct {
			name string
			user func(n int) string
		}{
			{"new", func(n int) string { return fmt.Sprintf("bench-new-%d", n) }},
			{"history_100", func(n int) string { return regular(n % regulars) }},
		} {
			var took []float64
			for n := range b.Rhythm.Samples {
				b.Progress("fresh."+c.name, int64(n), int64(b.Rhythm.Samples))
				t, err := s.effect(ctx, c.user(n), s.Items[rng.IntN(len(s.Items))])
				if err != nil {
					return fmt.Errorf("%s: %w", c.name, err)
				}
				took = append(took, report.Milliseconds(t))
			}
			b.add(report.New("fresh."+c.name+".p50", "ms", report.Lower, report.Quantile(took, 0.5)))
			b.add(report.New("fresh."+c.name+".p99", "ms", report.Lower, report.Quantile(took, 0.99)).WithBar(barFresh))
		}
		return nil
	})
	if err != nil {
		return err
	}
	b.add(report.New("fresh.beside.events", "1/s", report.Higher, events.Achieved))
	b.add(report.New("fresh.beside.failed", "", report.Lower, float64(events.Wrong+events.Failed)).WithBar(0))
	return nil
}

func regular(n int) string { return fmt.Sprintf("bench-regular-%d", n) }

// errSame says that an event had no effect.
var errSame = errors.New("the answer is the same as before the event")

// effect is how long it takes from sending an event to having another answer.
func (s *Shop) effect(ctx context.Context, user, item string) (time.Duration, error) {
	path := fmt.Sprintf("/v1/recommend?limit=%d&user_id=%s", askedItems, url.QueryEscape(user))
	before, err := s.list(ctx, path)
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	if err := s.post(ctx, "application/json", eventJSON(user, item, "cart")); err != nil {
		return 0, err
	}
	for time.Since(begin) < freshMost {
		now, err := s.list(ctx, path)
		if err != nil {
			return 0, err
		}
		if !bytes.Equal(before, now) {
			return time.Since(begin), nil
		}
	}
	return 0, fmt.Errorf("user %s, item %s: %w", user, item, errSame)
}

// list is an answer up to what changes with time.
func (s *Shop) list(ctx context.Context, path string) ([]byte, error) {
	body, err := Ask(ctx, s.Address, path)
	if err != nil {
		return nil, err
	}
	end := bytes.Index(body, afterItems)
	if end < 0 {
		return nil, fmt.Errorf("ask for %s: %w: %.200s", path, ErrNotLive, body)
	}
	return body[:end], nil
}

// post sends events.
func (s *Shop) post(ctx context.Context, kind string, body []byte) error {
	_, err := Send(ctx, s.Address, kind, body)
	return err
}

// Send sends events as everybody would, and wants status 202.
func Send(ctx context.Context, address, kind string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+eventsPath, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("send events: %w", err)
	}
	req.Header.Set("Content-Type", kind)
	return do(http.DefaultClient, req, http.StatusAccepted)
}
