package rules

import (
	"math/bits"
	"slices"

	"vitrine/appliance/frame"
)

// quota is a rule under which a page stands.
type quota struct {
	step   *step
	column frame.Column
	// values are those of the candidates: dictionary codes, or bits of numbers.
	values []uint32
	absent uint32
	// counts of values on the page lie in a table with twice as many places as
	// the page has, or more: one is found at the first look mostly, where a map
	// takes some 10 ns.
	counts []count
	shift  int
}

// count is how many items of a value are on the page; 0 for a free place.
type count struct {
	value uint32
	items int32
}

// begin looks the candidates' values up for a page of at most limit items.
func (q *quota) begin(st *step, column frame.Column, items []uint32, limit int) {
	q.step, q.column, q.absent = st, column, column.Kind().Absent()
	q.values = slices.Grow(q.values[:0], len(items))[:len(items)]
	column.Gather(q.values, items)
	log := bits.Len(uint(2 * max(limit, 1)))
	q.shift = 32 - log
	q.counts = slices.Grow(q.counts[:0], 1<<log)[:1<<log]
	clear(q.counts)
}

// find is the place of a value, a free one where there is none.
func (q *quota) find(value uint32) *count {
	at := int(value * 0x9e3779b1 >> q.shift)
	for q.counts[at].items != 0 && q.counts[at].value != value {
		at = (at + 1) & (len(q.counts) - 1)
	}
	return &q.counts[at]
}

// used tells whether candidate j is of a value of which there are as many on the
// page as there may be.
func (q *quota) used(j int) bool {
	return q.values[j] != q.absent && int(q.find(q.values[j]).items) >= q.step.Most
}

// count counts an item of a value.
func (q *quota) count(value uint32) {
	c := q.find(value)
	c.value = value
	c.items++
}
