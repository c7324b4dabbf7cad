package deadletter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

// start is the clock of the tests.
var start = time.UnixMilli(1_700_000_000_000)

// open opens a store and closes it with the test.
func open(t testing.TB, opt Options) *Store {
	t.Helper()
	if opt.Now == nil {
		opt.Now = func() time.Time { return start }
	}
	s, err := Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// add adds letters and checks how many were new.
func add(t testing.TB, s *Store, want int, letters ...Letter) {
	t.Helper()
	if added, err := s.Add(context.Background(), letters); err != nil || added != want {
		t.Fatalf("added %d, %v; want %d", added, err, want)
	}
}

// lines makes n letters of a file, from line first on.
func lines(file string, first, n int) []Letter {
	out := make([]Letter, n)
	for i := range out {
		out[i] = Letter{
			Source: file, Line: int64(first + i), Code: "missing_user_id", Detail: "user_id is missing",
			Raw: fmt.Appendf(nil, "%d,85123A,WHITE HANGING HEART T-LIGHT HOLDER,6,2010-12-01 08:26:00,2.55,,United Kingdom", first+i),
		}
	}
	return out
}

// all follows the cursors to the end.
func all(t testing.TB, s *Store, limit int) []Letter {
	t.Helper()
	var out []Letter
	cursor := ""
	for {
		page, err := s.List(limit, cursor)
		if err != nil {
			t.Fatal(err)
		}
		if out = append(out, page.Letters...); page.Next == "" {
			return out
		}
		if cursor = page.Next; len(page.Letters) != limit {
			t.Fatalf("a page of %d letters that is not the last, limit %d", len(page.Letters), limit)
		}
	}
}

func TestAddListGet(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deadletters")
	s := open(t, Options{Dir: dir})
	full := Letter{Source: "user-events", Partition: 3, Offset: 1 << 40, Code: "invalid_json", Detail: "d\u00e9tail", Time: start.UnixMilli() - 5, Raw: []byte("{\x00\xff")}
	add(t, s, 1, full)
	add(t, s, 2, lines("a.csv", 1, 2)...)
	for round := range 2 {
		got := all(t, s, 2)
		if len(got) != 3 || got[1].Line != 1 || got[2].Line != 2 || got[1].Time != start.UnixMilli() {
			t.Fatalf("round %d: %+v", round, got)
		}
		want := full
		want.ID, want.Raw, want.id = got[0].ID, nil, identify(&full)
		if !reflect.DeepEqual(got[0], want) {
			t.Errorf("round %d: listed %+v, want %+v", round, got[0], want)
		}
		want.Raw = full.Raw
		if one, err := s.Get(got[0].ID); err != nil || !reflect.DeepEqual(one, want) {
			t.Errorf("round %d: got %+v, %v; want %+v", round, one, err, want)
		}
		if st := s.Stats(); st.Letters != 3 || st.Dropped != 0 || st.DamagedBytes != 0 || st.Bytes == 0 {
			t.Errorf("round %d: %+v", round, st)
		}
		// The second round reads what the first has left on disk.
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, Options{Dir: dir})
	}
	for _, id := range []string{"0", "4", "x", "", "-1", "99999999999999999999"} {
		if _, err := s.Get(id); !errors.Is(err, ErrNotFound) {
			t.Errorf("Get(%q): %v", id, err)
		}
	}
	if _, err := s.List(0, "x"); !errors.Is(err, ErrCursor) {
		t.Errorf("bad cursor: %v", err)
	}
	if page, err := s.List(0, "77"); err != nil || len(page.Letters) != 0 || page.Next != "" || page.Total != 3 {
		t.Errorf("cursor beyond the end: %+v, %v", page, err)
	}
}

