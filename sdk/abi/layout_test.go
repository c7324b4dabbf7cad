package abi

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"unsafe"
)

var testColumns = []Column{
	{"price", ScopeItem, F32},
	{"brand", ScopeItem, Code},
	{"age", ScopeUser, F32},
	{"small", ScopeFeature, U8},
	{"recency", ScopeFeature, F32},
}

func TestHeaderHasTheDocumentedOffsets(t *testing.T) {
	var h Header
	for _, c := range []struct {
		name      string
		got, want uintptr
	}{
		{"magic", unsafe.Offsetof(h.Magic), OffMagic},
		{"abi", unsafe.Offsetof(h.ABI), OffABI},
		{"size", unsafe.Offsetof(h.Size), OffSize},
		{"cap", unsafe.Offsetof(h.Cap), OffCap},
		{"columns", unsafe.Offsetof(h.Columns), OffColumns},
		{"table", unsafe.Offsetof(h.Table), OffTable},
		{"item", unsafe.Offsetof(h.Item), OffItem},
		{"score", unsafe.Offsetof(h.Score), OffScore},
		{"mask", unsafe.Offsetof(h.Mask), OffMask},
		{"out", unsafe.Offsetof(h.Out), OffOut},
		{"n", unsafe.Offsetof(h.N), OffN},
		{"show", unsafe.Offsetof(h.Show), OffShow},
		{"kind", unsafe.Offsetof(h.Kind), OffKind},
		{"flags", unsafe.Offsetof(h.Flags), OffFlags},
		{"now", unsafe.Offsetof(h.Now), OffNow},
		{"seed", unsafe.Offsetof(h.Seed), OffSeed},
		{"user", unsafe.Offsetof(h.User), OffUser},
		{"scene", unsafe.Offsetof(h.Scene), OffScene},
		{"size of the header", unsafe.Sizeof(h), HeaderSize},
	} {
		if c.got != c.want {
			t.Errorf("%s at %d, documented %d", c.name, c.got, c.want)
		}
	}
	if got := string(binary.LittleEndian.AppendUint32(nil, Magic)); got != "VTPF" {
		t.Errorf("magic is %q", got)
	}
}

// guestMemory is a memory with a well formed frame at address 128.
func guestMemory(columns []Column, rows int) []byte {
	l := NewLayout(columns, rows)
	memory := make([]byte, 128+int(l.Size)+64)
	l.Write(memory[128:], columns)
	return memory
}

func TestALayoutIsReadAsItWasWritten(t *testing.T) {
	for _, columns := range [][]Column{nil, testColumns[:1], testColumns} {
		for _, rows := range []int{16, 208, MaxRows} {
			want := NewLayout(columns, rows)
			got, err := ReadLayout(guestMemory(columns, rows), 128, rows, columns)
			if err != nil {
				t.Fatalf("%d columns, %d rows: %v", len(columns), rows, err)
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("read %+v, want %+v", got, want)
			}
		}
	}
}

func TestNewLayoutRoundsRowsUp(t *testing.T) {
	if l := NewLayout(nil, 200); l.Cap != 208 || l.Score-l.Item < 4*208 {
		t.Errorf("200 rows: %+v", l)
	}
}

func TestReadLayoutRefuses(t *testing.T) {
	good := NewLayout(testColumns, 32)
	set := func(offset int, v uint32) func([]byte) {
		return func(frame []byte) { binary.LittleEndian.PutUint32(frame[offset:], v) }
	}
	entry := func(i int) int { return int(good.Table) + ColumnSize*i }
	for name, c := range map[string]struct {
		change  func(frame []byte)
		address uint32
		want    string
	}{
		"null":                {nil, 0, "multiple of 64"},
		"unaligned":           {nil, 96, "multiple of 64"},
		"outside":             {nil, 1 << 30, "outside the memory"},
		"last address":        {nil, ^uint32(63), "outside the memory"},
		"magic":               {set(OffMagic, 1), 128, "VTPF"},
		"abi":                 {set(OffABI, 1), 128, "ABI 1"},
		"size small":          {set(OffSize, 8), 128, "does not fit"},
		"size large":          {set(OffSize, ^uint32(0)), 128, "does not fit"},
		"last column outside": {set(OffSize, good.Size-64), 128, "column recency ends beyond"},
		"cap":                 {set(OffCap, 16), 128, "room for 16 rows"},
		"fewer columns":       {set(OffColumns, 4), 128, "4 columns"},
		"table outside":       {set(OffTable, good.Size), 128, "misplaced"},
		"table at the end":    {set(OffTable, ^uint32(7)), 128, "misplaced"},
		"table unaligned":     {set(OffTable, 132), 128, "misplaced"},
		"table in the header": {set(OffTable, 0), 128, "column table entry 0"},
		"score unaligned":     {set(OffScore, good.Score+4), 128, "score at"},
		"score outside":       {set(OffScore, good.Size-64), 128, "score"},
		"mask in the header":  {set(OffMask, 64), 128, "overlaps"},
		"out over item":       {set(OffOut, good.Item), 128, "overlaps"},
		"column wraps":        {set(entry(1)+4, ^uint32(63)), 128, "column brand ends beyond"},
		"columns overlap":     {set(entry(1)+4, good.Columns[0]+64), 128, "overlaps"},
		"column id":           {set(entry(0), 7|1<<16|1<<24), 128, "entry 0 is not item column price of type f32"},
		"column type":         {set(entry(3), 3|1<<16|3<<24), 128, "entry 3 is not feature column small of type u8"},
	} {
		memory := guestMemory(testColumns, 32)
		if c.change != nil {
			c.change(memory[128:])
		}
		_, err := ReadLayout(memory, c.address, 32, testColumns)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
	if _, err := ReadLayout(guestMemory(nil, 16), 128, 10, nil); err == nil {
		t.Error("took rows that are no multiple of 16")
	}
}

// FuzzReadLayout lets a guest write anything over a good frame, four bytes at a
// time: what is accepted must lie wholly inside the memory, aligned.
func FuzzReadLayout(f *testing.F) {
	f.Add(uint32(128), []byte{})
	f.Add(uint32(128), []byte{OffScore, 0, 64, 4, 0, 0})
	f.Add(uint32(64), []byte{OffSize, 0, 255, 255, 255, 255, OffTable, 0, 8, 0, 0, 0})
	f.Fuzz(func(t *testing.T, address uint32, edits []byte) {
		memory := guestMemory(testColumns, 32)
		for ; len(edits) >= 6; edits = edits[6:] {
			at := int(binary.LittleEndian.Uint16(edits)) % (len(memory) - 128 - 4)
			copy(memory[128+at:], edits[2:6])
		}
		l, err := ReadLayout(memory, address, 32, testColumns)
		if err != nil {
			return
		}
		inside := func(name string, at, size uint32) {
			if at%Align != 0 || at < HeaderSize || uint64(address)+uint64(at)+uint64(size) > uint64(len(memory)) {
				t.Errorf("%s at %d, %d bytes, in a memory of %d from %d", name, at, size, len(memory), address)
			}
		}
		inside("item", l.Item, 128)
		inside("score", l.Score, 128)
		inside("mask", l.Mask, 32)
		inside("out", l.Out, 128)
		for i, c := range testColumns {
			inside(c.Name, l.Columns[i], room(c, 32))
		}
	})
}
