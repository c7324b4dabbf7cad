package abi

import "strconv"

// Sizes and alignments of a frame.
const (
	// Magic is the first field of a frame: "VTPF".
	Magic uint32 = 'V' | 'T'<<8 | 'P'<<16 | 'F'<<24
	// HeaderSize is the bytes of the header.
	HeaderSize = 128
	// ColumnSize is the bytes of one entry of the column table.
	ColumnSize = 8
	// Align is what the address of a frame and every array's offset are
	// multiples of.
	Align = 64
	// RowAlign is what the room of an array is rounded up to, in rows.
	RowAlign = 16
)

// Offsets of the header's fields.
const (
	OffMagic   = 0
	OffABI     = 4
	OffSize    = 8
	OffCap     = 12
	OffColumns = 16
	OffTable   = 20
	OffItem    = 24
	OffScore   = 28
	OffMask    = 32
	OffOut     = 36
	OffN       = 40
	OffShow    = 44
	OffKind    = 48
	OffFlags   = 52
	OffNow     = 56
	OffSeed    = 64
	OffUser    = 72
	OffScene   = 76
)

// FlagUser in flags says that the visitor has a code: user columns are his.
const FlagUser = 1

// NoUser is the header's user when the visitor is unknown.
const NoUser = ^uint32(0)

// Header is the header as a Go struct, for guests and hosts that address memory
// directly.
type Header struct {
	Magic, ABI, Size, Cap, Columns, Table uint32
	Item, Score, Mask, Out                uint32
	N, Show, Kind, Flags                  uint32
	Now                                   int64
	Seed                                  uint64
	User, Scene                           uint32
	_                                     [48]byte
}

// Layout is where a frame's parts are: offsets from its address.
type Layout struct {
	Size, Cap              uint32
	Table                  uint32
	Item, Score, Mask, Out uint32
	// Columns has the offset of each column, in the table's order.
	Columns []uint32
}

// Rows rounds n up to RowAlign.
func Rows(n int) int { return (n + RowAlign - 1) &^ (RowAlign - 1) }

// room is the bytes that a column takes in a frame of rows rows.
func room(c Column, rows int) uint32 {
	if c.Scope == ScopeUser {
		return Align
	}
	return uint32(Rows(rows) * c.Type.Size())
}

// NewLayout places the columns in a frame of rows rows, one part after the
// other.
func NewLayout(columns []Column, rows int) Layout {
	rows = Rows(rows)
	l := Layout{Cap: uint32(rows), Table: HeaderSize, Columns: make([]uint32, len(columns))}
	next := uint32(HeaderSize + ColumnSize*len(columns))
	place := func(size uint32) uint32 {
		at := (next + Align - 1) &^ (Align - 1)
		next = at + size
		return at
	}
	l.Item, l.Score = place(uint32(4*rows)), place(uint32(4*rows))
	l.Mask, l.Out = place(uint32(rows)), place(uint32(4*rows))
	for i, c := range columns {
		l.Columns[i] = place(room(c, rows))
	}
	l.Size = (next + Align - 1) &^ (Align - 1)
	return l
}

// Write fills in the guest's fields of the header and the column table.
func (l *Layout) Write(frame []byte, columns []Column) {
	clear(frame[:HeaderSize])
	put32(frame[OffMagic:], Magic)
	put32(frame[OffABI:], Version)
	put32(frame[OffSize:], l.Size)
	put32(frame[OffCap:], l.Cap)
	put32(frame[OffColumns:], uint32(len(columns)))
	put32(frame[OffTable:], l.Table)
	put32(frame[OffItem:], l.Item)
	put32(frame[OffScore:], l.Score)
	put32(frame[OffMask:], l.Mask)
	put32(frame[OffOut:], l.Out)
	for i, c := range columns {
		entry := frame[int(l.Table)+ColumnSize*i:]
		put32(entry, uint32(i)|uint32(c.Type)<<16|uint32(c.Scope)<<24)
		put32(entry[4:], l.Columns[i])
	}
}

