package recommend

import (
	"math/bits"
	"slices"
)

// fill adds popular items to the frame until it has as many as are wanted,
// and after them, when there are not enough, the rest of the catalogue in the
// order of its codes: a list is as long as the catalogue allows. Behind live
// candidates they have score 0, for their popularity is on another scale, or
// less where those go lower, so that they stay behind when plugins sort anew.
func (e *Engine) fill(sc *scratch) {
	if sc.frame.Len() >= sc.want {
		return
	}
	e.mark(sc)
	behind := float32(0)
	score := &behind
	if sc.frame.Len() == 0 {
		score = nil
	} else if sc.sorts {
		behind = min(0, sc.frame.Scores[sc.frame.Len()-1])
	}
	if sc.open <= fewOpen {
		e.rankOpen(sc)
		e.offerRanked(sc, score)
	} else {
		e.take(sc, e.deps.Popularity.Popular, score)
	}
	e.offerFrom(sc, 0, sc.want, behind)
}

// fewOpen is how many items are ranked one by one for a list of popular ones: a
// filter may leave a few that stand far down the ranking of all.
const fewOpen = 4096

// mark notes what may not come into the frame, or is there already, and counts
// the others.
func (e *Engine) mark(sc *scratch) {
	items := e.deps.Shelf.NumItems()
	sc.taken = zeroBits(sc.taken, items)
	if rest := items % 64; rest != 0 {
		sc.taken[len(sc.taken)-1] = ^uint64(0) << rest
	}
	for _, c := range sc.conditions {
		words := c.selection.Words
		for w := range sc.taken {
			passes := uint64(0)
			if w < len(words) {
				passes = words[w]
			}
			if c.pass {
				passes = ^passes
			}
			sc.taken[w] |= passes
		}
	}
	for _, code := range sc.excluded {
		setBit(sc.taken, code)
	}
	for _, code := range sc.frame.Items {
		setBit(sc.taken, code)
	}
	sc.open = 0
	for _, word := range sc.taken {
		sc.open += bits.OnesCount64(^word)
	}
}

// rankOpen leaves in sc.popular those that may come into the frame, most popular
// first; only those that are popular at all.
func (e *Engine) rankOpen(sc *scratch) {
	p := &sc.popular
	p.Reset()
	for w, word := range sc.taken {
		for free := ^word; free != 0; free &= free - 1 {
			p.Items = append(p.Items, uint32(w*64+bits.TrailingZeros64(free)))
		}
	}
	p.Scores = slices.Grow(p.Scores, len(p.Items))[:len(p.Items)]
	e.deps.Popularity.Strengths(p.Items, p.Scores)
	sc.order = sc.order[:0]
	for j, score := range p.Scores {
		if score > 0 {
			sc.order = append(sc.order, falling(score)<<32|uint64(j))
		}
	}
	slices.Sort(sc.order)
	ranked := &sc.ranked
	empty(ranked)
	for _, key := range sc.order {
		ranked.Add(p.Items[uint32(key)], p.Scores[uint32(key)])
	}
	sc.popular, sc.ranked = sc.ranked, sc.popular
}

// offerRanked offers the items of sc.popular until there are as many candidates
// as are wanted; score is what each gets, nil for its own.
func (e *Engine) offerRanked(sc *scratch, score *float32) {
	for j := 0; j < sc.popular.Len() && sc.frame.Len() < sc.want; j++ {
		s := sc.popular.Scores[j]
		if score != nil {
			s = *score
		}
		e.offer(sc, sc.popular.Items[j], s)
	}
}

// offerFrom offers what may come into the frame from a code on, until it has so
// many candidates, and returns the code from which it can go on.
func (e *Engine) offerFrom(sc *scratch, code uint32, most int, score float32) uint32 {
	for int(code/64) < len(sc.taken) && sc.frame.Len() < most {
		free := ^sc.taken[code/64] >> (code % 64)
		if free == 0 {
			code = code/64*64 + 64
			continue
		}
		code += uint32(bits.TrailingZeros64(free))
		e.offer(sc, code, score)
		code++
	}
	return code
}

// offer adds an item that may be shown and is not there yet, as mark found. One
// that came after the bitmap was made waits for the next request.
func (e *Engine) offer(sc *scratch, code uint32, score float32) {
	if int(code/64) < len(sc.taken) && !hasBit(sc.taken, code) && !e.deps.Shelf.Expired(code, sc.frame.Now) {
		setBit(sc.taken, code)
		sc.open--
		sc.frame.Add(code, score)
	}
}

// zeroBits is a bitmap of n bits, all zero, in the memory of b if it fits.
func zeroBits(b []uint64, n int) []uint64 {
	words := (n + 63) / 64
	if cap(b) < words {
		return make([]uint64, words)
	}
	b = b[:words]
	clear(b)
	return b
}

// setBit sets a bit; one beyond the end is ignored.
func setBit(b []uint64, j uint32) {
	if w := int(j / 64); w < len(b) {
		b[w] |= 1 << (j % 64)
	}
}

func hasBit(b []uint64, j uint32) bool { return b[j/64]>>(j%64)&1 != 0 }
