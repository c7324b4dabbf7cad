package frames

import (
	"encoding/binary"
	"math"

	"vitrine/bridge/event"
)

// served appends a served list.
func (b *Builder) served(r *event.Record) {
	s := r.Served
	out := b.begin(r, 0, s.Time)
	out = appendBytes(out, s.RequestID)
	for _, text := range [...]string{s.UserID, s.List, s.Subject, s.Scene, s.Source, s.Reason, s.Model} {
		out = binary.AppendUvarint(out, b.table.Ref(text))
	}
	out = binary.AppendUvarint(out, uint64(s.Rules))
	out = binary.AppendUvarint(out, uint64(len(s.Plugins)))
	for _, plugin := range s.Plugins {
		out = binary.AppendUvarint(out, b.table.Ref(plugin))
	}
	out = binary.AppendUvarint(out, uint64(len(s.Items)))
	for i := range s.Items {
		out = binary.AppendUvarint(out, b.table.Ref(s.Items[i].ID))
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(s.Items[i].Score))
	}
	b.records = out
}

// served reads the rest of a served list.
func (d *unframer) served(s *event.Served, bits uint64) {
	if bits&^bitSource != 0 {
		d.fail("unknown presence bits")
		return
	}
	s.Time = d.time
	s.RequestID = d.text()
	for _, text := range [...]*string{&s.UserID, &s.List, &s.Subject, &s.Scene, &s.Source, &s.Reason, &s.Model} {
		*text = d.ref()
	}
	rules := d.uvarint()
	if rules > math.MaxUint32 {
		d.fail("number out of range")
		return
	}
	s.Rules = uint32(rules)
	if n := d.count(1); n > 0 {
		s.Plugins = make([]string, n)
		for i := range s.Plugins {
			s.Plugins[i] = d.ref()
		}
	}
	// A place has at least five bytes: a ref and a score.
	if n := d.count(5); n > 0 {
		s.Items = make([]event.ServedItem, n)
		for i := range s.Items {
			s.Items[i] = event.ServedItem{ID: d.ref(), Score: d.single()}
		}
	}
}

// single reads a float of 4 bytes.
func (d *unframer) single() float32 {
	if len(d.data)-d.pos < 4 {
		d.fail("cut short")
		d.pos = len(d.data)
		return 0
	}
	v := math.Float32frombits(binary.LittleEndian.Uint32(d.data[d.pos:]))
	d.pos += 4
	return v
}
