package guard

import "strconv"

// A metered function keeps the fuel in a local of its own, so that a charge
// point is a subtraction and a comparison in a register. The global is written
// before each call and at the end, and read at the entry and after each call:
//
//	local = global - (price of the entry's group + price of the stack frame)
//	trap if local < 0
//	block (results of the function)
//	  ... the body, in which a return is a branch to the end of this block, and
//	  branches to the function's own label arrive there too ...
//	end
//	global = local + price of the stack frame
//
// To trap is to set the global to -1 and to run an unreachable instruction,
// written in line: wazero lowers that to a fused compare and branch, and a
// common place to branch to would not be. A small function without loops, calls
// and operations that pay by length has one group, paid from the global.

// writer writes the body of one function.
type writer struct {
	dst        []byte
	fuel       uint32 // the global
	local      uint32 // i64: the fuel
	length     uint32 // i32: length of a bulk operation
	depth      uint32 // open blocks of the guest
	deposit    int64  // price of the stack frame
	stale      bool   // the global is newer than the local
	maxPages   uint32
	tables     []table
	exitResult int64  // block type of $exit
	called     bool   // on some path no charge point has looked since a call
	labels     []path // open blocks of the guest, without unrolled loops
	debt       int64  // sum of the charges that do not look
	base       uint32 // depth in the body of an unrolled loop
	extra      uint32 // blocks of ours around it
}

func (w *writer) op(code byte)                    { w.dst = append(w.dst, code) }
func (w *writer) index(code byte, i uint32)       { w.dst = appendUint(append(w.dst, code), uint64(i)) }
func (w *writer) constant(code byte, value int64) { w.dst = appendInt(append(w.dst, code), value) }

// path is what writer.called is where paths meet at the end of a block.
type path struct {
	conditional bool // an if without else
	before, end bool
}

// meter rewrites the code section.
func (m *module) meter() *Refusal {
	declared := len(m.funcs) - m.importedFuncs
	if m.sections[secCode] == nil {
		if declared > 0 {
			return refuse("module: cut off: %d functions without code", declared)
		}
		return nil
	}
	r := m.reader(secCode)
	if n := r.u32(); r.err == nil && uint64(n) != uint64(declared) {
		r.fail("%d bodies for %d functions", n, declared)
	}
	m.code = appendUint(make([]byte, 0, len(r.b)+len(r.b)/2), uint64(declared))
	var p plan
	var body []byte
	for i := 0; i < declared && r.err == nil; i++ {
		raw := r.bytes(r.u32())
		if r.err != nil {
			break
		}
		f := &reader{b: raw, base: r.base + r.p - len(raw), what: "function " + strconv.Itoa(m.importedFuncs+i)}
		body = m.function(f, m.funcs[m.importedFuncs+i], &p, body[:0])
		if f.err != nil {
			return f.err
		}
		m.code = appendUint(m.code, uint64(len(body)))
		m.code = append(m.code, body...)
	}
	if r.err == nil {
		r.end()
	}
	return r.err
}

// function rewrites one body.
func (m *module) function(r *reader, typ uint32, p *plan, dst []byte) []byte {
	if len(r.b) > m.limits.MaxBody {
		r.fail("%d bytes of code, the limit is %d", len(r.b), m.limits.MaxBody)
		return nil
	}
	p.reset()
	p.params = uint64(len(m.types[typ].params))
	decls, groups := m.declarations(r, p)
	if r.err != nil {
		return nil
	}
	start := r.p
	m.scan(r, p)
	if r.err != nil {
		return nil
	}
	locals := p.params + p.locals
	if p.tooComplex(r); r.err != nil {
		return nil
	}
	p.fold()
	p.unroll()
	w := &writer{dst: dst, fuel: uint32(m.globals), local: uint32(locals), length: uint32(locals) + 1, maxPages: uint32(m.maxPages), tables: m.tables}
	extra := 1
	if p.dynamic {
		extra = 2
	}
	w.dst = appendUint(w.dst, uint64(groups+extra))
	w.dst = append(w.dst, decls...)
	w.dst = append(w.dst, 1, 0x7e)
	if p.dynamic {
		w.dst = append(w.dst, 1, 0x7f)
	}
	r.p = start
	p.groups[0].cost += costEntry + int64(p.locals)/8
	if cost := p.total(); !p.loops && !p.calls && !p.dynamic && (cost <= leafCost || len(p.groups) == 1) {
		w.leaf(r, cost)
	} else {
		if p.calls {
			w.deposit = StackPrice * p.frameBytes(len(m.types[typ].results))
		}
		w.exitResult = m.blockType(m.types[typ].results)
		w.body(r, p)
	}
	return w.dst
}

