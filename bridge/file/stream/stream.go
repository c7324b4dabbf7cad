// Package stream is the lowest layer of reading a file of rows: from its bytes,
// compressed or not, to a window on lines of text, and the faults of a whole
// file.
//
// It owns the decompressors and is their only door. It must not import anything
// of this module.
//
//	w, err := stream.Open(ctx, r, "shop.csv.xz")
//	line, n, whole, ok := w.PhysicalLine()
package stream

import (
	"context"
	"io"
)

// Open looks at the text in r, which is read and decompressed in goroutines of
// their own until ctx ends. What is no text is refused. The name is for faults.
func Open(ctx context.Context, r io.Reader, name string) (*Window, error) {
	plain, err := decompress(ctx, newReadAhead(ctx, origin{r}, nil), name)
	if err != nil {
		return nil, err
	}
	w := NewWindow(plain)
	return w, w.start(name)
}
