package jetstream

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"vitrine/bridge"
	"vitrine/internal/disk"
)

// crashDir is set for the process that TestKill kills.
const crashDir = "VITRINE_TEST_BUS_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		appendForEver(dir)
	}
	os.Exit(m.Run())
}

func open(t testing.TB, opt Options) *Bus {
	t.Helper()
	if opt.Dir == "" {
		opt.Dir = t.TempDir()
	}
	b, err := Open(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// frame makes a frame that tells its sequence, of any size from 8 bytes on.
func frame(seq uint64, size int) []byte {
	f := make([]byte, size)
	for i := range f {
		f[i] = byte(seq) + byte(i)
	}
	binary.LittleEndian.PutUint64(f, seq)
	return f
}

// fill appends frames after the present end.
func fill(t testing.TB, b *Bus, n, size int) (last uint64) {
	t.Helper()
	_, last, err := b.Bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		seq, err := b.Append(t.Context(), frame(last+1, size), last)
		if err != nil {
			t.Fatal(err)
		}
		if seq != last+1 {
			t.Fatalf("sequence %d after %d", seq, last)
		}
		last = seq
	}
	return last
}

// check reads from a sequence and compares every frame.
func check(t testing.TB, b *Bus, from, last uint64) {
	t.Helper()
	want := max(from, 1)
	next, err := b.Read(t.Context(), from, func(seq uint64, f []byte) error {
		if seq != want {
			return fmt.Errorf("frame %d, want %d", seq, want)
		}
		if !bytes.Equal(f, frame(seq, len(f))) {
			return fmt.Errorf("frame %d has other bytes", seq)
		}
		want++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if next != last+1 || want != next {
		t.Fatalf("read up to %d, want %d", next, last+1)
	}
}

func bounds(t testing.TB, b *Bus, first, last uint64) {
	t.Helper()
	f, l, err := b.Bounds(t.Context())
	if err != nil || f != first || l != last {
		t.Fatalf("bounds %d..%d (%v), want %d..%d", f, l, err, first, last)
	}
}

func TestAppendReadTrimReopen(t *testing.T) {
	dir := t.TempDir()
	b := open(t, Options{Dir: dir})
	bounds(t, b, 1, 0)
	check(t, b, 0, 0)
	// More than a batch of the reader, in number and in bytes.
	fill(t, b, 300, 100)
	fill(t, b, 20, 300<<10)
	last := fill(t, b, 1, maxPayload-4096)
	check(t, b, 0, last)
	check(t, b, 300, last)
	check(t, b, last, last)
	check(t, b, last+1, last)
	var ahead *bridge.AheadError
	if _, err := b.Read(t.Context(), last+2, nil); !errors.As(err, &ahead) || ahead.Last != last {
		t.Fatalf("read beyond the end: %v", err)
	}
	if err := b.Trim(t.Context(), 310); err != nil {
		t.Fatal(err)
	}
	bounds(t, b, 311, last)
	var gap *bridge.GapError
	if _, err := b.Read(t.Context(), 309, nil); !errors.As(err, &gap) || gap.Want != 309 || gap.Got != 311 {
		t.Fatalf("read before the start: %v", err)
	}
	check(t, b, 311, last)
	reopen := func() {
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if err := b.Close(); err != nil {
			t.Fatal("second close: ", err)
		}
		b = open(t, Options{Dir: dir})
	}
	reopen()
	bounds(t, b, 311, last)
	check(t, b, 311, last)
	// Trimming all of it leaves the newest, and the sequence goes on.
	for _, upTo := range []uint64{last, last + 100} {
		if err := b.Trim(t.Context(), upTo); err != nil {
			t.Fatal(err)
		}
		bounds(t, b, last, last)
	}
	reopen()
	bounds(t, b, last, last)
	last = fill(t, b, 3, 10)
	check(t, b, last-3, last)
}

// A machine that stands still for seconds while the log is opened is no reason
// not to open it.
func TestOpenOutlastsAHalt(t *testing.T) {
	b := open(t, Options{})
	for name, c := range map[string]*nats.Conn{"writes": b.node.writes, "reads": b.node.reads} {
		if c.Opts.Timeout < startTimeout {
			t.Errorf("%s: the server has %s to say hello, want %s", name, c.Opts.Timeout, startTimeout)
		}
	}
	// As if the library's patience were always over.
	var err error
	if b.node.ask, err = jetstream.New(b.node.reads, jetstream.WithDefaultTimeout(time.Nanosecond)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Bounds(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal("the library is patient: ", err)
	}
	opt := b.opt
	opt.After = 7
	if err := b.node.open(t.Context(), opt); err != nil {
		t.Error(err)
	}
}

func TestErrorOfTheReaderEndsReading(t *testing.T) {
	b := open(t, Options{})
	fill(t, b, 10, 10)
	stop := errors.New("stop")
	next, err := b.Read(t.Context(), 1, func(seq uint64, _ []byte) error {
		if seq == 7 {
			return stop
		}
		return nil
	})
	if next != 7 || err != stop { //nolint:errorlint // the very error is the promise
		t.Fatalf("next %d, %v", next, err)
	}
}

func TestFence(t *testing.T) {
	b := open(t, Options{})
	last := fill(t, b, 3, 50)
	for _, expect := range []uint64{0, last - 1, last + 1} {
		if _, err := b.Append(t.Context(), frame(1, 50), expect); !errors.Is(err, bridge.ErrFenced) {
			t.Fatalf("append after %d of %d: %v", expect, last, err)
		}
	}
	bounds(t, b, 1, last)
	// Of two writers with the same belief one wins.
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() { _, errs[i] = b.Append(t.Context(), frame(last+1, 50), last) })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, bridge.ErrFenced):
			t.Fatal(err)
		}
	}
	if won != 1 {
		t.Fatalf("%d of %d writers won", won, len(errs))
	}
	check(t, b, 1, last+1)
	if st := b.Stats(t.Context()); st.Down != nil || st.Restarts != 0 || st.Appends != 4 {
		t.Fatalf("%+v", st)
	}
}