// declarations reads the locals of a function and gives them encoded anew,
// without the number of groups.
func (m *module) declarations(r *reader, p *plan) (decls []byte, groups int) {
	groups = r.count(2)
	for range groups {
		n := r.u32()
		t := r.byte()
		if r.err == nil && valueTypeName(t) == "" {
			r.fail("a local of unknown type %#x", t)
		}
		p.locals += uint64(n)
		if t == 0x7b {
			p.wide += uint64(n)
		}
		if total := p.params + p.locals; total > uint64(m.limits.MaxLocals) {
			r.fail("%d or more parameters and locals, the limit is %d", total, m.limits.MaxLocals)
		}
		if r.err != nil {
			return nil, 0
		}
		decls = append(appendUint(decls, uint64(n)), t)
	}
	return decls, groups
}

// blockType gives the type of a block without parameters, adding it to the
// types of the module where it has no short form.
func (m *module) blockType(results []byte) int64 {
	switch len(results) {
	case 0:
		return blockEmpty - 0x80
	case 1:
		return int64(results[0]) - 0x80
	}
	if i, ok := m.resultTypes[string(results)]; ok {
		return int64(i)
	}
	i := uint32(len(m.types) + m.extraCount)
	m.extraCount++
	m.resultTypes[string(results)] = i
	m.extraTypes = append(m.extraTypes, 0x60, 0)
	m.extraTypes = appendUint(m.extraTypes, uint64(len(results)))
	m.extraTypes = append(m.extraTypes, results...)
	return int64(i)
}

// leaf writes a function that pays once, from the global.
func (w *writer) leaf(r *reader, cost int64) {
	w.index(opGlobalGet, w.fuel)
	w.constant(opI64Const, cost)
	w.op(opI64Sub)
	w.index(opLocalTee, w.local)
	w.index(opGlobalSet, w.fuel)
	w.index(opLocalGet, w.local)
	w.constant(opI64Const, 0)
	w.op(opI64LtS)
	w.dst = append(w.dst, opIf, blockEmpty, opUnreachable, opEnd)
	var in instr
	for !r.done() {
		r.next(&in)
		w.dst = in.append(w.dst)
	}
}

// body writes a function that keeps the fuel in a local.
func (w *writer) body(r *reader, p *plan) {
	w.op(opBlock)
	w.dst = appendInt(w.dst, w.exitResult)
	w.index(opGlobalGet, w.fuel)
	w.charge(p.groups[0].cost + w.deposit)
	w.code(r, p, 1, len(r.b)-1)
	w.op(opEnd)
	w.index(opLocalGet, w.local)
	if w.deposit > 0 {
		w.constant(opI64Const, w.deposit)
		w.op(opI64Add)
	}
	w.index(opGlobalSet, w.fuel)
	w.op(opEnd)
}

// code writes the instructions up to an offset, which is the end of a block.
// next is the first group that begins there.
func (w *writer) code(r *reader, p *plan, next, end int) int {
	var in instr
	for r.p < end {
		r.next(&in)
		begins := func() bool { return next < len(p.groups) && p.groups[next].at == in.end }
		if begins() && p.groups[next].loop.copies > 1 {
			next = w.unroll(r, p, &in, next+1)
		} else {
			w.instr(&in)
		}
		if !begins() {
			continue
		}
		w.pay(&p.groups[next])
		next++
	}
	w.refresh()
	return next
}

// unroll writes a loop whose head pays for several rounds at once. Every round
// but the last is a block, whose end is where the loop's label leads:
//
//	block (results)
//	  loop (results)
//	    charge copies * cost
//	    block
//	      the body; a branch to the loop's label goes to the end of this block
//	      br out of the outer block
//	    end
//	    ... once less than copies ...
//	    the body
//	  end
//	end
func (w *writer) unroll(r *reader, p *plan, in *instr, first int) (next int) {
	g := &p.groups[first-1]
	start := r.p
	w.refresh()
	w.dst = appendInt(append(w.dst, opBlock), in.value)
	w.dst = in.append(w.dst)
	w.depth += 2
	w.load()
	w.charge(max(g.cost, 1) * int64(g.loop.copies))
	for i := 1; i < g.loop.copies; i++ {
		r.p = start
		w.dst = append(w.dst, opBlock, blockEmpty)
		w.depth++
		w.round(r, p, first, g.loop.end, 2)
		w.index(opBr, 2)
		w.op(opEnd)
		w.depth--
	}
	r.p = start
	next = w.round(r, p, first, g.loop.end, 1)
	r.next(in)
	w.dst = append(w.dst, opEnd, opEnd)
	w.depth -= 2
	return next
}

// round writes the body of an unrolled loop. There are extra blocks of ours
// around its label, which branches further out have to pass.
func (w *writer) round(r *reader, p *plan, first, end int, extra uint32) (next int) {
	w.base, w.extra = w.depth, extra
	next = w.code(r, p, first, end)
	w.extra = 0
	return next
}

// outer gives the label of a branch, where w.extra of our blocks lie beyond the
// innermost loop of the guest.
func (w *writer) outer(label uint32) uint32 {
	if w.extra > 0 && label > w.depth-w.base {
		return label + w.extra
	}
	return label
}