func TestIdentity(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	a := Letter{Source: "f", Partition: 1, Line: 2, Offset: 3, Raw: []byte("x")}
	other := func(bend func(l *Letter)) Letter {
		l := a
		bend(&l)
		return l
	}
	add(t, s, 1, a, a)
	add(t, s, 0, other(func(l *Letter) { l.Raw = []byte("y") }))
	add(t, s, 4,
		other(func(l *Letter) { l.Source = "g" }), other(func(l *Letter) { l.Partition = 9 }),
		other(func(l *Letter) { l.Line = 9 }), other(func(l *Letter) { l.Offset = 9 }))
	// By HTTP only the bytes count, all of them, also those that are not kept.
	long := bytes.Repeat([]byte("z"), MaxRaw+100)
	add(t, s, 1, Letter{Source: SourceHTTP, Line: 1, Raw: long}, Letter{Source: SourceHTTP, Line: 2, Raw: long})
	add(t, s, 1, Letter{Source: SourceHTTP, Raw: append(bytes.Clone(long), '!')})
	// A place that is not known is no place.
	add(t, s, 2, Letter{Source: "f", Raw: []byte("1")}, Letter{Source: "f", Raw: []byte("2")}, Letter{Source: "f", Raw: []byte("1")})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, Options{Dir: dir})
	add(t, s, 0, a, Letter{Source: SourceHTTP, Raw: long}, Letter{Source: "f", Raw: []byte("2")})
	letter, err := s.Get("6")
	if err != nil || !letter.Truncated || !bytes.Equal(letter.Raw, long[:MaxRaw]) {
		t.Errorf("long letter: %d bytes, truncated %v, %v", len(letter.Raw), letter.Truncated, err)
	}
}

func TestLongTexts(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir()})
	add(t, s, 1, Letter{Source: strings.Repeat("s", maxSource+1), Code: strings.Repeat("c", maxCode+1), Detail: "x" + strings.Repeat("\u00e9", maxDetail), Raw: make([]byte, MaxRaw)})
	l, err := s.Get("1")
	if err != nil || len(l.Source) != maxSource || len(l.Code) != maxCode || len(l.Detail) != maxDetail-1 || l.Truncated {
		t.Errorf("%d %d %d %v %v", len(l.Source), len(l.Code), len(l.Detail), l.Truncated, err)
	}
}

func TestMaxBytes(t *testing.T) {
	dir := t.TempDir()
	opt := Options{Dir: dir, MaxBytes: 1 << 20}
	s := open(t, opt)
	const n = 20000
	add(t, s, n, lines("a.csv", 1, n)...)
	check := func() []Letter {
		t.Helper()
		st, got := s.Stats(), all(t, s, 500)
		if st.Bytes > opt.MaxBytes || st.Bytes < opt.MaxBytes*3/4 || st.Dropped+st.Letters != n || int64(len(got)) != st.Letters || got[len(got)-1].Line != n {
			t.Fatalf("%+v, %d listed", st, len(got))
		}
		return got
	}
	got := check()
	if oldest := got[0]; oldest.Line != n-int64(len(got))+1 {
		t.Errorf("the oldest are not the ones that went: %+v", oldest)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, opt)
	check()
	add(t, s, 0, lines("a.csv", n, 1)...)
	add(t, s, 1, lines("a.csv", 1, 1)...) // dropped, so no longer known
	if page, err := s.List(1, "1"); err != nil || len(page.Letters) != 1 {
		t.Errorf("a cursor whose letter was dropped: %+v, %v", page, err)
	}
}

func TestMaxAge(t *testing.T) {
	now := start
	dir := t.TempDir()
	opt := Options{Dir: dir, MaxAge: 8 * time.Hour, Now: func() time.Time { return now }}
	s := open(t, opt)
	for i := range 40 {
		add(t, s, 1, lines("a.csv", i+1, 1)...)
		now = now.Add(30 * time.Minute)
	}
	// 16 letters are younger than 8 hours; a segment spans one hour more.
	st := s.Stats()
	if st.Letters < 16 || st.Letters > 20 || st.Letters+st.Dropped != 40 {
		t.Errorf("%+v", st)
	}
	now = now.Add(9 * time.Hour)
	if err := s.Prune(); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Letters != 0 || st.Dropped != 40 {
		t.Errorf("all are too old: %+v", st)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, opt)
	// A letter dated in the future ages from now, one of the past at once.
	add(t, s, 1, Letter{Source: "b", Line: 1, Time: now.Add(1000 * time.Hour).UnixMilli()})
	if st := s.Stats(); st.Letters != 1 || st.Dropped != 40 {
		t.Errorf("numbers did not go on: %+v", st)
	}
	now = now.Add(9 * time.Hour)
	add(t, s, 1, Letter{Source: "b", Line: 2})
	if got := all(t, s, 10); len(got) != 1 || got[0].Line != 2 {
		t.Errorf("%+v", got)
	}
	add(t, s, 1, Letter{Source: "b", Line: 1}) // dropped, so no longer known
}

