package catalog

import (
	"fmt"
	"slices"
	"testing"

	"vitrine/appliance/frame"
	"vitrine/bridge/event"
)

func TestLatest(t *testing.T) {
	c := New()
	put := func(id string, at int64) { c.ApplyItem(&event.Item{ID: id, Time: at}, false) }
	list := func(n int, since int64) (ids []string) {
		var f frame.Frame
		c.Latest(n, since, &f)
		for _, code := range f.Items {
			ids = append(ids, c.ItemID(code))
		}
		return ids
	}
	if got := list(5, 0); got != nil {
		t.Errorf("an empty catalogue has %v", got)
	}
	put("a", 1000)
	put("c", 3000)
	put("b", 2000) // late
	put("a", 9000) // put again: it is as old as before
	c.InternItem("never put")
	if got := list(5, 0); !slices.Equal(got, []string{"c", "b", "a"}) {
		t.Error(got)
	}
	if got := list(5, 2000); !slices.Equal(got, []string{"c", "b"}) {
		t.Error(got)
	}
	if got := list(1, 0); !slices.Equal(got, []string{"c"}) {
		t.Error(got)
	}
	for n := range 3 * maxLatest {
		put(fmt.Sprint("n", n), int64(10_000+n))
	}
	got := list(maxLatest, 0)
	if len(got) != maxLatest || got[0] != fmt.Sprint("n", 3*maxLatest-1) || got[1] != fmt.Sprint("n", 3*maxLatest-2) {
		t.Errorf("%d items, %v", len(got), got[:2])
	}
	if n := len(c.latest.items); n > 2*maxLatest {
		t.Errorf("%d are remembered", n)
	}
}
