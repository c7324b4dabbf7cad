// Package storetest is the conformance suite of the stores that a mirror copies
// to: local disk, HDFS, WebHDFS. It is for tests.
package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"testing"
	"testing/iotest"
	"time"

	"vitrine/bridge/mirror"
)

// Run holds an empty store against what mirror.Store promises.
func Run(t *testing.T, s mirror.Store) {
	t.Run("write and read", func(t *testing.T) { writeAndRead(t, s) })
	t.Run("replace", func(t *testing.T) { replace(t, s) })
	t.Run("rename", func(t *testing.T) { rename(t, s) })
	t.Run("list", func(t *testing.T) { list(t, s) })
	t.Run("missing", func(t *testing.T) { missing(t, s) })
	t.Run("failing source", func(t *testing.T) { failingSource(t, s) })
	t.Run("cancelled", func(t *testing.T) { cancelled(t, s) })
}

// Bytes are n bytes that do not compress.
func Bytes(n int) []byte {
	out := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(out) // never fails
	return out
}

// Put writes a file or ends the test.
func Put(t *testing.T, s mirror.Store, path string, data []byte) {
	t.Helper()
	if err := s.Write(t.Context(), path, bytes.NewReader(data)); err != nil {
		t.Fatalf("Write(%s): %v", path, err)
	}
}

// Get reads a file or ends the test.
func Get(t *testing.T, s mirror.Store, path string) []byte {
	t.Helper()
	r, err := s.Open(t.Context(), path)
	if err != nil {
		t.Fatalf("Open(%s): %v", path, err)
	}
	data, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatalf("read %s: %v", path, err)
	}
	return data
}

func writeAndRead(t *testing.T, s mirror.Store) {
	// 20 MB is more than one packet, one buffer, and with small blocks one block.
	for _, size := range []int{0, 1, 511, 512, 65536, 20 << 20} {
		want := Bytes(size)
		Put(t, s, "a/b/file", want)
		got := Get(t, s, "a/b/file")
		if len(got) != size || sha256.Sum256(got) != sha256.Sum256(want) {
			t.Errorf("%d bytes written, %d other ones read", size, len(got))
		}
	}
}

func replace(t *testing.T, s mirror.Store) {
	Put(t, s, "replace/x", []byte("the first is longer"))
	Put(t, s, "replace/x", []byte("second"))
	if got := Get(t, s, "replace/x"); string(got) != "second" {
		t.Errorf("read %q, want the second", got)
	}
}

func rename(t *testing.T, s mirror.Store) {
	Put(t, s, "stage/x", []byte("new"))
	Put(t, s, "place/dt=2026-11-25/x", []byte("old"))
	if err := s.Rename(t.Context(), "stage/x", "place/dt=2026-11-25/x"); err != nil {
		t.Fatal(err)
	}
	if got := Get(t, s, "place/dt=2026-11-25/x"); string(got) != "new" {
		t.Errorf("read %q after the rename, want new", got)
	}
	if _, err := s.Open(t.Context(), "stage/x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the old place: %v, want fs.ErrNotExist", err)
	}
	Put(t, s, "stage/y", []byte("y"))
	if err := s.Rename(t.Context(), "stage/y", "place/dt=2026-11-26/deep/y"); err != nil {
		t.Errorf("rename into a folder that is not there: %v", err)
	}
	if err := s.Rename(t.Context(), "stage/none", "place/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("rename of a file that is not there: %v, want fs.ErrNotExist", err)
	}
}

func list(t *testing.T, s mirror.Store) {
	Put(t, s, "list/b", Bytes(700))
	Put(t, s, "list/a", nil)
	Put(t, s, "list/sub/c", nil)
	entries, err := s.List(t.Context(), "list")
	if err != nil {
		t.Fatal(err)
	}
	want := []mirror.Entry{{Name: "a"}, {Name: "b", Bytes: 700}, {Name: "sub", Dir: true}}
	if len(entries) != len(want) {
		t.Fatalf("listed %v, want %v", entries, want)
	}
	for i, e := range entries {
		if e.Dir {
			e.Bytes = 0 // that of a folder means nothing
		}
		if e != want[i] {
			t.Errorf("entry %d is %v, want %v", i, e, want[i])
		}
	}
	if err := s.Remove(t.Context(), "list/a"); err != nil {
		t.Error(err)
	}
	if entries, err := s.List(t.Context(), "list"); err != nil || len(entries) != 2 {
		t.Errorf("after Remove: %v, %v", entries, err)
	}
}

func missing(t *testing.T, s mirror.Store) {
	if entries, err := s.List(t.Context(), "no/such/folder"); err != nil || len(entries) != 0 {
		t.Errorf("List of no folder: %v, %v", entries, err)
	}
	if _, err := s.Open(t.Context(), "no/such/file"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open: %v, want fs.ErrNotExist", err)
	}
	if err := s.Remove(t.Context(), "no/such/file"); err != nil {
		t.Errorf("Remove: %v", err)
	}
}

// failingSource: what could not be read to its end is no success.
func failingSource(t *testing.T, s mirror.Store) {
	broken := errors.New("disk on fire")
	src := io.MultiReader(bytes.NewReader(Bytes(200_000)), iotest.ErrReader(broken))
	if err := s.Write(t.Context(), "failing", src); !errors.Is(err, broken) {
		t.Errorf("Write: %v, want the source's error", err)
	}
	Put(t, s, "again", []byte("whole"))
	if got := Get(t, s, "again"); string(got) != "whole" {
		t.Errorf("after the second try: %d bytes", len(got))
	}
}

// soon is longer than any pause of a busy machine, and shorter than Patience,
// which a call takes that waits for the other side.
const soon = Patience / 3

// Patience is how long a store here shall wait for the other side: nothing is
// judged by it, and a machine with much else to do takes a part of it.
const Patience = time.Minute

func cancelled(t *testing.T, s mirror.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	begin := time.Now()
	_, listErr := s.List(ctx, "")
	_, openErr := s.Open(ctx, "a/b/file")
	for name, err := range map[string]error{
		"List": listErr, "Open": openErr, "Write": s.Write(ctx, "never", bytes.NewReader(nil)),
		"Rename": s.Rename(ctx, "a/b/file", "never"), "Remove": s.Remove(ctx, "a/b/file"),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want context.Canceled", name, err)
		}
	}
	if took := time.Since(begin); took > soon {
		t.Errorf("took %v, want less than %v", took, soon)
	}
	if got := Get(t, s, "a/b/file"); len(got) != 20<<20 {
		t.Errorf("the file has %d bytes", len(got))
	}
}
