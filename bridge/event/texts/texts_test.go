package texts

import (
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

// BenchmarkRef is a new text, and one that is there: two walks to memory beside
// the hash, some 5 ns.
func BenchmarkRef(b *testing.B) {
	ids := make([]string, 4096)
	for i := range ids {
		ids[i] = fmt.Sprintf("user-%06d", i)
	}
	var table Table
	for n := 0; b.Loop(); n++ {
		if n%(2*len(ids)) == 0 {
			table.Reset()
		}
		table.Ref(ids[n%len(ids)])
	}
}
