package texts

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
)

// TestTable holds the table against a map, over sizes that grow and shrink.
func TestTable(t *testing.T) {
	var table Table
	for round, n := range []int{0, 1, 5000, 3, 700, 20_000, 2} {
		table.Reset()
		want := map[string]uint64{}
		var bytes []byte
		for i := range n {
			s := fmt.Sprintf("text-%d-%0*d", round%2, i%40+1, i*7%(n/2+1))
			if want[s] == 0 {
				want[s] = uint64(len(want) + 1)
				bytes = append(binary.AppendUvarint(bytes, uint64(len(s))), s...)
			}
			if got := table.Ref(s); got != want[s] {
				t.Fatalf("round %d: %q is %d, want %d", round, s, got, want[s])
			}
		}
		if table.Len() != len(want) || string(table.Bytes()) != string(bytes) {
			t.Fatalf("round %d: %d texts of %d bytes, want %d of %d", round, table.Len(), len(table.Bytes()), len(want), len(bytes))
		}
	}
}

// TestLengths has texts of every length up to where that has another one, and in
// pairs of which one byte differs, through growing.
func TestLengths(t *testing.T) {
	var table Table
	var want []string
	for n := range 300 {
		text := bytes.Repeat([]byte{'a'}, n+1)
		want = append(want, string(text))
		for i := range text {
			if n < 20 || i == n/2 {
				text[i] = 'b'
				want = append(want, string(text))
				text[i] = 'a'
			}
		}
	}
	for range 2 {
		for i, s := range want {
			if got := table.Ref(s); got != uint64(i+1) {
				t.Fatalf("%q is %d, want %d", s, got, i+1)
			}
		}
	}
	for i, s := range want {
		for j := range want {
			if table.is(uint32(j+1), s) != (i == j) {
				t.Fatalf("%q is text %d: %v", s, j+1, i != j)
			}
		}
	}
}

// TestAgain: a field's text is remembered, the empty one is none, and a Last of
// before a Reset is begun anew by its owner.
func TestAgain(t *testing.T) {
	var table Table
	var last Last
	for i, step := range []struct {
		text string
		want uint64
	}{{"", 0}, {"a", 1}, {"a", 1}, {"", 0}, {"b", 2}, {"a", 1}} {
		if got := table.Again(&last, step.text); got != step.want {
			t.Fatalf("step %d: %q is %d, want %d", i, step.text, got, step.want)
		}
	}
}

// TestCrowded has texts of one hash, more than a group takes, in a table that is
// empty otherwise, and after a Reset other ones.
func TestCrowded(t *testing.T) {
	var table Table
	table.grow()
	table.secret = secret{} // with which a first word of 0 makes all the same
	for round := range 3 {
		for i := range 3 * groupTexts {
			s := fmt.Sprintf("\x00\x00\x00\x00\x00\x00\x00\x00%d%d", round, 10+i)
			if got := table.Ref(s); got != uint64(i+1) {
				t.Fatalf("round %d: text %d is %d", round, i+1, got)
			}
		}
		if !table.crowded {
			t.Fatal("the texts were to be in one group")
		}
		table.Reset()
		for g, group := range table.groups {
			if group != 0 {
				t.Fatalf("round %d: group %d has %x behind a Reset", round, g, group)
			}
		}
	}
}

// TestSecret: no two tables hash alike.
func TestSecret(t *testing.T) {
	a, b := newSecret(), newSecret()
	for _, s := range []string{"u", "user-1", "user-00000001", "a text of more than two words"} {
		if a.hash(s) == b.hash(s) {
			t.Errorf("%q has the same hash in both", s)
		}
	}
}

// BenchmarkRef is a frame's texts of which none, half and nearly all come again.
// The limit is a hash and, of a text that is in no cache any more, a wait for it.
func BenchmarkRef(b *testing.B) {
	ids := make([]string, 1<<16)
	for i := range ids {
		ids[i] = fmt.Sprintf("user-%06d", i)
	}
	for _, again := range []uint64{0, 50, 90} {
		b.Run(fmt.Sprintf("again%d", again), func(b *testing.B) {
			var table Table
			random := uint64(1)
			for n := 0; b.Loop(); n++ {
				if n%12_000 == 0 {
					table.Reset()
				}
				id := n
				if random = random*6364136223846793005 + 1442695040888963407; random>>33%100 < again {
					id = int(random >> 54)
				}
				table.Ref(ids[id%len(ids)])
			}
		})
	}
}
