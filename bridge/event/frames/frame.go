// Package frames is the binary form of records in the log: many of them in one
// message of the bus, and in the snapshots of the catalogue.
//
// It owns the layout of a frame, which is on disk and must stay readable for ever.
// What a record means it leaves to bridge/event, of which it knows the types alone; it
// must not import any other package of this module than that and the texts of a frame.
//
//	var b frames.Builder
//	b.Add(&record)
//	err := frames.Decode(b.Seal(), func(r *event.Record) error { return nil })
package frames

import (
	"encoding/binary"
	"hash/crc32"
	"math"

	"vitrine/bridge/event"
	"vitrine/bridge/event/texts"
)

// A frame is many records in one message of the bus. All numbers are little
// endian. A frame is a header of 32 bytes, a string table and the records:
//
//	offset  size  header
//	0       4     magic "VTF1"
//	4       2     version, 1
//	6       2     flags, 0
//	8       4     length of what follows the header, in bytes
//	12      4     number of records
//	16      4     number of strings in the table
//	20      4     length of the string table, in bytes
//	24      4     0, reserved
//	28      4     CRC-32C of bytes 0..27 and of all that follows the header
//
// uvarint is the base-128 varint of protocol buffers, varint the same after
// zigzag, text is uvarint length and bytes, float is the 8 bytes of an IEEE
// 754 double. The string table is that many texts, none of them empty. A ref
// is a uvarint: 0 for the empty string, n for the n-th string of the table,
// counted from 1.
//
// A record is
//
//	byte     kind: 1 event, 2 item put, 3 item patch, 4 user put, 5 user patch,
//	         6 item delete, 7 user erase, 8 user merge, 9 served list
//	uvarint  presence bits
//	varint   time, minus the time of the record before (0 for the first)
//	if bit 0 is set:
//	ref      source name
//	varint   source partition
//	always:
//	varint   source offset, minus the offset of the record before (0 for the first)
//
// Without bit 0, name and partition are those of the record before (for the
// first record: empty and 0). An event goes on with
//
//	ref user, ref item, ref type
//	bit 1   value: uvarint, a whole number of at most 2^53
//	bit 2   value: float (bits 1 and 2 exclude each other)
//	bit 3   event_id: text
//	bit 4   session_id: ref
//	bit 5   request_id: ref
//	bit 6   position: varint
//	bit 7   scene: ref
//	bit 8   price: float
//	bit 9   currency: ref
//	bit 10  props: text
//
// each only when its bit is set, in this order. An item record goes on with
//
//	ref item
//	bit 1   expires_at: varint, minus the time of this record
//	uvarint number of attributes, and for each
//	ref     name
//	byte    kind: 1 string, 2 number, 3 bool, 4 set, 5 removed
//	        string: ref; number: float; bool: byte 0 or 1;
//	        set: uvarint number of members, and a ref for each;
//	        removed (in a patch): byte 0
//
// A user record goes on with
//
//	ref user
//	bit 1   ref of the user who takes over
//	uvarint number of attributes, and each as in an item record
//
// A served list goes on with
//
//	text    request_id
//	ref     user, list, subject, scene, source, reason, model
//	uvarint version of the rules
//	uvarint number of plugins, and a ref for each
//	uvarint number of items, and for each a ref and its score, the 4 bytes of
//	        an IEEE 754 single
//
// Unknown kinds, bits and flags are an error: a reader must not guess. Ids
// that repeat (users, items, types, sessions) are in the table and so cost one
// to three bytes a record; what is unique (event_id, props) stands in place.
const (
	magic      = "VTF1"
	version    = 1
	headerSize = 32

	// minRecord is the length of the shortest record; the announced number of
	// records is checked against it before anything is believed.
	minRecord = 6
)

// Presence bits, see above.
const (
	bitSource = 1 << 0

	bitWhole    = 1 << 1
	bitValue    = 1 << 2
	bitEventID  = 1 << 3
	bitSession  = 1 << 4
	bitRequest  = 1 << 5
	bitPosition = 1 << 6
	bitScene    = 1 << 7
	bitPrice    = 1 << 8
	bitCurrency = 1 << 9
	bitProps    = 1 << 10
	eventBits   = 1<<11 - 1

	bitExpires = 1 << 1
	itemBits   = bitSource | bitExpires
	userBits   = bitSource | bitInto
	bitInto    = 1 << 1
)

