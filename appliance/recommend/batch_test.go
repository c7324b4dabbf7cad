package recommend

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"vitrine/appliance/frame"
)

// TestBatchEqualsSingleRequests: each list of a batch is the one that a request
// of its own gets, whatever is mixed in it, also while items expire.
func TestBatchEqualsSingleRequests(t *testing.T) {
	const list = `{"action":"exclude","filter":"7/100"},{"action":"bury","filter":"8/10"},{"action":"pin","item_id":"i999","slot":3},
		{"action":"boost","filter":"9/10","factor":1.5},{"action":"cap","times":2,"window":"1h"}`
	for _, rules := range []string{"", list} {
		for _, blended := range []bool{false, true} {
			t.Run(fmt.Sprintf("rules=%v/blended=%v", rules != "", blended), func(t *testing.T) {
				var engines [2]*Engine
				for k := range engines {
					e, s := ruled(t, rules)
					for user := range uint32(40) {
						s.history[100+user] = taste(user*7%900, user*13%900, 950+user)
					}
					s.history[99] = frame.Frame{}
					s.history[98] = taste(950) // the model knows nothing of it
					if blended {
						e.Swap(newBlendedView(t, newModel(900, 8), 0, newSet(t, 900, 2000), nil))
					}
					engines[k] = e
				}
				checkBatches(t, engines[0], engines[1])
			})
		}
	}
}

func checkBatches(t *testing.T, single, together *Engine) {
	t.Helper()
	var reqs []Request
	for j := range 3 * BatchSize {
		req := Request{UserID: fmt.Sprint("u", 100+j%40), Limit: 5 + j%30, Now: int64(1000 + j), RequestID: fmt.Sprint("r", j)}
		switch j % 8 {
		case 1:
			req.ExcludeSeen, req.Exclude = true, []string{"i3", "i17"}
		case 2:
			req.Filter = "1/3"
		case 3:
			req.UserID, req.Session = "", []string{"i5", "i9"}
		case 4:
			req.UserID = []string{"u99", "u98", "nobody"}[j/8%3]
		case 5:
			req.Scene = []string{SceneProduct, SceneBuyAgain, SceneTrending}[j/8%3]
			req.Session = []string{"i8"}
		case 6: // the next page of one in the same batch
			req.After, req.UserID = fmt.Sprint("r", j-6), fmt.Sprint("u", 100+(j-6)%40)
		case 7:
			req.Explain = ExplainItems
			if j == 15 {
				req.Scene = "nowhere"
			}
		}
		reqs = append(reqs, req)
	}
	common := 0
	for lo := 0; lo < len(reqs); lo += BatchSize {
		b := together.Batch(context.Background(), reqs[lo:min(lo+BatchSize, len(reqs))])
		common += len(b.of)
		for i := range b.n { // a search for boosted scores is cheaper alone
			if b.asked[i].settled && b.asked[i].sc.lift != nil {
				common++
			}
		}
		for i := range b.n {
			var want, got Response
			wanted := single.Recommend(context.Background(), &reqs[lo+i], &want)
			failed := b.List(context.Background(), i, &got)
			if fmt.Sprint(wanted) != fmt.Sprint(failed) || !reflect.DeepEqual(want, got) {
				t.Errorf("request %+v\nin a batch %v %+v\nalone      %v %+v", reqs[lo+i], failed, got, wanted, want)
			}
		}
		b.End()
	}
	if common < len(reqs)/3 {
		t.Errorf("%d of %d lists share a search", common, len(reqs))
	}
}

// A batch whose caller has gone makes no more lists, and a used one none of the
// requests before.
func TestBatchEnds(t *testing.T) {
	e, _ := ruled(t, "")
	ctx, cancel := context.WithCancel(context.Background())
	b := e.Batch(context.Background(), []Request{{UserID: "u1"}, {UserID: "u1"}})
	var resp Response
	if err := b.List(ctx, 0, &resp); err != nil || len(resp.Items) == 0 {
		t.Error(err)
	}
	cancel()
	if err := b.List(ctx, 1, &resp); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	b.End()
	b = e.Batch(context.Background(), []Request{{UserID: "nobody", Limit: 3}})
	if err := b.List(context.Background(), 0, &resp); err != nil || resp.Reason != ReasonUnknownUser || len(resp.Items) != 3 {
		t.Errorf("%v %+v", err, resp)
	}
	b.End()
}
