package load

import "testing"

// TestTake: each connection is used once, then the one that was used last.
func TestTake(t *testing.T) {
	w := &worker{free: []int{0, 1, 2, 3}, unused: 4}
	seen := map[int]bool{w.take(): true, w.take(): true}
	w.free = append(w.free, 3)
	seen[w.take()], seen[w.take()] = true, true
	if len(seen) != 4 {
		t.Errorf("used at first: %v", seen)
	}
	w.free = append(w.free, 1, 2)
	if first, second := w.take(), w.take(); first != 2 || second != 1 {
		t.Errorf("then %d and %d, want the last ones", first, second)
	}
	if len(w.free) != 1 || w.take() != 3 {
		t.Errorf("the one that was free longest is not the last: %v", w.free)
	}
}