func TestFullRefusesAndTakesAgainAfterTrim(t *testing.T) {
	dir := t.TempDir()
	b := open(t, Options{Dir: dir, MaxBytes: 2 << 20})
	var last uint64
	var err error
	for range 100 {
		var seq uint64
		if seq, err = b.Append(t.Context(), frame(last+1, 256<<10), last); err != nil {
			break
		}
		last = seq
	}
	if !errors.Is(err, bridge.ErrBusFull) || last < 5 {
		t.Fatalf("after %d frames: %v", last, err)
	}
	if _, err := b.Append(t.Context(), frame(last+1, 256<<10), last); !errors.Is(err, bridge.ErrBusFull) {
		t.Fatal(err)
	}
	check(t, b, 1, last)
	// A limit lowered below what is there loses nothing either.
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, Options{Dir: dir, MaxBytes: 1 << 20})
	check(t, b, 1, last)
	if _, err := b.Append(t.Context(), frame(last+1, 256<<10), last); !errors.Is(err, bridge.ErrBusFull) {
		t.Fatal(err)
	}
	if err := b.Trim(t.Context(), last-1); err != nil {
		t.Fatal(err)
	}
	last = fill(t, b, 2, 256<<10)
	check(t, b, last-2, last)
	if st := b.Stats(t.Context()); st.Down != nil || st.Refused != 1 || st.Restarts != 0 || st.MaxBytes != 1<<20 {
		t.Fatalf("%+v", st)
	}
}