// ReadLayout checks the frame of rows rows that a guest reserved at address in
// its memory: bounds, alignment, overlap, and the column table against the
// manifest's columns. The guest may be hostile.
func ReadLayout(memory []byte, address uint32, rows int, columns []Column) (Layout, error) {
	var l Layout
	if address == 0 || address%Align != 0 {
		return l, Error("frame address " + decimal(address) + " is not a multiple of 64 above 0")
	}
	if uint64(address)+HeaderSize > uint64(len(memory)) {
		return l, Error("frame address " + decimal(address) + " is outside the memory")
	}
	frame := memory[address:]
	if m := get32(frame[OffMagic:]); m != Magic {
		return l, Error("frame does not begin with VTPF")
	}
	if v := get32(frame[OffABI:]); v != Version {
		return l, Error("frame has ABI " + decimal(v))
	}
	l.Size, l.Cap = get32(frame[OffSize:]), get32(frame[OffCap:])
	if l.Size < HeaderSize || uint64(l.Size) > uint64(len(frame)) {
		return l, Error("frame of " + decimal(l.Size) + " bytes does not fit the memory")
	}
	if l.Cap != uint32(rows) || rows != Rows(rows) {
		return l, Error("frame has room for " + decimal(l.Cap) + " rows, asked were " + strconv.Itoa(rows))
	}
	frame = frame[:l.Size]
	if n := get32(frame[OffColumns:]); n != uint32(len(columns)) {
		return l, Error("frame has " + decimal(n) + " columns, the manifest " + strconv.Itoa(len(columns)))
	}
	l.Table = get32(frame[OffTable:])
	if l.Table%8 != 0 || uint64(l.Table)+uint64(ColumnSize*len(columns)) > uint64(l.Size) {
		return l, Error("column table at " + decimal(l.Table) + " is misplaced")
	}
	l.Item, l.Score = get32(frame[OffItem:]), get32(frame[OffScore:])
	l.Mask, l.Out = get32(frame[OffMask:]), get32(frame[OffOut:])
	l.Columns = make([]uint32, len(columns))
	for i, c := range columns {
		entry := frame[int(l.Table)+ColumnSize*i:]
		if get32(entry) != uint32(i)|uint32(c.Type)<<16|uint32(c.Scope)<<24 {
			return l, Error("column table entry " + strconv.Itoa(i) + " is not " + c.Scope.String() + " column " + c.Name + " of type " + c.Type.String())
		}
		l.Columns[i] = get32(entry[4:])
	}
	return l, l.check(columns)
}

// part is a named piece of a frame.
type part struct {
	name     string
	from, to uint64
}

// check finds parts that are misaligned, outside or over each other.
func (l *Layout) check(columns []Column) error {
	parts := make([]part, 0, len(columns)+6)
	add := func(name string, at, size uint32) {
		parts = append(parts, part{name, uint64(at), uint64(at) + uint64(size)})
	}
	add("item", l.Item, 4*l.Cap)
	add("score", l.Score, 4*l.Cap)
	add("mask", l.Mask, l.Cap)
	add("out", l.Out, 4*l.Cap)
	for i, c := range columns {
		add("column "+c.Name, l.Columns[i], room(c, int(l.Cap)))
	}
	for _, p := range parts {
		if p.from%Align != 0 {
			return Error(p.name + " at " + strconv.FormatUint(p.from, 10) + " is not a multiple of 64")
		}
	}
	add("header", 0, HeaderSize)
	if len(columns) > 0 {
		add("column table", l.Table, uint32(ColumnSize*len(columns)))
	}
	for i := range parts { // insertion sort: a few parts, nearly in order
		for j := i; j > 0 && parts[j].from < parts[j-1].from; j-- {
			parts[j], parts[j-1] = parts[j-1], parts[j]
		}
	}
	for i, p := range parts {
		if p.to > uint64(l.Size) {
			return Error(p.name + " ends beyond the frame")
		}
		if i > 0 && p.from < parts[i-1].to {
			return Error(p.name + " overlaps " + parts[i-1].name)
		}
	}
	return nil
}

// get32 and put32 are here because encoding/binary brings reflect and the
// tables of unicode into every guest.
func get32(b []byte) uint32 {
	_ = b[3]
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

func put32(b []byte, v uint32) {
	_ = b[3]
	b[0], b[1], b[2], b[3] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
}

func decimal(n uint32) string { return strconv.FormatUint(uint64(n), 10) }
