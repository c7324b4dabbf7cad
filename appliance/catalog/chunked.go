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
