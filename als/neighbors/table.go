package neighbors

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"

	"vitrine/als/internal/cores"
	"vitrine/als/internal/keys"
	"vitrine/als/neighbors/pairs"
)

// Table lists the best neighbours of every item. Its three slices are all
// there is to store; row i is Items[Start[i]:Start[i+1]] with Scores beside it,
// highest score first, equal ones by rising item.
type Table struct {
	// Start has one entry more than there are items, the first is 0.
	Start []int64
	// Items are the neighbours.
	Items []uint32
	// Scores are finite.
	Scores []float32
}

// Len is the number of rows.
func (t *Table) Len() int { return max(len(t.Start)-1, 0) }

// Row returns item i's neighbours and their scores; both alias the table. An
// item beyond the table has none.
func (t *Table) Row(i uint32) ([]uint32, []float32) {
	if int64(i) >= int64(t.Len()) {
		return nil, nil
	}
	lo, hi := t.Start[i], t.Start[i+1]
	return t.Items[lo:hi], t.Scores[lo:hi]
}

// Check reports the first thing that makes t no table, for slices that were
// not built here. It allocates nothing.
func (t *Table) Check() error {
	if err := checkStart(t.Start, len(t.Items)); err != nil {
		return fmt.Errorf("check table: %w", err)
	}
	if len(t.Scores) != len(t.Items) {
		return fmt.Errorf("check table: %d scores for %d neighbours", len(t.Scores), len(t.Items))
	}
	for n, item := range t.Items {
		if int64(item) >= int64(t.Len()) {
			return fmt.Errorf("check table: neighbour %d of %d items", item, t.Len())
		}
		if v := t.Scores[n]; v-v != 0 {
			return fmt.Errorf("check table: score %d is %v", n, v)
		}
	}
	return nil
}

// DefaultDecay is the weight of an item in a history relative to the one that
// came after it.
const DefaultDecay = 0.6

// negligible is the weight below which older items of a history are left out.
const negligible = 0.01

// Lookup answers histories from a table: the sum of the rows of the items in
// the history, the newest with weight 1 and every older one with Decay times
// the weight of the one after it.
type Lookup struct {
	Table *Table
	// Decay is within 0 to 1; 0 is DefaultDecay, 1 weighs all alike.
	Decay float32
	// Last is how many of the newest items count; 0 is all whose weight is at
	// least a hundredth.
	Last int
}

// Score implements Source.
func (l *Lookup) Score(history []uint32, out *Scores, _ *Scratch) {
	decay := l.Decay
	if decay == 0 {
		decay = DefaultDecay
	}
	if l.Last > 0 && len(history) > l.Last {
		history = history[len(history)-l.Last:]
	}
	weight := float32(1)
	for last := len(history); last > 0 && weight >= negligible; {
		// The first of so many rows is read ahead: walks to memory that do not wait
		// for each other cost little more than one.
		const ahead = 10
		next := history[max(last-ahead, 0):last]
		for _, item := range next {
			if items, scores := l.Table.Row(item); len(items) > 0 {
				out.read += items[0] ^ math.Float32bits(scores[0])
			}
		}
		for n := len(next) - 1; n >= 0 && weight >= negligible; n-- {
			items, scores := l.Table.Row(next[n])
			out.addAll(items, scores, weight)
			weight *= decay
		}
		last -= len(next)
	}
}

// unitRows is the number of items a worker takes at a time. Popular items cost
// much more than others, so few at a time let the workers end together.
const unitRows = 16

// rowsOf computes tables: row leaves the scores of one item in out, and is
// called from several goroutines. Every row is computed by one of them alone,
// so their number makes no difference to the result.
type rowsOf struct {
	items   int
	top     int // 0 is DefaultTop
	workers int // 0 is GOMAXPROCS
	// absolute keeps the scores farthest from 0 rather than the highest.
	absolute bool
	row      func(item uint32, out *Scores)
	// Instead of row: pairs leaves sums in out, to be divided by the roots of
	// masses.
	pairs  func(item uint32, out *pairs.Sums)
	masses *pairs.Masses
}

// counter is one goroutine's working memory.
type counter struct {
	scores Scores
	sums   *pairs.Sums
}

// piece is the part of a table that one unit of work made.
type piece struct {
	lengths []int64
	items   []uint32
	scores  []float32
}

func (b rowsOf) build(ctx context.Context) (*Table, error) {
	if b.top == 0 {
		b.top = DefaultTop
	}
	pieces := make([]piece, (b.items+unitRows-1)/unitRows)
	idle := sync.Pool{New: func() any { return &counter{sums: pairs.New(b.items)} }}
	err := cores.Each(ctx, b.workers, len(pieces), func(n int) {
		c := idle.Get().(*counter)
		for item := n * unitRows; item < min((n+1)*unitRows, b.items); item++ {
			if b.pairs != nil {
				b.pairs(uint32(item), c.sums)
				pieces[n].keep(c.sums.Best(uint32(item), b.top, b.masses))
				continue
			}
			c.scores.Reset(b.items)
			b.row(uint32(item), &c.scores)
			pieces[n].take(&c.scores, uint32(item), b.top, b.absolute)
		}
		idle.Put(c)
	})
	if err != nil {
		return nil, err
	}
	return join(pieces, b.items), nil
}

// take keeps the best of an item's row. Zeros, NaN and the item itself are no
// neighbours.
func (p *piece) take(out *Scores, self uint32, top int, absolute bool) {
	out.keys = out.keys[:0]
	for _, item := range out.Items() {
		v := out.sums[item]
		if absolute {
			v = float32(math.Abs(float64(v)))
		}
		if item != self && v-v == 0 && v > 0 {
			out.keys = append(out.keys, keys.Of(v, item))
		}
	}
	best := keys.Smallest(out.keys, top)
	if absolute {
		for n, key := range best {
			_, item := keys.Split(key)
			v, _ := out.Get(item)
			best[n] = keys.Of(v, item)
		}
	}
	slices.Sort(best)
	p.keep(best)
}

// keep appends a row.
func (p *piece) keep(best []uint64) {
	for _, key := range best {
		v, item := keys.Split(key)
		p.items = append(p.items, item)
		p.scores = append(p.scores, v)
	}
	p.lengths = append(p.lengths, int64(len(best)))
}

// join lays the pieces end to end, and frees each once it is copied.
func join(pieces []piece, items int) *Table {
	t := &Table{Start: make([]int64, 1, items+1)}
	total := 0
	for _, p := range pieces {
		total += len(p.items)
	}
	t.Items = make([]uint32, 0, total)
	t.Scores = make([]float32, 0, total)
	for n, p := range pieces {
		for _, length := range p.lengths {
			t.Start = append(t.Start, t.Start[len(t.Start)-1]+length)
		}
		t.Items = append(t.Items, p.items...)
		t.Scores = append(t.Scores, p.scores...)
		pieces[n] = piece{}
	}
	return t
}
