package admit

import "sync/atomic"

// Budget is an amount that many share, such as bytes of bodies in memory.
type Budget struct {
	most int64
	used atomic.Int64
}

// NewBudget returns a budget of most units.
func NewBudget(most int64) *Budget { return &Budget{most: most} }

// Take takes n units, all or none.
func (b *Budget) Take(n int64) bool {
	if b.used.Add(n) > b.most {
		b.used.Add(-n)
		return false
	}
	return true
}

// Give gives n units back.
func (b *Budget) Give(n int64) { b.used.Add(-n) }

// Used is how much is taken.
func (b *Budget) Used() int64 { return b.used.Load() }