// castagnoli is the table of CRC-32C, which processors compute in hardware.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Builder packs records into a frame. The zero value is ready to use.
type Builder struct {
	table   texts.Table
	records []byte
	sealed  []byte
	count   int

	// What the next record is written against.
	time, offset int64
	source       string
	partition    int32

	// The refs of fields that rarely change from record to record, so that
	// the common case spares the map.
	lastType, lastScene, lastCurrency, lastUser, lastSession texts.Last
}

// Len is the number of records added since the last Reset.
func (b *Builder) Len() int { return b.count }

// Size is the length that Seal's frame would have now.
func (b *Builder) Size() int { return headerSize + len(b.table.Bytes()) + len(b.records) }

// Reset empties the builder and keeps its memory.
func (b *Builder) Reset() {
	table := b.table
	table.Reset()
	*b = Builder{table: table, records: b.records[:0], sealed: b.sealed[:0]}
}

// Add appends a record. It keeps no part of r but its strings, and those only
// until Reset. An unknown kind of record or of value panics: only a mistake in
// this program can bring one here.
func (b *Builder) Add(r *event.Record) {
	switch r.Kind {
	case event.KindEvent:
		b.event(r)
	case event.KindItemPut, event.KindItemPatch, event.KindItemDelete:
		b.item(r)
	case event.KindUserPut, event.KindUserPatch, event.KindUserErase, event.KindUserMerge:
		b.user(r)
	case event.KindServed:
		b.served(r)
	default:
		panic("frames: record of unknown kind")
	}
	b.count++
}

// Seal returns the frame of all records added so far. It is valid until the
// next call of Seal or Reset.
func (b *Builder) Seal() []byte {
	b.sealed = b.SealInto(b.sealed)
	return b.sealed
}

// SealInto is Seal into the memory of out, as far as it goes.
func (b *Builder) SealInto(out []byte) []byte {
	out = append(out[:0], make([]byte, headerSize)...)
	out = append(out, b.table.Bytes()...)
	out = append(out, b.records...)
	copy(out, magic)
	le := binary.LittleEndian
	le.PutUint16(out[4:], version)
	le.PutUint32(out[8:], uint32(len(out)-headerSize))
	le.PutUint32(out[12:], uint32(b.count))
	le.PutUint32(out[16:], uint32(b.table.Len()))
	le.PutUint32(out[20:], uint32(len(b.table.Bytes())))
	le.PutUint32(out[28:], checksum(out))
	return out
}

// checksum is the checksum of a whole frame but for the field that holds it.
func checksum(frame []byte) uint32 {
	sum := crc32.Checksum(frame[:headerSize-4], castagnoli)
	return crc32.Update(sum, castagnoli, frame[headerSize:])
}

// begin appends what all records begin with.
func (b *Builder) begin(r *event.Record, bits uint64, time int64) []byte {
	src := &r.Source
	if src.Name != b.source || src.Partition != b.partition {
		bits |= bitSource
	}
	out := append(b.records, byte(r.Kind))
	out = binary.AppendUvarint(out, bits)
	out = binary.AppendVarint(out, time-b.time)
	if bits&bitSource != 0 {
		out = binary.AppendUvarint(out, b.table.Ref(src.Name))
		out = binary.AppendVarint(out, int64(src.Partition))
		b.source, b.partition = src.Name, src.Partition
	}
	out = binary.AppendVarint(out, src.Offset-b.offset)
	b.time, b.offset = time, src.Offset
	return out
}

