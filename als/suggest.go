package als

import "math"

// Suggested for data of a size:
const (
	// denseUser is how many cells a user has from which on the defaults hold.
	// With fewer the unobserved ones weigh less, by the fourth power: where
	// everybody is known by a handful of cells, as in sessions, most of what is
	// not among them was not declined but not seen. The less they hold a vector
	// down, the more the regularization must, up to four times as much; and the
	// frequency scales, which take from what is seen most, fade.
	denseUser = 8
	// leastUnobserved bounds what that leaves.
	leastUnobserved = 4
	// smallSide is how many rows the smaller side has from which on DefaultRank
	// holds; of fewer, a rank of a quarter of them is enough.
	smallSide = 4 * DefaultRank
	leastRank = 16
)

// Suggest returns o with what is zero in it chosen by rule for data of a shape,
// which counts the users and items that have cells. What it leaves zero has its
// default. The rule was chosen on validation parts of shops' data from four to
// sixty cells a user (docs/RATIONALE.md has the table).
func Suggest(s Shape, o Options) Options {
	if o.Rank == 0 {
		if side := min(s.Users, s.Items); side < smallSide {
			o.Rank = max((side/4+7)/8*8, leastRank)
		}
	}
	if o.explicit() {
		return o
	}
	dense := min(math.Pow(float64(s.Cells)/float64(max(s.Users, 1))/denseUser, 4), 1)
	if o.Unobserved == 0 && o.Alpha0 == 0 {
		o.Unobserved = max(DefaultUnobserved*dense, leastUnobserved)
	}
	if o.Lambda == 0 {
		o.Lambda = DefaultLambda * (4 - 3*dense)
	}
	if o.FrequencyPower == nil {
		o.FrequencyPower = new(DefaultFrequencyPower * dense)
	}
	return o
}