// TestTornTail cuts the file at every length a crash can leave.
func TestTornTail(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	add(t, s, 3, lines("a.csv", 1, 3)...)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := segmentPath(dir, 1)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	record := (len(whole) - len(segmentMagic)) / 3
	for cut := 0; cut < len(whole); cut += 3 {
		if err := os.WriteFile(path, whole[:cut], 0o640); err != nil {
			t.Fatal(err)
		}
		s := open(t, Options{Dir: dir})
		want := max(0, cut-len(segmentMagic)) / record
		if st := s.Stats(); int(st.Letters) != want || st.DamagedBytes != 0 {
			t.Fatalf("cut to %d: %+v, want %d letters", cut, st, want)
		}
		if info, err := os.Stat(path); err != nil || info.Size() != s.Stats().Bytes {
			t.Fatalf("cut to %d: the torn end is still there: %v", cut, err)
		}
		add(t, s, 3-want, lines("a.csv", 1, 3)...)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if got := all(t, open(t, Options{Dir: dir}), 2); len(got) != 3 || got[2].Line != 3 {
			t.Fatalf("cut to %d: %+v", cut, got)
		}
	}
}

// TestDamage changes every byte of a segment: at most the letter that holds
// it may go, and that must be seen.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	add(t, s, 4, lines("a.csv", 1, 4)...)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := segmentPath(dir, 1)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	record := (len(whole) - len(segmentMagic)) / 4
	for i := range whole {
		bad := bytes.Clone(whole)
		bad[i] ^= 0x55
		if err := os.WriteFile(path, bad, 0o640); err != nil {
			t.Fatal(err)
		}
		s := open(t, Options{Dir: dir})
		hit := (i-len(segmentMagic))/record + 1
		if i < len(segmentMagic) {
			hit = 0
		}
		for n := 1; n <= 4; n++ {
			_, err := s.Get(fmt.Sprint(n))
			if n == hit != errors.Is(err, ErrNotFound) {
				t.Fatalf("byte %d, letter %d: %v", i, n, err)
			}
		}
		// In the last letter it cannot be told from a torn tail.
		if st := s.Stats(); st.DamagedBytes == 0 && hit != 4 {
			t.Fatalf("byte %d: the damage is not reported: %+v", i, st)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestForgedRecord keeps a letter whose bytes are themselves a record.
func TestForgedRecord(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir()})
	inner := Letter{Source: "forged", Line: 1}
	forged := appendRecord(nil, 3, identify(&inner), &inner, 1)
	add(t, s, 3, Letter{Source: SourceHTTP, Raw: forged}, Letter{Source: "a", Line: 1}, Letter{Source: "a", Line: 2})
	if got, err := s.Get("3"); err != nil || got.Source != "a" {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestWriteFails lets the disk refuse: nothing is kept or known, and the
// store goes on when the disk does.
func TestWriteFails(t *testing.T) {
	for _, before := range []int{0, 2} {
		dir := t.TempDir()
		s := open(t, Options{Dir: dir})
		add(t, s, before, lines("a.csv", 1, before)...)
		readOnly, err := os.Open(segmentPath(dir, 1))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.file.Close(); err != nil {
			t.Fatal(err)
		}
		s.file = readOnly
		if added, err := s.Add(context.Background(), lines("a.csv", 1, 5)); err == nil || added != 0 {
			t.Fatalf("added %d, %v", added, err)
		}
		if st := s.Stats(); st.Letters != int64(before) {
			t.Fatalf("%+v", st)
		}
		add(t, s, 5-before, lines("a.csv", 1, 5)...)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if got := all(t, open(t, Options{Dir: dir}), 2); len(got) != 5 || got[4].Line != 5 {
			t.Fatalf("%+v", got)
		}
	}
}

// TestLeftover has letters in a segment that a failed write left there: the
// next segment took their numbers, and they must not come back.
func TestLeftover(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	add(t, s, 2, lines("a.csv", 1, 2)...)
	ghost := Letter{Source: "ghost", Line: 1}
	tail := appendRecord(nil, 3, identify(&ghost), &ghost, 1)
	if _, err := s.file.WriteAt(tail, s.segments[0].size); err != nil {
		t.Fatal(err)
	}
	if err := s.rotate(); err != nil {
		t.Fatal(err)
	}
	add(t, s, 1, lines("a.csv", 3, 1)...)
	for range 2 {
		if got := all(t, s, 10); len(got) != 3 || got[2].Source != "a.csv" {
			t.Fatalf("%+v", got)
		}
		if st := s.Stats(); st.DamagedBytes != 0 || st.Letters != 3 {
			t.Errorf("%+v", st)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, Options{Dir: dir})
	}
}

func TestCancelledAndClosed(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir()})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if added, err := s.Add(ctx, lines("a.csv", 1, 5)); !errors.Is(err, context.Canceled) || added != 0 {
		t.Errorf("added %d, %v", added, err)
	}
	add(t, s, 5, lines("a.csv", 1, 5)...)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.Add(context.Background(), nil); !errors.Is(err, ErrClosed) {
		t.Errorf("Add: %v", err)
	}
	if _, err := s.List(1, ""); !errors.Is(err, ErrClosed) {
		t.Errorf("List: %v", err)
	}
	if _, err := s.Get("1"); !errors.Is(err, ErrClosed) {
		t.Errorf("Get: %v", err)
	}
	if err := s.Prune(); !errors.Is(err, ErrClosed) {
		t.Errorf("Prune: %v", err)
	}
}

