package frames

import (
	"encoding/binary"
	"fmt"
	"math"

	"vitrine/bridge/event"
)

// CorruptError reports a frame that is not as it was written.
type CorruptError struct {
	// Offset is the byte of the frame at which reading stopped.
	Offset int
	// Reason says what is wrong there.
	Reason string
}

// Error describes the damage.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("corrupt frame at byte %d: %s", e.Offset, e.Reason)
}

// Decode calls fn with every record of a frame, in order. The header and
// the checksum of the whole frame are verified before the first call. r is
// used again for the next record; its strings, attributes and sets are fresh
// and may be kept. Damage is a *CorruptError; an error of fn ends the walk and
// is returned as it is. What is allocated is bounded by a small multiple of
// len(data).
func Decode(data []byte, fn func(r *event.Record) error) error {
	count, d, err := open(data)
	if err != nil {
		return err
	}
	var r event.Record
	for range count {
		d.record(&r)
		if d.reason != "" {
			return d.err()
		}
		if err := fn(&r); err != nil {
			return err
		}
	}
	if d.pos != len(d.data) {
		d.fail("bytes after the last record")
		return d.err()
	}
	return nil
}

// open verifies all that can be verified without reading the records
// and loads the string table.
func open(data []byte) (count int, d *unframer, err error) {
	bad := func(offset int, reason string) (int, *unframer, error) {
		return 0, nil, &CorruptError{offset, reason}
	}
	if len(data) < headerSize {
		return bad(len(data), "shorter than a header")
	}
	if string(data[:4]) != magic {
		return bad(0, "not a frame (wrong magic)")
	}
	le := binary.LittleEndian
	if v := le.Uint16(data[4:]); v != version {
		return bad(4, fmt.Sprintf("version %d is unknown here; it was written by a newer release", v))
	}
	if le.Uint16(data[6:]) != 0 || le.Uint32(data[24:]) != 0 {
		return bad(6, "unknown flags; it was written by a newer release")
	}
	body := uint64(len(data) - headerSize)
	if uint64(le.Uint32(data[8:])) != body {
		return bad(8, "length does not match")
	}
	if le.Uint32(data[28:]) != checksum(data) {
		return bad(28, "checksum does not match")
	}
	records, texts, tableLen := uint64(le.Uint32(data[12:])), uint64(le.Uint32(data[16:])), uint64(le.Uint32(data[20:]))
	// A text of the table has at least two bytes: its length and one more.
	if tableLen > body || texts > tableLen/2 || records > (body-tableLen)/minRecord {
		return bad(12, "counts do not fit the length")
	}
	d = &unframer{data: data, pos: headerSize}
	if err := d.loadTable(int(texts), headerSize+int(tableLen)); err != nil {
		return 0, nil, err
	}
	return int(records), d, nil
}

// unframer reads the records of a frame. The first fault stays in reason;
// every read after it gives zero.
type unframer struct {
	data   []byte
	pos    int
	reason string

	// table[0] is the empty string.
	table []string

	time, offset int64
	source       event.Source
}

// fail keeps the first fault.
func (d *unframer) fail(reason string) {
	if d.reason == "" {
		d.reason = reason
	}
}

// err is the fault as an error.
func (d *unframer) err() error { return &CorruptError{d.pos, d.reason} }

// loadTable reads the string table, which must end exactly at end.
func (d *unframer) loadTable(texts, end int) error {
	whole := d.data
	d.data = whole[:end]
	d.table = make([]string, 1, texts+1)
	for range texts {
		s := d.text()
		if s == "" {
			d.fail("empty string in the table")
			return d.err()
		}
		d.table = append(d.table, s)
	}
	if d.pos != end {
		d.fail("string table does not end where it should")
		return d.err()
	}
	d.data = whole
	return nil
}

// record reads one record into r.
func (d *unframer) record(r *event.Record) {
	kind := event.Kind(d.octet())
	bits := d.uvarint()
	d.time += d.varint()
	if bits&bitSource != 0 {
		d.source.Name = d.ref()
		d.source.Partition = d.int32(d.varint())
	}
	d.offset += d.varint()
	*r = event.Record{Kind: kind, Source: d.source}
	r.Source.Offset = d.offset
	switch kind {
	case event.KindEvent:
		d.event(&r.Event, bits)
	case event.KindItemPut, event.KindItemPatch, event.KindItemDelete:
		d.item(&r.Item, bits)
	case event.KindUserPut, event.KindUserPatch, event.KindUserErase, event.KindUserMerge:
		d.user(&r.User, bits)
	case event.KindServed:
		r.Served = new(event.Served)
		d.served(r.Served, bits)
	default:
		d.fail("unknown kind of record")
	}
}

