package guard

// MaxDebt is what a run may use beyond its budget.
const MaxDebt = maxDebt

// Naive rewrites a module so that every single instruction pays for itself just
// before it runs, and nothing stops it: the true price of a run, which no
// cleverer scheme may fall below. What depends on lengths is not counted.
func Naive(wasm []byte, limits Limits) ([]byte, error) {
	m := &module{limits: limits.withDefaults(), wasm: wasm}
	if err := m.split(); err != nil {
		return nil, err
	}
	if err := m.parse(); err != nil {
		return nil, err
	}
	if m.sections[secCode] == nil {
		return m.assemble(), nil
	}
	r := m.reader(secCode)
	n := r.u32()
	m.code = appendUint(nil, uint64(n))
	for range n {
		raw := r.bytes(r.u32())
		var p plan
		f := &reader{b: raw, what: "naive"}
		decls, groups := m.declarations(f, &p)
		w := &writer{fuel: uint32(m.globals)}
		w.dst = append(appendUint(w.dst, uint64(groups)), decls...)
		w.payNaively(costEntry)
		var in instr
		for !f.done() {
			f.next(&in)
			w.payNaively(m.costOf(&in))
			w.dst = in.append(w.dst)
		}
		if f.err != nil {
			return nil, f.err
		}
		m.code = append(appendUint(m.code, uint64(len(w.dst))), w.dst...)
	}
	return m.assemble(), nil
}

func (w *writer) payNaively(cost int64) {
	if cost == 0 {
		return
	}
	w.index(opGlobalGet, w.fuel)
	w.constant(opI64Const, cost)
	w.op(opI64Sub)
	w.index(opGlobalSet, w.fuel)
}
