package rules

import (
	"math"
	"math/rand/v2"
	"testing"

	"vitrine/appliance/frame"
)

// list is a column of the values of items 0, 1, ...
type list []uint32

func (list) Kind() frame.Kind { return frame.Text }

func (l list) Gather(dst, codes []uint32) {
	for j, code := range codes {
		dst[j] = l[code]
	}
}

// TestQuotaCounts: whatever values there are, many of which share a place in the
// table, as many are taken as a map would have it.
func TestQuotaCounts(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	var q quota
	for range 200 {
		limit, kinds := 1+rng.IntN(40), 1+rng.IntN(30)
		values, items := make(list, 300), make([]uint32, 300)
		for j := range values {
			values[j], items[j] = uint32(rng.IntN(kinds))<<rng.IntN(30), uint32(j)
		}
		most := rng.IntN(5)
		q.begin(&step{Rule: Rule{Most: most}}, values, items, limit)
		counts, taken := map[uint32]int{}, 0
		for j, value := range values {
			if taken == limit {
				break
			}
			if want := value != 0 && counts[value] >= most; q.used(j) != want {
				t.Fatalf("value %d, %d of %d on the page: used up is %v", value, counts[value], most, !want)
			} else if !want {
				q.count(value)
				counts[value]++
				taken++
			}
		}
	}
}

// numbers is a column of numbers.
type numbers struct{ list }

func (numbers) Kind() frame.Kind { return frame.Number }

// TestQuotaPassesOverWhatIsAbsent: items without the attribute are no kind of
// their own, be it a text or a number, of which 0 is one like any other.
func TestQuotaPassesOverWhatIsAbsent(t *testing.T) {
	absent, two := math.Float32bits(float32(math.NaN())), math.Float32bits(2)
	for _, c := range []struct {
		column frame.Column
		used   []bool
	}{
		{list{0, 0, 2, 2}, []bool{false, false, false, true}},
		{numbers{list{absent, absent, two, two}}, []bool{false, false, false, true}},
		{numbers{list{absent, 0, 0, absent}}, []bool{false, false, true, false}},
	} {
		var q quota
		q.begin(&step{Rule: Rule{Most: 1}}, c.column, []uint32{0, 1, 2, 3}, 4)
		for j, want := range c.used {
			if got := q.used(j); got != want {
				t.Errorf("%v: item %d: used up is %v", c.column, j, got)
			}
			q.count(q.values[j])
		}
	}
}
