package pages

import (
	"fmt"
	"testing"
)

// TestServedIsBounded: old lists are forgotten, new ones are whole.
func TestServedIsBounded(t *testing.T) {
	var s Served
	page := make([]uint32, 40)
	for j := range 2*maxLists + 77 {
		for k := range page {
			page[k] = uint32(j + k)
		}
		s.Add(fmt.Sprint(j), 5, 0, nil, page)
	}
	if len(s.byID) > maxLists || len(s.lists) > maxLists || len(s.items) > maxItems {
		t.Errorf("%d ids, %d lists, %d items", len(s.byID), len(s.lists), len(s.items))
	}
	items, user, ok := s.Find(fmt.Sprint(2*maxLists+76), 0, nil)
	if !ok || user != 5 || len(items) != 40 || items[3] != 2*maxLists+79 {
		t.Errorf("%v %v %v", items, user, ok)
	}
	for _, id := range []string{"0", fmt.Sprint(maxLists - 1), fmt.Sprint(maxLists + 76)} {
		if _, _, ok := s.Find(id, 0, nil); ok {
			t.Errorf("list %s is still there", id)
		}
	}
	// Under the same id again the newer list counts.
	s.Add("again", 1, 0, nil, page[:1])
	s.Add("again", 2, 0, nil, page[:2])
	if items, user, ok := s.Find("again", 0, nil); !ok || user != 2 || len(items) != 2 {
		t.Errorf("%v %v %v", items, user, ok)
	}
}
