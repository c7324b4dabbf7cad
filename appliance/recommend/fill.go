package recommend

// fill adds popular items to the frame until it has as many as are wanted,
// and after them, when there are not enough, the rest of the catalogue in the
// order of its codes: a list is as long as the catalogue allows. Behind live
// candidates they have score 0, for their popularity is on another scale, or
// less where those go lower, so that they stay behind when plugins sort anew.
func (e *Engine) fill(sc *scratch) {
	if sc.frame.Len() >= sc.want {
		return
	}
	items := e.deps.Shelf.NumItems()
	e.mark(sc)
	behind := float32(0)
	if sc.frame.Len() == 0 {
		e.take(sc, e.deps.Popularity.Popular, nil)
	} else {
		if sc.sorts {
			behind = min(0, sc.frame.Scores[sc.frame.Len()-1])
		}
		e.take(sc, e.deps.Popularity.Popular, &behind)
	}
	for code := uint32(0); int(code) < items && sc.frame.Len() < sc.want; code++ {
		e.offer(sc, code, behind)
	}
}

// offer adds an item that may be shown and is not there yet. One that came
// after the bitmap was made waits for the next request.
func (e *Engine) offer(sc *scratch, code uint32, score float32) {
	if int(code/64) < len(sc.taken) && !hasBit(sc.taken, code) && sc.fulfils(code) && !e.deps.Shelf.Expired(code, sc.frame.Now) {
		setBit(sc.taken, code)
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