// The bus refuses before the disk is full, and takes frames again when there
// is room, without a new start.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	dir := small(t, 100)
	b := open(t, Options{Dir: filepath.Join(dir, "bus"), MinFree: 64 << 20})
	last := fill(t, b, 3, 256<<10)
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 36<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := b.Append(t.Context(), frame(last+1, 256<<10), last); !errors.Is(err, bridge.ErrBusFull) {
			t.Fatal(err)
		}
	}
	check(t, b, 1, last)
	if err := b.Trim(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	last = fill(t, b, 3, 256<<10)
	check(t, b, 2, last)
	if st := b.Stats(t.Context()); st.Down != nil || st.Restarts != 0 || st.MaxBytes != 50<<20 {
		t.Fatalf("%+v", st)
	}
	// The server's folder must be closed before the disk goes.
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

// small mounts a disk of its own, of size MiB.
func small(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", size)); err != nil {
		t.Skip("cannot mount a small disk: ", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// occupy fills the disk up to what is left free.
func occupy(t *testing.T, dir string, left uint64) (path string) {
	t.Helper()
	path = filepath.Join(dir, "filler")
	_ = os.Remove(path) // there is none at first
	free, _, err := disk.Space(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, make([]byte, free-left), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A disk at the edge does not refuse every other frame: a shortage ends only
// when a quarter more is free.
func TestShortageEndsWithRoomToSpare(t *testing.T) {
	t.Parallel()
	dir := small(t, 80)
	b := open(t, Options{Dir: filepath.Join(dir, "bus"), MinFree: 16 << 20})
	last := fill(t, b, 1, 1000)
	for _, left := range []uint64{15 << 20, 18 << 20} {
		occupy(t, dir, left)
		free, _, _ := disk.Space(dir)
		_, err := b.Append(t.Context(), frame(last+1, 1000), last)
		if st := b.Stats(t.Context()); !errors.Is(err, bridge.ErrDiskFull) || !st.Short || b.Room() == nil {
			t.Fatalf("with %d free: %v, %+v", free, err, st)
		}
	}
	occupy(t, dir, 22<<20)
	fill(t, b, 1, 1000)
	if st := b.Stats(t.Context()); st.Short || b.Room() != nil {
		t.Fatalf("%+v", st)
	}
	_ = b.Close()
}

// A write that runs into the end of the disk nevertheless, as when something
// else takes the last of it, breaks the server. The append says so at once, and
// the bus takes frames again as soon as there is room.
func TestEndOfTheDisk(t *testing.T) {
	t.Parallel()
	dir := small(t, 40)
	b := open(t, Options{Dir: filepath.Join(dir, "bus"), MinFree: 1})
	last := fill(t, b, 3, 256<<10)
	filler := occupy(t, dir, 0)
	b.room.dir = "/" // the disk looks as if it had room
	began := time.Now()
	for range 3 {
		if _, err := b.Append(t.Context(), frame(last+1, 256<<10), last); err == nil || errors.Is(err, bridge.ErrBusFull) {
			t.Fatal("appended to a full disk: ", err)
		}
	}
	// Each says so by itself, none when its caller gives up.
	if took := time.Since(began); took > time.Minute {
		t.Errorf("three appends to a full disk take %s", took)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	for {
		if _, err := b.Append(t.Context(), frame(last+1, 256<<10), last); err == nil {
			break
		} else if time.Since(began) > time.Minute {
			t.Fatal("a minute after there was room: ", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Logf("a frame is taken %s after there was room", time.Since(began))
	last = fill(t, b, 3, 256<<10)
	check(t, b, 1, last)
	_ = b.Close()
}

func TestTooLarge(t *testing.T) {
	b := open(t, Options{})
	if _, err := b.Append(t.Context(), make([]byte, maxPayload), 0); !errors.Is(err, bridge.ErrTooLarge) {
		t.Fatal(err)
	}
	fill(t, b, 1, 10)
}

// A hole inside the log, as a damaged block leaves it, is found.
func TestGapInside(t *testing.T) {
	b := open(t, Options{})
	last := fill(t, b, 10, 100)
	s, err := b.node.ask.Stream(t.Context(), streamName)
	if err != nil {
		t.Fatal(err)
	}
	for _, seq := range []uint64{4, 5, last} {
		if err := s.DeleteMsg(t.Context(), seq); err != nil {
			t.Fatal(err)
		}
	}
	read := func(from uint64) (uint64, error) {
		return b.Read(t.Context(), from, func(uint64, []byte) error { return nil })
	}
	var gap *bridge.GapError
	if next, err := read(1); !errors.As(err, &gap) || gap.Want != 4 || gap.Got != 6 || next != 4 {
		t.Fatalf("next %d, %v", next, err)
	}
	select {
	case <-b.Damaged():
	default:
		t.Error("the damage is not told")
	}
	if next, err := read(6); !errors.As(err, &gap) || gap.Want != last || gap.Got != 0 || next != last {
		t.Fatalf("next %d, %v", next, err)
	}
}

func TestAfter(t *testing.T) {
	dir := t.TempDir()
	b := open(t, Options{Dir: dir, After: 41})
	bounds(t, b, 42, 41)
	if _, err := b.Append(t.Context(), frame(1, 10), 0); !errors.Is(err, bridge.ErrFenced) {
		t.Fatal(err)
	}
	if last := fill(t, b, 2, 10); last != 43 {
		t.Fatal(last)
	}
	_ = b.Close()
	// A position that the log has passed changes nothing.
	b = open(t, Options{Dir: dir, After: 42})
	bounds(t, b, 42, 43)
	_ = b.Close()
	// An older copy goes on behind what was taken from the lost one.
	b = open(t, Options{Dir: dir, After: 100})
	bounds(t, b, 101, 100)
	if last := fill(t, b, 1, 10); last != 101 {
		t.Fatal(last)
	}
	check(t, b, 101, 101)
	_ = b.Close()
	b = open(t, Options{Dir: dir})
	bounds(t, b, 101, 101)
}

func TestCancelled(t *testing.T) {
	b := open(t, Options{})
	last := fill(t, b, 2, 10)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Append(ctx, frame(3, 10), last); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if _, err := b.Read(ctx, 1, func(uint64, []byte) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	bounds(t, b, 1, last)
}

// After a broken store the server is started again, and no frame is doubled.
func TestRestart(t *testing.T) {
	t.Parallel()
	b := open(t, Options{})
	last := fill(t, b, 5, 100)
	broken := b.node
	broken.srv.Shutdown()
	if _, err := b.Append(t.Context(), frame(last+1, 100), last); err == nil {
		t.Fatal("a stopped server took a frame")
	}
	bounds(t, b, 1, last)
	last = fill(t, b, 5, 100)
	check(t, b, 1, last)
	st := b.Stats(t.Context())
	if st.Down != nil || st.Restarts != 1 {
		t.Fatalf("%+v", st)
	}
	// An old complaint does not restart the new server.
	if err := b.restart(broken); err != nil || b.restarts.Load() != 1 {
		t.Fatal(err)
	}
}

// The sequence of events: a process appends, each acknowledged sequence goes
// to a pipe, SIGKILL hits it anywhere, this process opens the folder.
func TestKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var acked uint64
	for round := range 3 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), crashDir+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		stop := acked + 20 + rand.Uint64N(50)
		var buf [8]byte
		for acked < stop {
			if _, err := io.ReadFull(out, buf[:]); err != nil {
				t.Fatal("the appending process ended by itself: ", err)
			}
			acked = binary.LittleEndian.Uint64(buf[:])
		}
		if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		for {
			if _, err := io.ReadFull(out, buf[:]); err != nil {
				break
			}
			acked = binary.LittleEndian.Uint64(buf[:])
		}
		_ = cmd.Wait()
		b := open(t, Options{Dir: dir})
		first, last, err := b.Bounds(t.Context())
		if err != nil || last < acked || last > acked+1 {
			t.Fatalf("round %d: the log ends with %d, acknowledged is %d (%v)", round, last, acked, err)
		}
		check(t, b, first, last)
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// appendForEver is the process that is killed. It trims too.
func appendForEver(dir string) {
	ctx := context.Background()
	b, err := Open(ctx, Options{Dir: dir})
	if err != nil {
		panic(err)
	}
	_, last, err := b.Bounds(ctx)
	if err != nil {
		panic(err)
	}
	var buf [8]byte
	for {
		if last, err = b.Append(ctx, frame(last+1, int(8+last*7919%65536)), last); err != nil {
			panic(err)
		}
		binary.LittleEndian.PutUint64(buf[:], last)
		if _, err := os.Stdout.Write(buf[:]); err != nil {
			panic(err)
		}
		if last%37 == 0 {
			if err := b.Trim(ctx, last-10); err != nil {
				panic(err)
			}
		}
	}
}

func TestCloseLeavesNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 3 {
		b := open(t, Options{})
		fill(t, b, 3, 1000)
		check(t, b, 1, 3)
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Append(t.Context(), frame(4, 10), 3); err == nil {
			t.Fatal("a closed bus takes frames")
		}
	}
	for wait := time.Millisecond; runtime.NumGoroutine() > before; wait *= 2 {
		if wait > 30*time.Second {
			buf := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		}
		time.Sleep(wait)
	}
}

// Readers, a trimmer and a writer at once see whole frames in order.
func TestConcurrentUse(t *testing.T) {
	b := open(t, Options{})
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				first, _, err := b.Bounds(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				want := uint64(0)
				_, err = b.Read(t.Context(), first, func(seq uint64, f []byte) error {
					if want != 0 && seq != want || !bytes.Equal(f, frame(seq, len(f))) {
						return fmt.Errorf("frame %d, want %d", seq, want)
					}
					want = seq + 1
					return nil
				})
				var gap *bridge.GapError
				if err != nil && !errors.As(err, &gap) {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range uint64(10) {
		fill(t, b, 20, 3000)
		if err := b.Trim(t.Context(), i*15); err != nil {
			t.Error(err)
		}
	}
	close(done)
	wg.Wait()
}

// The limits are the disk's fsync rate (0.2 to 0.4 ms here) and its bandwidth
// (446 MB/s sequential), after four copies of the frame on the way.
func BenchmarkAppend256K(b *testing.B) {
	bus := open(b, Options{MaxBytes: 32 << 30})
	f := frame(1, 256<<10)
	b.SetBytes(int64(len(f)))
	var last uint64
	for b.Loop() {
		seq, err := bus.Append(b.Context(), f, last)
		if err != nil {
			b.Fatal(err)
		}
		if last = seq; last%1024 == 0 {
			if err := bus.Trim(b.Context(), last); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// The limit of reading is copying through the in-process pipe.
func BenchmarkRead(b *testing.B) {
	for _, size := range []int{300, 256 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			bus := open(b, Options{})
			const frames = 500
			fill(b, bus, frames, size)
			b.SetBytes(int64(frames * size))
			for b.Loop() {
				n := 0
				if _, err := bus.Read(b.Context(), 1, func(uint64, []byte) error { n++; return nil }); err != nil || n != frames {
					b.Fatal(n, err)
				}
			}
		})
	}
}

// TestScrub: after it nothing of a frame is on the disk, while Trim leaves it in
// the file; the sequence goes on, also after a start, and a frame that came behind
// the last one keeps all.
func TestScrub(t *testing.T) {
	opt := Options{Dir: t.TempDir()}
	b := open(t, opt)
	secret := []byte("a secret in a frame")
	if _, err := b.Append(t.Context(), secret, 0); err != nil {
		t.Fatal(err)
	}
	last := fill(t, b, 3, 100)
	onDisk := func() (found bool) {
		_ = filepath.WalkDir(opt.Dir, func(path string, d os.DirEntry, _ error) error {
			if data, err := os.ReadFile(path); err == nil && bytes.Contains(data, secret) {
				found = true
			}
			return nil
		})
		return found
	}
	if err := b.Trim(t.Context(), last); err != nil || !onDisk() {
		t.Fatal("trimmed, and off the disk already", err)
	}
	if err := b.Scrub(t.Context(), last-1); err == nil {
		t.Fatal("a frame was dropped that nobody has")
	}
	if err := b.Scrub(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); onDisk(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it is still on the disk")
		}
	}
	if first, end, err := b.Bounds(t.Context()); first != last+1 || end != last || err != nil {
		t.Fatal(first, end, err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, opt)
	if seq, err := b.Append(t.Context(), secret, last); seq != last+1 || err != nil {
		t.Fatal(seq, err)
	}
}
