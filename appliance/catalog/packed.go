package catalog

import (
	"encoding/binary"
	"math"

	"vitrine/bridge/event"
)

// packed are the attributes of one item or user as one text without pointers:
// of each a uvarint length and the name, a byte of its kind, and the value, for
// a text as its name, for a number 8 bytes, for a truth one, for a set a uvarint
// count and so many texts. Nobody else writes it, so that nothing is checked.
//
// As a list an item of eight attributes is 700 bytes with 25 pointers, and the
// attributes of 100,000 items were most of what the garbage collector walked,
// at every collection, while requests waited; as a text it is 150 bytes, which
// it does not look into.
type packed string

// pack appends a list to buf, which is used again, and returns it packed.
func pack(buf []byte, list []event.Attribute) ([]byte, packed) {
	buf = buf[:0]
	for i := range list {
		v := &list[i].Value
		buf = append(appendText(buf, list[i].Name), byte(v.Kind))
		switch v.Kind {
		case event.String:
			buf = appendText(buf, v.Str)
		case event.Number:
			buf = binary.LittleEndian.AppendUint64(buf, math.Float64bits(v.Num))
		case event.Bool:
			truth := byte(0)
			if v.Bool {
				truth = 1
			}
			buf = append(buf, truth)
		case event.Set:
			buf = binary.AppendUvarint(buf, uint64(len(v.Set)))
			for _, member := range v.Set {
				buf = appendText(buf, member)
			}
		}
	}
	return buf, packed(buf)
}

// list appends the attributes to dst. Their texts are parts of p.
func (p packed) list(dst []event.Attribute) []event.Attribute {
	for p != "" {
		name := p.text()
		dst = append(dst, event.Attribute{Name: name, Value: p.value()})
	}
	return dst
}

// find is the value of an attribute; false where there is none of that name.
func (p packed) find(name string) (event.Value, bool) {
	for p != "" {
		this := p.text()
		if this > name { // they are sorted
			break
		}
		if this == name {
			return p.value(), true
		}
		p.skip()
	}
	return event.Value{}, false
}

// value cuts a value off the front.
func (p *packed) value() (v event.Value) {
	switch v.Kind = event.ValueKind(p.byte()); v.Kind {
	case event.String:
		v.Str = p.text()
	case event.Number:
		v.Num = math.Float64frombits(p.uint64())
	case event.Bool:
		v.Bool = p.byte() != 0
	case event.Set:
		v.Set = make([]string, p.uvarint())
		for i := range v.Set {
			v.Set[i] = p.text()
		}
	}
	return v
}

// skip cuts a value off the front that nobody wants.
func (p *packed) skip() {
	switch event.ValueKind(p.byte()) {
	case event.String:
		p.text()
	case event.Number:
		p.uint64()
	case event.Bool:
		p.byte()
	case event.Set:
		for range p.uvarint() {
			p.text()
		}
	}
}

func (p *packed) byte() byte {
	b := (*p)[0]
	*p = (*p)[1:]
	return b
}

func (p *packed) uint64() uint64 {
	b := (*p)[:8]
	*p = (*p)[8:]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}

func (p *packed) uvarint() (v uint64) {
	for shift := 0; ; shift += 7 {
		b := p.byte()
		if v |= uint64(b&0x7f) << shift; b < 0x80 {
			return v
		}
	}
}

func (p *packed) text() string {
	n := uint64((*p)[0])
	if n < 0x80 { // nearly all are short
		text := (*p)[1 : 1+n]
		*p = (*p)[1+n:]
		return string(text)
	}
	n = p.uvarint()
	text := (*p)[:n]
	*p = (*p)[n:]
	return string(text)
}
