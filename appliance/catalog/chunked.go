package catalog

import "sync/atomic"

// chunked is an append-only array that is read without a lock while one
// writer grows it: the directory of chunks is copied when a chunk is added,
// so that no element ever moves.
type chunked[T any] struct {
	dir atomic.Pointer[[]*[chunkSize]T]
}

const (
	chunkBits = 12
	chunkSize = 1 << chunkBits
)

// at is element j, nil beyond the end.
func (c *chunked[T]) at(j uint32) *T {
	dir := c.dir.Load()
	if dir == nil || int(j>>chunkBits) >= len(*dir) {
		return nil
	}
	return &(*dir)[j>>chunkBits][j%chunkSize]
}

// grow makes room for element j and returns it. One writer at a time.
func (c *chunked[T]) grow(j uint32) *T {
	if el := c.at(j); el != nil {
		return el
	}
	var dir []*[chunkSize]T
	if old := c.dir.Load(); old != nil {
		dir = append(dir, *old...)
	}
	for len(dir) <= int(j>>chunkBits) {
		dir = append(dir, new([chunkSize]T))
	}
	c.dir.Store(&dir)
	return c.at(j)
}

// flags is a bit for every code, read without a lock while one writer sets it.
type flags struct {
	words chunked[atomic.Uint32] // bit code%32 of word code/32
}

// has tells whether a flag is up.
func (f *flags) has(code uint32) bool {
	word := f.words.at(code / 32)
	return word != nil && word.Load()>>(code%32)&1 != 0
}

// set puts a flag up or down.
func (f *flags) set(code uint32, up bool) {
	switch bit := uint32(1) << (code % 32); {
	case up:
		f.words.grow(code / 32).Or(bit)
	case f.has(code):
		f.words.at(code / 32).And(^bit)
	}
}
