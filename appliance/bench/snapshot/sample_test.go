package snapshot

import (
	"fmt"
	"testing"
)

// A draw keeps few of many, counts those whole, and is the same in any order.
func TestDraw(t *testing.T) {
	const ids, most = 5000, 50
	times := func(i int) int { return 1 + i%7 }
	var before []string
	for _, backwards := range []bool{false, true} {
		d := newDraw(most)
		for round := range 7 {
			for n := range ids {
				i := n
				if backwards {
					i = ids - 1 - n
				}
				if round < times(i) {
					d.add(fmt.Sprintf("user-%d", i))
				}
				if len(d.kept) >= 2*most {
					t.Fatalf("%d are kept", len(d.kept))
				}
			}
		}
		got := d.atLeast(1)
		if len(got) != most {
			t.Fatalf("%d are drawn", len(got))
		}
		for n, id := range got {
			var i int
			if _, err := fmt.Sscanf(id, "user-%d", &i); err != nil || d.kept[id].times != times(i) {
				t.Errorf("%s is counted %d times, %v", id, d.kept[id].times, err)
			}
			if n > 0 && d.kept[got[n-1]].times < d.kept[id].times {
				t.Errorf("%s comes before one with more", got[n-1])
			}
		}
		if backwards && fmt.Sprint(got) != fmt.Sprint(before) {
			t.Errorf("another order draws others:\n%v\n%v", got, before)
		}
		before = got
	}
}
