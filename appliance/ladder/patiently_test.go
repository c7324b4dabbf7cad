package ladder

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/appliance/admit"
	"vitrine/appliance/httpapi"
	"vitrine/appliance/recommend"
)

// TestPatiently: who has time waits for room and gets whole lists or is told
// why not, never less than was asked for.
func TestPatiently(t *testing.T) { synctest.Test(t, patiently) }

func patiently(t *testing.T) {
	const n = recommend.BatchSize
	calls, broken := 0, errors.New("broken")
	m := &moody{live: func(context.Context) error {
		if calls++; calls == 3 {
			return broken
		}
		return nil
	}}
	l, _ := ladderOver(m, admit.Options{Slots: 1, Wait: time.Millisecond})
	lists, errs := make([]httpapi.List, n), make([]error, n)
	verdict := l.gate.Enter(t.Context())
	for ; verdict != admit.Work; verdict = l.gate.Enter(t.Context()) { // until it has the only slot
		l.gate.Leave(verdict)
	}
	waits := make(chan error)
	go func() { waits <- l.Patiently(t.Context(), queriesOf(n), lists, errs) }()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Patiently(gone, queriesOf(1), make([]httpapi.List, 1), make([]error, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	time.Sleep(5 * askAgain)
	synctest.Wait()
	select {
	case err := <-waits:
		t.Fatalf("it did not wait: %v", err)
	default:
	}
	l.gate.Leave(verdict)
	if err := <-waits; err != nil {
		t.Fatal(err)
	}
	for i, list := range lists {
		if i == 2 {
			if !errors.Is(errs[i], broken) {
				t.Errorf("%v", errs[i])
			}
		} else if errs[i] != nil || list.Source != httpapi.SourceLive || list.Picks[0].ItemID != fmt.Sprintf("u%d-0", i) {
			t.Errorf("list %d: %+v, %v", i, list, errs[i])
		}
	}
	// A plugin that had no time is asked again, but not for ever.
	asked := map[string]int{}
	m.plugins = func(user string) []httpapi.PluginCall {
		if asked[user]++; user == "u1" && asked[user] < 3 || user == "u9" {
			return []httpapi.PluginCall{{Status: "skipped"}}
		}
		return nil
	}
	if err := l.Patiently(t.Context(), queriesOf(n), lists, errs); err != nil || asked["u1"] != 3 || asked["u9"] != 1+askedAgain-2 || asked["u10"] != 1 || len(lists[1].Plugins) != 0 {
		t.Errorf("%v, asked %v", err, asked)
	}
	// A batch that panics is made one by one, and what was made is not kept for
	// others.
	m.batch = func([]httpapi.Query) { panic("oh no") }
	if err := l.Patiently(t.Context(), queriesOf(n), lists, errs); err != nil || errs[2] != nil || lists[2].Source != httpapi.SourceLive {
		t.Errorf("%v, %v, %+v", err, errs[2], lists[2])
	}
	if l.gate.InFlight() != 0 || len(l.turns) != 0 {
		t.Error("it has not left")
	}
}

// TestRestOfABatch: who makes lists beside others rests for as long as that took,
// but not for a time in which the machine stood still.
func TestRestOfABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		takes := time.Duration(0)
		m := &moody{batch: func([]httpapi.Query) { time.Sleep(takes) }}
		l, _ := ladderOver(m, admit.Options{Slots: 8})
		for _, c := range []struct {
			beside      bool
			takes, rest time.Duration
		}{{false, time.Minute, 0}, {true, 300 * time.Millisecond, 300 * time.Millisecond}, {true, time.Hour, maxRest}} {
			if c.beside {
				defer l.gate.Leave(l.gate.Enter(t.Context()))
			}
			takes = c.takes
			rest, err := l.patiently(t.Context(), queriesOf(4), make([]httpapi.List, 4), make([]error, 4))
			if err != nil || rest != c.rest {
				t.Errorf("%+v: it rests for %v, %v", c, rest, err)
			}
		}
	})
}
