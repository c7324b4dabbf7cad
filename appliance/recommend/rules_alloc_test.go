//go:build !race

package recommend

import (
	"context"
	"testing"
)

// TestRulesDoNotMakeRecommendAllocate: five rules, a filter and new items cost
// no memory once the scratch has grown.
func TestRulesDoNotMakeRecommendAllocate(t *testing.T) {
	e, s := ruled(t, `{"action":"exclude","filter":"7/100"},{"action":"bury","filter":"8/100"},{"action":"pin","item_id":"i5","slot":3},
		{"action":"boost","filter":"9/10","factor":1.5},{"action":"quota","attribute":"category","most":3},{"action":"diversity","strength":0.3}`)
	b := &boutique{shop: s, fresh: []uint32{950, 960}}
	e.deps.News, e.deps.Columns, e.deps.Codes = b, b, b
	req := Request{UserID: "u1", Limit: 20, Now: 2000, Filter: "0/1", RequestID: "r"}
	var resp Response
	if n := testing.AllocsPerRun(50, func() { _ = e.Recommend(context.Background(), &req, &resp) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