// event appends an event record.
func (b *Builder) event(r *event.Record) {
	e := &r.Event
	var bits uint64
	if e.HasValue {
		bits |= bitValue
		if e.Value >= 0 && e.Value <= 1<<53 && e.Value == math.Trunc(e.Value) && !math.Signbit(e.Value) {
			bits ^= bitValue | bitWhole
		}
	}
	bits |= bitIf(e.EventID != "", bitEventID) | bitIf(e.SessionID != "", bitSession) |
		bitIf(e.RequestID != "", bitRequest) | bitIf(e.Position != 0, bitPosition) |
		bitIf(e.Scene != "", bitScene) | bitIf(e.HasPrice, bitPrice) |
		bitIf(e.Currency != "", bitCurrency) | bitIf(e.Props != "", bitProps)
	out := b.begin(r, bits, e.Time)
	out = binary.AppendUvarint(out, b.table.Again(&b.lastUser, e.UserID))
	out = binary.AppendUvarint(out, b.table.Ref(e.ItemID))
	out = binary.AppendUvarint(out, b.table.Again(&b.lastType, e.Type))
	switch {
	case bits&bitWhole != 0:
		out = binary.AppendUvarint(out, uint64(e.Value))
	case bits&bitValue != 0:
		out = appendDouble(out, e.Value)
	}
	if e.EventID != "" {
		out = appendBytes(out, e.EventID)
	}
	if e.SessionID != "" {
		out = binary.AppendUvarint(out, b.table.Again(&b.lastSession, e.SessionID))
	}
	if e.RequestID != "" {
		out = binary.AppendUvarint(out, b.table.Ref(e.RequestID))
	}
	if e.Position != 0 {
		out = binary.AppendVarint(out, int64(e.Position))
	}
	if e.Scene != "" {
		out = binary.AppendUvarint(out, b.table.Again(&b.lastScene, e.Scene))
	}
	if e.HasPrice {
		out = appendDouble(out, e.Price)
	}
	if e.Currency != "" {
		out = binary.AppendUvarint(out, b.table.Again(&b.lastCurrency, e.Currency))
	}
	if e.Props != "" {
		out = appendBytes(out, e.Props)
	}
	b.records = out
}

// item appends an attribute change.
func (b *Builder) item(r *event.Record) {
	it := &r.Item
	out := b.begin(r, bitIf(it.ExpiresAt != 0, bitExpires), it.Time)
	out = binary.AppendUvarint(out, b.table.Ref(it.ID))
	if it.ExpiresAt != 0 {
		out = binary.AppendVarint(out, it.ExpiresAt-it.Time)
	}
	b.records = b.attributes(out, it.Attributes)
}

// user appends an attribute change.
func (b *Builder) user(r *event.Record) {
	u := &r.User
	out := b.begin(r, bitIf(u.Into != "", bitInto), u.Time)
	out = binary.AppendUvarint(out, b.table.Ref(u.ID))
	if u.Into != "" {
		out = binary.AppendUvarint(out, b.table.Ref(u.Into))
	}
	b.records = b.attributes(out, u.Attributes)
}

// attributes appends a list of them to out.
func (b *Builder) attributes(out []byte, list []event.Attribute) []byte {
	out = binary.AppendUvarint(out, uint64(len(list)))
	for i := range list {
		a := &list[i]
		out = binary.AppendUvarint(out, b.table.Ref(a.Name))
		out = append(out, byte(a.Value.Kind))
		switch a.Value.Kind {
		case event.String:
			out = binary.AppendUvarint(out, b.table.Ref(a.Value.Str))
		case event.Number:
			out = appendDouble(out, a.Value.Num)
		case event.Bool:
			out = append(out, byte(bitIf(a.Value.Bool, 1)))
		case event.Set:
			out = binary.AppendUvarint(out, uint64(len(a.Value.Set)))
			for _, member := range a.Value.Set {
				out = binary.AppendUvarint(out, b.table.Ref(member))
			}
		case event.Removed:
			out = append(out, 0)
		default:
			panic("frames: attribute value of unknown kind")
		}
	}
	return out
}

// bitIf is bit when on, else 0.
func bitIf(on bool, bit uint64) uint64 {
	if on {
		return bit
	}
	return 0
}

// appendBytes appends a text: its length and its bytes.
func appendBytes(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// appendDouble appends a float.
func appendDouble(dst []byte, v float64) []byte {
	return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v))
}
