package ids

import (
	"fmt"
	"testing"
)

func TestSetIsExact(t *testing.T) {
	s := NewSet()
	for round := range 2 {
		for i := range 50_000 {
			if !s.Add(fmt.Sprint("id", i)) {
				t.Fatalf("round %d: id %d was never added", round, i)
			}
		}
		for i := range 50_000 {
			if s.Add(fmt.Sprint("id", i)) {
				t.Fatalf("round %d: id %d was forgotten", round, i)
			}
		}
		s.Reset()
	}
}

// TestEnter: whatever the hashes have in common.
func TestEnter(t *testing.T) {
	for _, shift := range []int{0, 32, 54} {
		table := make([]uint64, 2048)
		for again := range 2 {
			for h := uint64(1); h <= 1000; h++ {
				if Enter(table, h<<shift) == (again == 1) {
					t.Fatalf("hash %d<<%d, again %d", h, shift, again)
				}
			}
		}
	}
}
