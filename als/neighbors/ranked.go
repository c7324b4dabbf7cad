package neighbors

import "fmt"

// Ranked is a list of items that is the same for everybody, best first. Its
// two slices are all there is to store.
type Ranked struct {
	Items  []uint32
	Scores []float32
}

// Score implements Source: the whole list, whatever the history.
func (r *Ranked) Score(_ []uint32, out *Scores, _ *Scratch) {
	out.addAll(r.Items, r.Scores, 1)
}

// list implements lister.
func (r *Ranked) list() (items []uint32, scores []float32) { return r.Items, r.Scores }

// Check reports the first thing that makes r no list over the given number of
// items.
func (r *Ranked) Check(items int) error {
	if len(r.Items) != len(r.Scores) {
		return fmt.Errorf("check ranked items: %d scores for %d items", len(r.Scores), len(r.Items))
	}
	for n, item := range r.Items {
		if v := r.Scores[n]; int64(item) >= int64(items) || v-v != 0 || (n > 0 && r.Scores[n-1] < v) {
			return fmt.Errorf("check ranked items: item %d with score %v at place %d", item, v, n)
		}
	}
	return nil
}
