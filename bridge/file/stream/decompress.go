package stream

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"
)

// maxDictionary bounds what a compressed file can make us allocate. It covers
// xz -9 (64 MiB) and zstd -19 (8 MiB), not zstd --ultra --long=31.
const maxDictionary = 128 << 20

// decompress looks at the first bytes, not at the name: a .csv that is really
// a .gz is read too.
//
// A decompressor runs in a goroutine of its own, beside the parser.
func decompress(ctx context.Context, r io.Reader, name string) (io.Reader, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	magic, err := in.Peek(6)
	if err != nil && err != io.EOF {
		return nil, readFault(name, err, 0)
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, readFault(name, err, 0)
		}
		return newReadAhead(ctx, z, z.Close), nil
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxDictionary))
		if err != nil {
			return nil, readFault(name, err, 0)
		}
		return newReadAhead(ctx, z, z.IOReadCloser().Close), nil
	case bytes.HasPrefix(magic, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		z, err := xz.NewReader(in, maxDictionary)
		if err != nil {
			return nil, readFault(name, err, 0)
		}
		return newReadAhead(ctx, z, nil), nil
	case bytes.HasPrefix(magic, []byte("BZh")), bytes.HasPrefix(magic, []byte("PK\x03\x04")):
		return nil, Errorf(name, CodeUnknownFormat, "it is a bzip2 or zip archive; gzip, zstd and xz are read").
			WithHint("unpack it, or pipe it through gzip")
	}
	return in, nil
}

// readFault turns the error of a read into the fault of the file. Errors that
// are not the file's pass through.
func readFault(name string, err error, line int64) error {
	where := "before the first row"
	if line > 0 {
		where = "after line " + itoa(line)
	}
	var broken *sourceError
	switch {
	case errors.As(err, &broken):
		return fmt.Errorf("read %s: %w", name, broken.err)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, xz.ErrBuf):
		return Errorf(name, CodeTruncated, "truncated: the compressed data breaks off %s; the complete rows before it count", where).
			WithHint("get the whole file and import it again: rows that are in already are not doubled")
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum),
		errors.Is(err, xz.ErrData), errors.Is(err, xz.ErrFormat), errors.Is(err, xz.ErrOptions), errors.Is(err, xz.ErrUnsupportedCheck),
		errors.Is(err, zstd.ErrCRCMismatch), errors.Is(err, zstd.ErrMagicMismatch), errors.Is(err, zstd.ErrReservedBlockType):
		return Errorf(name, CodeCorrupt, "corrupt: the compressed data is damaged, found %s (%v); rows were read before, and some of them may be wrong", where, err).
			WithHint("get the file again and import it again; look for rows that only this import added")
	case errors.Is(err, xz.ErrMemlimit), errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return Errorf(name, CodeUnknownFormat, "its compression window is larger than %d MiB", maxDictionary>>20).
			WithHint("compress it again at a usual level")
	}
	return err
}

// readAhead reads in a goroutine of its own, so that what takes time there
// (the network, the disk, a decompressor) does not stop the reader of it.
type readAhead struct {
	blocks  chan block
	free    chan []byte
	current block
	rest    []byte
	ctx     context.Context
}

type block struct {
	data []byte
	err  error
}

// blockBytes and blockCount bound what lies between the source and the parser.
const (
	blockBytes = 256 << 10
	blockCount = 4
)

// newReadAhead starts to read r. release, unless nil, is called when r will not
// be read any more.
func newReadAhead(ctx context.Context, r io.Reader, release func() error) *readAhead {
	a := &readAhead{
		blocks: make(chan block, blockCount),
		free:   make(chan []byte, blockCount+2),
		ctx:    ctx,
	}
	go func() {
		a.run(r)
		if release != nil {
			// Nothing is lost by an error here: all was read or given up.
			_ = release()
		}
	}()
	return a
}

func (a *readAhead) run(r io.Reader) {
	for a.ctx.Err() == nil {
		var buf []byte
		select {
		case buf = <-a.free:
		default:
			buf = make([]byte, blockBytes)
		}
		n, err := r.Read(buf[:blockBytes])
		select {
		case a.blocks <- block{data: buf[:n], err: err}:
		case <-a.ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// Read implements io.Reader.
func (a *readAhead) Read(p []byte) (int, error) {
	for len(a.rest) == 0 {
		if a.current.err != nil {
			return 0, a.current.err
		}
		if a.current.data != nil {
			select {
			case a.free <- a.current.data[:blockBytes]:
			default:
			}
		}
		select {
		case a.current = <-a.blocks:
			a.rest = a.current.data
		case <-a.ctx.Done():
			return 0, a.ctx.Err()
		}
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

// origin marks the errors of the file's own source, so that an upload that
// breaks off is not taken for a damaged archive.
type origin struct{ r io.Reader }

// Read implements io.Reader.
func (s origin) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		err = &sourceError{err}
	}
	return n, err
}

type sourceError struct{ err error }

func (e *sourceError) Error() string { return e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }
