package ladder

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"vitrine/appliance/admit"
	"vitrine/appliance/httpapi"
	"vitrine/appliance/recommend"
)

// queriesOf asks for a list of two items for each of n users.
func queriesOf(n int) []httpapi.Query {
	qs := make([]httpapi.Query, n)
	for i := range qs {
		qs[i] = httpapi.Query{UserID: fmt.Sprint("u", i), Limit: 2, Now: 1000}
	}
	return qs
}

// TestLadderOfBatches: each list of a batch climbs down by itself, and a fault
// is told of by its place.
func TestLadderOfBatches(t *testing.T) {
	const n = 2*recommend.BatchSize + 5
	calls, broken := 0, errors.New("broken")
	m := &moody{live: func(context.Context) error {
		if calls++; calls%10 == 0 {
			return broken
		}
		return nil
	}}
	sizes := []int{}
	m.batch = func(qs []httpapi.Query) {
		if sizes = append(sizes, len(qs)); len(sizes) == 2 {
			panic("oh no")
		}
	}
	l, _ := ladderOver(m, admit.Options{})
	lists := make([]httpapi.List, n)
	if at, err := l.RecommendBatch(t.Context(), queriesOf(n), lists); err != nil {
		t.Fatal(at, err)
	}
	if want := []int{recommend.BatchSize, recommend.BatchSize, 5}; !slices.Equal(sizes, want) {
		t.Errorf("batches of %v, want %v", sizes, want)
	}
	for i, list := range lists {
		source, first := httpapi.SourceLive, fmt.Sprintf("u%d-0", i)
		if i%10 == 9 {
			source, first = httpapi.SourcePopular, "popular"
		}
		if list.Source != source || list.Picks[0].ItemID != first {
			t.Errorf("list %d: %+v", i, list)
		}
	}

	calls = 0
	m.live = func(context.Context) error {
		if calls++; calls == 41 {
			return &httpapi.Problem{Status: http.StatusBadRequest}
		}
		return nil
	}
	if at, err := l.RecommendBatch(t.Context(), queriesOf(n), lists); err == nil || at != 40 {
		t.Errorf("at %d: %v", at, err)
	}
}

// TestBatchesTakeTurns: of many batches one is under way where there is one
// turn, whoever has gone does not wait, and too many are refused. In a bubble
// nothing is looked at before all are where they wait, and one that is not let
// in ends the test at once.
func TestBatchesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, goOn := make(chan struct{}), make(chan struct{})
		m := &moody{batch: func([]httpapi.Query) {
			begun <- struct{}{}
			<-goOn
		}}
		l, _ := ladderOver(m, admit.Options{Slots: 8})
		var wg sync.WaitGroup
		ask := func(ctx context.Context) error {
			_, err := l.RecommendBatch(ctx, queriesOf(1), make([]httpapi.List, 1))
			return err
		}
		for range 3 {
			wg.Go(func() {
				if err := ask(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		<-begun
		synctest.Wait()
		select {
		case <-begun:
			t.Error("two batches are under way")
		default:
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := ask(gone); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		was := l.batches.Swap(maxBatches)
		if was != 3 {
			t.Errorf("%d batches, want 3", was)
		}
		var problem *httpapi.Problem
		if err := ask(t.Context()); !errors.As(err, &problem) || problem.Status != http.StatusServiceUnavailable {
			t.Errorf("%v", err)
		}
		l.batches.Add(was - maxBatches)
		// Single requests do not wait for them.
		var list httpapi.List
		if err := l.Recommend(t.Context(), &httpapi.Query{UserID: "u", Limit: 1}, &list); err != nil || list.Source != httpapi.SourceLive {
			t.Errorf("%v %+v", err, list)
		}
		close(goOn)
		for range 2 {
			<-begun
		}
		wg.Wait()
		if n := l.batches.Load(); n != 0 {
			t.Errorf("%d batches are left", n)
		}
	})
}

// TestBriefBatch: the lists of a batch are brief like any other, and none of them
// is the last good one.
func TestBriefBatch(t *testing.T) {
	m := &moody{}
	l, _ := ladderOver(m, admit.Options{})
	for _, c := range []struct {
		verdict admit.Verdict
		reason  string
		kept    bool
	}{{admit.Brief, recommend.ReasonOverload, false}, {admit.Work, "", true}} {
		m.batch = func(qs []httpapi.Query) {
			for _, q := range qs {
				if q.Brief != (c.verdict == admit.Brief) {
					t.Errorf("verdict %d: begun with brief %v", c.verdict, q.Brief)
				}
			}
		}
		qs, lists := queriesOf(3), make([]httpapi.List, 3)
		if at, err := l.lists(t.Context(), c.verdict, qs, lists); err != nil {
			t.Fatal(at, err)
		}
		for i, list := range lists {
			if list.Source != httpapi.SourceLive || list.Reason != c.reason {
				t.Errorf("verdict %d: %s %q", c.verdict, list.Source, list.Reason)
			}
			if got := l.kept.Get(&qs[i], &list, func(string, int64) bool { return true }); got != c.kept {
				t.Errorf("verdict %d: kept %v", c.verdict, got)
			}
		}
	}
}