// refresh makes the local current, which it has to be wherever paths part or
// meet.
func (w *writer) refresh() {
	if w.stale {
		w.index(opGlobalGet, w.fuel)
		w.index(opLocalSet, w.local)
		w.stale = false
	}
}

// load puts the fuel on the stack, from where it is current.
func (w *writer) load() {
	if w.stale {
		w.index(opGlobalGet, w.fuel)
	} else {
		w.index(opLocalGet, w.local)
	}
	w.stale = false
}

// pay writes the charge point of a group. It need not look whether fuel is left
// when a charge point before it did, on every path and with no call since, and
// little was paid without looking.
func (w *writer) pay(g *group) {
	if g.gone {
		return
	}
	w.load()
	if g.head || w.called || w.debt+g.cost > maxDebt {
		w.charge(max(g.cost, 1))
		return
	}
	w.debt += g.cost
	w.constant(opI64Const, g.cost)
	w.op(opI64Sub)
	w.index(opLocalSet, w.local)
}

// charge takes a static cost from the fuel on the stack.
func (w *writer) charge(cost int64) {
	w.constant(opI64Const, cost)
	w.take()
}

// take subtracts what is on the stack from the fuel below it, keeps the result
// and leaves the function when it is negative.
func (w *writer) take() {
	w.called = false
	w.op(opI64Sub)
	w.index(opLocalTee, w.local)
	w.constant(opI64Const, 0)
	w.op(opI64LtS)
	w.dst = append(w.dst, opIf, blockEmpty)
	w.constant(opI64Const, -1)
	w.index(opGlobalSet, w.fuel)
	w.dst = append(w.dst, opUnreachable, opEnd)
}

// instr writes an instruction of the guest and what has to stand before it.
func (w *writer) instr(in *instr) {
	switch in.op {
	case opBlock, opLoop, opIf:
		w.refresh()
		w.depth++
		w.labels = append(w.labels, path{conditional: in.op == opIf, before: w.called})
	case opElse:
		w.refresh()
		w.otherwise()
	case opBr, opBrIf:
		w.refresh()
		w.branch(in)
		w.index(byte(in.op), w.outer(in.a))
		return
	case opBrTable:
		w.refresh()
		w.branch(in)
		w.index(opBrTable, in.a)
		in.targets(func(label uint32) { w.dst = appendUint(w.dst, uint64(w.outer(label))) })
		return
	case opEnd:
		w.refresh()
		w.depth--
		w.meet()
	case opUnreachable:
		w.called = false
	case opReturn:
		w.refresh()
		w.called = false
		w.index(opBr, w.depth)
		return
	case opCall, opCallIndirect:
		if !w.stale {
			w.index(opLocalGet, w.local)
			w.index(opGlobalSet, w.fuel)
		}
		w.stale, w.called = true, true
	case opMemoryInit, opMemoryCopy, opMemoryFill:
		w.byLength(func() {
			w.constant(opI64Const, bulkShift)
			w.op(opI64ShrU)
		})
	case opTableInit, opTableCopy, opTableFill:
		w.byLength(func() {})
	case opTableGrow:
		w.byLength(func() { w.growth(costNew, w.tables[in.a].max) })
	case opMemoryGrow:
		w.byLength(func() { w.growth(costPage, w.maxPages) })
	}
	w.dst = in.append(w.dst)
}

// byLength charges by the number on top of the stack, which stays there. price
// turns that number, as an i64 on the stack, into units.
func (w *writer) byLength(price func()) {
	w.index(opLocalTee, w.length)
	w.load()
	w.index(opLocalGet, w.length)
	w.op(opI64ExtendU)
	price()
	w.take()
}

// growth prices growing. Asking for more than there can ever be fails at once,
// and is how allocators find out: it costs no more than the attempt.
func (w *writer) growth(price int64, most uint32) {
	w.constant(opI64Const, price)
	w.op(opI64Mul)
	w.constant(opI64Const, 0)
	w.index(opLocalGet, w.length)
	w.constant(opI32Const, int64(int32(most)))
	w.op(opI32LeU)
	w.op(opSelect)
}

// branch carries writer.called to the ends of the blocks that an instruction
// branches to. Heads of loops look anyway; in unrolled loops there are no calls.
func (w *writer) branch(in *instr) {
	if w.called {
		carry := func(label uint32) {
			if n := len(w.labels) - 1 - int(label); n >= 0 {
				w.labels[n].end = true
			}
		}
		if in.op == opBrTable {
			in.targets(carry)
		} else {
			carry(in.a)
		}
	}
	w.called = w.called && in.op == opBrIf
}

// otherwise turns to the other arm of an if.
func (w *writer) otherwise() {
	top := &w.labels[len(w.labels)-1]
	top.conditional = false
	top.end = top.end || w.called
	w.called = top.before
}

// meet ends a block.
func (w *writer) meet() {
	top := w.labels[len(w.labels)-1]
	w.labels = w.labels[:len(w.labels)-1]
	w.called = w.called || top.end || (top.conditional && top.before)
}