// TestConcurrent adds overlapping letters from many goroutines while others
// list: every letter is there once.
func TestConcurrent(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), MaxBytes: 4 << 20})
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 10 {
				if _, err := s.Add(context.Background(), lines("a.csv", 1+i*100+w*50, 200)); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for range 10 {
				last := int64(0)
				for _, l := range all(t, s, 100) {
					if l.Line == last {
						t.Error("listed twice in a row")
					}
					last = l.Line
				}
				s.Stats()
			}
		})
	}
	wg.Wait()
	seen := make(map[int64]bool)
	for _, l := range all(t, s, 500) {
		if seen[l.Line] {
			t.Fatalf("line %d twice", l.Line)
		}
		seen[l.Line] = true
	}
	if len(seen) != 1250 {
		t.Errorf("%d letters, want 1250", len(seen))
	}
}

// FuzzScan feeds the reader of segments with anything.
func FuzzScan(f *testing.F) {
	var data []byte
	for i, l := range lines("a.csv", 1, 3) {
		data = appendRecord(data, uint64(i+1), identify(&l), &l, 7)
	}
	f.Add(data)
	f.Add(data[:len(data)-1])
	f.Fuzz(func(t *testing.T, data []byte) {
		last := uint64(0)
		end, damaged := scan(data, 1, 1000, func(r *record) bool {
			if r.number <= last || r.number >= 1000 {
				t.Fatalf("number %d after %d", r.number, last)
			}
			last = r.number
			if l := r.letter(true); len(l.Raw) > len(data) {
				t.Fatal("more raw bytes than there are")
			}
			return true
		})
		if end < 0 || end > len(data) || damaged < 0 || damaged > int64(len(data)) {
			t.Fatalf("end %d, damaged %d of %d", end, damaged, len(data))
		}
	})
}

// BenchmarkAdd adds the rejected rows of a whole import, 10,000 a call. The
// floor is one fsync a call and writing 170 bytes a letter.
func BenchmarkAdd(b *testing.B) {
	const n = 541_909
	letters := lines("online_retail.csv", 1, n)
	for b.Loop() {
		s, err := Open(Options{Dir: b.TempDir()})
		if err != nil {
			b.Fatal(err)
		}
		for i := 0; i < n; i += 10_000 {
			if _, err := s.Add(context.Background(), letters[i:min(n, i+10_000)]); err != nil {
				b.Fatal(err)
			}
		}
		if st := s.Stats(); st.Letters != n {
			b.Fatalf("%+v", st)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "letters/s")
}

// BenchmarkOpen opens a store of that many letters.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	s := open(b, Options{Dir: dir})
	add(b, s, 541_909, lines("online_retail.csv", 1, 541_909)...)
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s, err := Open(Options{Dir: dir, Now: func() time.Time { return start }})
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkList reads a page from the middle of a full segment.
func BenchmarkList(b *testing.B) {
	s := open(b, Options{Dir: b.TempDir()})
	add(b, s, 100_000, lines("online_retail.csv", 1, 100_000)...)
	for b.Loop() {
		if _, err := s.List(50, "30000"); err != nil {
			b.Fatal(err)
		}
	}
}

// TestGeneration: the same place of a topic that was made again is another one, for
// the event that the letter becomes too, also when it was read from the disk.
func TestGeneration(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	first := Letter{Source: "user-events", Generation: "user-events@1", Offset: 7, Raw: []byte("x")}
	second := first
	second.Generation = "user-events@2"
	add(t, s, 2, first, second, first)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, Options{Dir: dir})
	add(t, s, 0, second)
	got := all(t, s, 2)
	if len(got) != 2 || got[0].EventID() != first.EventID() || got[1].EventID() != second.EventID() || first.EventID() == second.EventID() {
		t.Errorf("event_ids %s and %s, want %s and %s", got[0].EventID(), got[1].EventID(), first.EventID(), second.EventID())
	}
}
