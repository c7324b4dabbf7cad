package jetstream

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// threeSegments is a log of three segments and how many frames it has, the middle one
// of them with frames from first to last.
func threeSegments(t *testing.T) (dir string, all []segment, first, last, frames uint64) {
	t.Helper()
	dir = t.TempDir()
	b := open(t, Options{Dir: dir})
	frames = fill(t, b, 24, 900_000)
	_ = b.Close()
	all, err := segments(filepath.Join(dir, storeDir))
	if err != nil || len(all) != 3 {
		t.Fatalf("%d segments, %v", len(all), err)
	}
	data, err := os.ReadFile(all[1].path)
	if err != nil {
		t.Fatal(err)
	}
	if err := (&walker{fn: func(seq uint64, _ []byte) error {
		if first == 0 {
			first = seq
		}
		last = seq
		return nil
	}}).segment(data, all[1].number, false); err != nil {
		t.Fatal(err)
	}
	return dir, all, first, last, frames
}

// lostIn are the losses without their time.
func lostIn(t *testing.T, b *Bus) []Loss {
	t.Helper()
	out := b.Stats(t.Context()).Losses
	for i := range out {
		out[i].Found = time.Time{}
	}
	return out
}

// A segment that the disk cannot give keeps the log from opening, and the error says
// which, and what lets the rest start. Nothing is given up before that was done.
func TestUnreadableSegment(t *testing.T) {
	if testing.Short() {
		t.Skip("it writes 100 MB, and nothing in it is concurrent")
	}
	t.Parallel()
	for _, n := range []int{0, 1, 2} {
		dir, all, first, last, frames := threeSegments(t)
		path := all[n].path
		if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o750)); err != nil {
			t.Fatal(err)
		}
		var fault *Fault
		if _, err := Open(t.Context(), Options{Dir: dir}); !errors.As(err, &fault) || !strings.Contains(fault.Error(), path) || !errors.Is(err, syscall.EISDIR) {
			t.Fatalf("open: %v", err)
		}
		_, what, ok := strings.Cut(fault.Hint, ": mv ")
		// A shell must not take the $G in it for its own.
		words := strings.Split(what, "'")
		if !ok || len(words) < 4 || words[1] != path {
			t.Fatalf("hint: %s", fault.Hint)
		}
		if err := os.Rename(words[1], words[3]); err != nil {
			t.Fatal(err)
		}
		want := [][]Loss{{{First: 1, Last: first - 1}}, {{First: first, Last: last}}, {{First: last + 1, Last: last + 1}}}[n]
		b := open(t, Options{Dir: dir})
		if got := lostIn(t, b); !slices.Equal(got, want) {
			t.Errorf("without segment %d: lost %v, want %v", n, got, want)
		}
		if n < 2 {
			check(t, b, want[0].Last+1, frames)
		}
		_ = b.Close()
		if again := lostIn(t, open(t, Options{Dir: dir})); !slices.Equal(again, want) {
			t.Errorf("at the next start: lost %v, want %v", again, want)
		}
	}
}

// A segment in the middle that is not there any more is a loss, which is named.
func TestMissingSegment(t *testing.T) {
	if testing.Short() {
		t.Skip("it writes 30 MB, and nothing in it is concurrent")
	}
	t.Parallel()
	dir, all, first, last, frames := threeSegments(t)
	if err := os.Remove(all[1].path); err != nil {
		t.Fatal(err)
	}
	b := open(t, Options{Dir: dir})
	if got := lostIn(t, b); !slices.Equal(got, []Loss{{First: first, Last: last}}) {
		t.Errorf("lost %v, want %d to %d", got, first, last)
	}
	check(t, b, last+1, frames)
}

// renamedSegment is a folder of five frames whose only segment was said to be damaged.
func renamedSegment(t *testing.T) (dir string, frames uint64) {
	t.Helper()
	dir = t.TempDir()
	b := open(t, Options{Dir: dir})
	frames = fill(t, b, 5, 1000)
	_ = b.Close()
	all, err := segments(filepath.Join(dir, storeDir))
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	if err := os.Rename(all[0].path, all[0].path+damagedSuffix); err != nil {
		t.Fatal(err)
	}
	return dir, frames
}

// What can be read of a segment that is known to be damaged is kept.
func TestDamagedSegmentIsRead(t *testing.T) {
	t.Parallel()
	dir, frames := renamedSegment(t)
	flip(t, dir, 3, 1000)
	b := open(t, Options{Dir: dir})
	if got := lostIn(t, b); !slices.Equal(got, []Loss{{First: 3, Last: 3}}) {
		t.Errorf("lost %v", got)
	}
	check(t, b, 4, frames)
}

// badPages is a file with pages that the disk cannot give.
type badPages struct {
	data []byte
	bad  func(page int) bool
}

func (b *badPages) ReadAt(p []byte, at int64) (int, error) {
	if b.bad(int(at / damagedPage)) {
		return len(p) / 2, syscall.EIO
	}
	return bytes.NewReader(b.data).ReadAt(p, at)
}

// Of a file with bad pages the others are read, up to where none seems to be good.
func TestSalvage(t *testing.T) {
	t.Parallel()
	data := bytes.Repeat([]byte{7}, 40*damagedPage+100)
	size := int64(len(data))
	for _, tc := range []struct {
		name       string
		bad        func(page int) bool
		zeros, end int
		whole      bool
	}{
		{"none", func(int) bool { return false }, 0, len(data), true},
		{"the third and the last", func(page int) bool { return page == 2 || page == 40 }, damagedPage + 100, len(data), false},
		{"from the third on", func(page int) bool { return page >= 2 }, unreadablePages * damagedPage, (2 + unreadablePages) * damagedPage, false},
	} {
		got, whole := salvage(&badPages{data: data, bad: tc.bad}, size)
		if zeros := bytes.Count(got, []byte{0}); zeros != tc.zeros || len(got) != tc.end || whole != tc.whole {
			t.Errorf("%s: %d zeros of %d bytes, whole %v", tc.name, zeros, len(got), whole)
		}
	}
	var at io.ReaderAt = bytes.NewReader(data[:damagedPage])
	if got, whole := salvage(at, size); whole || len(got) <= damagedPage {
		t.Errorf("a file that became shorter: %d bytes, whole %v", len(got), whole)
	}
}

// A segment that was said to be damaged, and is not, has its frames: the server knows it
// by its own name alone.
func TestSoundSegmentSaidToBeDamaged(t *testing.T) {
	t.Parallel()
	dir, frames := renamedSegment(t)
	b := open(t, Options{Dir: dir})
	if got := lostIn(t, b); len(got) > 0 {
		t.Errorf("lost %v", got)
	}
	check(t, b, 1, frames)
}

// What a disk gives at the second try only, after the store was put aside, is no loss.
func TestStoreIsSoundAtTheSecondTry(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := open(t, Options{Dir: dir})
	frames := fill(t, b, 5, 1000)
	_ = b.Close()
	if err := os.Rename(filepath.Join(dir, storeDir), filepath.Join(dir, damagedDir)); err != nil {
		t.Fatal(err)
	}
	b = open(t, Options{Dir: dir})
	if got := lostIn(t, b); len(got) > 0 {
		t.Errorf("lost %v", got)
	}
	check(t, b, 1, frames)
}
