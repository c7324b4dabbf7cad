//go:build !race

package signal

import "testing"

func TestWeighDoesNotAllocate(t *testing.T) {
	s := mustNew(t, Config{})
	h := bench500()
	dst := s.Weigh(h, 0, nil)
	if n := testing.AllocsPerRun(100, func() { dst = s.Weigh(s.Trim(h), 0, dst) }); n > 0.5 {
		t.Errorf("%v allocations", n)
	}
}
