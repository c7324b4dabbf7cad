package guard

// constant reads a constant expression: one instruction and the end. A
// global.get could only name an imported global, and there is none.
// The value is that of an i32.const, which is what offsets are made of.
func (m *module) constant(r *reader) (value int64, isI32 bool) {
	var in instr
	start := r.p
	r.next(&in)
	switch {
	case r.err != nil:
		return 0, false
	case in.op == opI32Const, in.op == opI64Const, in.op == 0x43, in.op == 0x44, in.op == opV128Const, in.op == opRefNull:
		// An engine may read the number of a vector instruction as one byte.
		if in.op == opV128Const && in.end-start != 18 {
			r.fail("a vector constant is not in its shortest form")
		}
	case in.op == opRefFunc:
		if uint64(in.a) >= uint64(len(m.funcs)) {
			r.fail("function %d does not exist", in.a)
		}
	case in.op == opGlobalGet:
		r.fail("a constant is made of global %d, which is not imported", in.a)
	default:
		r.fail("a constant cannot be made with instruction %#x", in.op)
	}
	if r.err != nil {
		return 0, false
	}
	if end := r.byte(); end != opEnd && r.err == nil {
		r.fail("extended constants are not supported")
	}
	return in.value, in.op == opI32Const
}

// offset reads where an active segment goes.
func (m *module) offset(r *reader) uint32 {
	v, isI32 := m.constant(r)
	if !isI32 && r.err == nil {
		r.fail("an offset is no i32.const")
	}
	return uint32(v)
}

func (m *module) parseDataCount(r *reader) { r.u32() }

func (m *module) parseData(r *reader) {
	n := r.atMost(maxSegments, 2, "segments")
	for i := range n {
		flag := r.u32()
		if flag > 2 {
			r.fail("segment %d has unknown flags %d", i, flag)
		}
		if flag == 2 && r.u32() != 0 {
			r.fail("multi-memory (segment %d) is not supported", i)
		}
		start := uint32(0)
		if flag != 1 {
			start = m.offset(r)
		}
		size := r.u32()
		r.bytes(size)
		if r.err != nil {
			return
		}
		if flag == 1 {
			continue
		}
		if end := uint64(start) + uint64(size); end > uint64(m.pages)*pageSize {
			r.fail("segment %d ends at byte %d of a memory of %d pages", i, end, m.pages)
			return
		}
	}
	m.data = n
}

func (m *module) parseElements(r *reader) {
	n := r.atMost(maxSegments, 2, "segments")
	for i := range n {
		m.parseElement(r, i)
		if r.err != nil {
			return
		}
	}
	m.elements = n
}

// parseElement reads an element segment. Its flags: 1 passive or declared,
// 2 names the table (or is declared), 4 holds expressions.
func (m *module) parseElement(r *reader, i int) {
	flag := r.u32()
	if flag > 7 {
		r.fail("segment %d has unknown flags %d", i, flag)
		return
	}
	active := flag&1 == 0
	index, start := uint32(0), uint32(0)
	if active {
		if flag&2 != 0 {
			index = r.u32()
		}
		start = m.offset(r)
	}
	if flag&3 != 0 {
		kind := r.byte()
		if known := (flag&4 == 0 && kind == 0) || (flag&4 != 0 && (kind == 0x70 || kind == 0x6f)); !known && r.err == nil {
			r.fail("segment %d is of unknown kind %#x", i, kind)
		}
	}
	n := r.count(1)
	for range n {
		if flag&4 != 0 {
			m.constant(r)
		} else if f := r.u32(); uint64(f) >= uint64(len(m.funcs)) {
			r.fail("segment %d names function %d, which does not exist", i, f)
		}
		if r.err != nil {
			return
		}
	}
	if !active || r.err != nil {
		return
	}
	if uint64(index) >= uint64(len(m.tables)) {
		r.fail("segment %d names table %d, which does not exist", i, index)
	} else if end := uint64(start) + uint64(n); end > uint64(m.tables[index].min) {
		r.fail("segment %d ends at entry %d of a table of %d", i, end, m.tables[index].min)
	}
}