// event reads the rest of an event record.
func (d *unframer) event(e *event.Event, bits uint64) {
	if bits&^eventBits != 0 || bits&(bitWhole|bitValue) == bitWhole|bitValue {
		d.fail("unknown presence bits")
		return
	}
	e.Time = d.time
	e.UserID, e.ItemID, e.Type = d.ref(), d.ref(), d.ref()
	switch {
	case bits&bitWhole != 0:
		e.Value, e.HasValue = float64(d.uvarint()), true
	case bits&bitValue != 0:
		e.Value, e.HasValue = d.double(), true
	}
	if bits&bitEventID != 0 {
		e.EventID = d.text()
	}
	if bits&bitSession != 0 {
		e.SessionID = d.ref()
	}
	if bits&bitRequest != 0 {
		e.RequestID = d.ref()
	}
	if bits&bitPosition != 0 {
		e.Position = d.int32(d.varint())
	}
	if bits&bitScene != 0 {
		e.Scene = d.ref()
	}
	if bits&bitPrice != 0 {
		e.Price, e.HasPrice = d.double(), true
	}
	if bits&bitCurrency != 0 {
		e.Currency = d.ref()
	}
	if bits&bitProps != 0 {
		e.Props = d.text()
	}
}

// item reads the rest of an attribute change.
func (d *unframer) item(it *event.Item, bits uint64) {
	if bits&^itemBits != 0 {
		d.fail("unknown presence bits")
		return
	}
	it.Time = d.time
	it.ID = d.ref()
	if bits&bitExpires != 0 {
		it.ExpiresAt = it.Time + d.varint()
	}
	it.Attributes = d.attributes()
}

// user reads the rest of an attribute change.
func (d *unframer) user(u *event.User, bits uint64) {
	if bits&^userBits != 0 {
		d.fail("unknown presence bits")
		return
	}
	u.Time = d.time
	u.ID = d.ref()
	if bits&bitInto != 0 {
		u.Into = d.ref()
	}
	u.Attributes = d.attributes()
}

// attributes reads a list of them; nil when it is empty.
func (d *unframer) attributes() []event.Attribute {
	// An attribute has at least three bytes: name, kind and a value.
	n := d.count(3)
	if n == 0 {
		return nil
	}
	list := make([]event.Attribute, n)
	for i := range list {
		a := &list[i]
		a.Name = d.ref()
		a.Value.Kind = event.ValueKind(d.octet())
		switch a.Value.Kind {
		case event.String:
			a.Value.Str = d.ref()
		case event.Number:
			a.Value.Num = d.double()
		case event.Bool:
			switch b := d.octet(); b {
			case 0, 1:
				a.Value.Bool = b == 1
			default:
				d.fail("bool is neither 0 nor 1")
			}
		case event.Set:
			a.Value.Set = make([]string, d.count(1))
			for j := range a.Value.Set {
				a.Value.Set[j] = d.ref()
			}
		case event.Removed:
			if d.octet() != 0 {
				d.fail("removed attribute with a value")
			}
		default:
			d.fail("unknown kind of value")
		}
		if d.reason != "" {
			break
		}
	}
	return list
}

// octet reads one byte.
func (d *unframer) octet() byte {
	if d.pos >= len(d.data) {
		d.fail("cut short")
		return 0
	}
	c := d.data[d.pos]
	d.pos++
	return c
}

// uvarint reads an unsigned number.
func (d *unframer) uvarint() uint64 {
	// One byte is by far the most common.
	if d.pos < len(d.data) && d.data[d.pos] < 0x80 {
		d.pos++
		return uint64(d.data[d.pos-1])
	}
	v, n := binary.Uvarint(d.data[d.pos:])
	if n <= 0 {
		d.fail("bad number")
		d.pos = len(d.data)
		return 0
	}
	d.pos += n
	return v
}

// varint reads a signed number.
func (d *unframer) varint() int64 {
	v := d.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

// int32 checks the range of a number that must fit 32 bits.
func (d *unframer) int32(v int64) int32 {
	if v < math.MinInt32 || v > math.MaxInt32 {
		d.fail("number out of range")
		return 0
	}
	return int32(v)
}

// count reads how many things of at least size bytes follow; more than the
// rest of the frame could hold is a fault.
func (d *unframer) count(size int) int {
	n := d.uvarint()
	if n > uint64((len(d.data)-d.pos)/size) {
		d.fail("count does not fit the length")
		return 0
	}
	return int(n)
}

// text reads a length and that many bytes.
func (d *unframer) text() string {
	n := d.count(1)
	s := string(d.data[d.pos : d.pos+n])
	d.pos += n
	return s
}

// ref reads a ref and looks it up.
func (d *unframer) ref() string {
	n := d.uvarint()
	if n >= uint64(len(d.table)) {
		d.fail("string that is not in the table")
		return ""
	}
	return d.table[n]
}

// double reads a float.
func (d *unframer) double() float64 {
	if len(d.data)-d.pos < 8 {
		d.fail("cut short")
		d.pos = len(d.data)
		return 0
	}
	v := math.Float64frombits(binary.LittleEndian.Uint64(d.data[d.pos:]))
	d.pos += 8
	return v
}
