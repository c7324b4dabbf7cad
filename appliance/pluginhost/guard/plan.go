package guard

// group is code that is paid at one charge point. Its parent is the group
// before it, which dominates it and lies in the same innermost loop: a group
// may be folded into its parent, see the package comment.
type group struct {
	parent int // index, or -1: entry and loop heads are never folded
	at     int // offset in the body before which the charge point stands
	cost   int64
	folded int64 // part of cost that came from folded groups
	gone   bool  // folded into its parent
	head   bool  // loop head or entry
	loop   loop  // of a loop head
}

// loop is what decides whether a loop is unrolled.
type loop struct {
	end    int  // offset in the body before its end
	simple bool // innermost, without calls and parameters
	copies int  // times that its body is written
}

// label is an open block.
type label struct {
	op       int  // opBlock, opLoop, opIf, or opEnd for the function itself
	group    int  // current at its beginning
	values   int  // that a branch to it passes
	head     int  // group of the head, of a loop
	branched bool // something branches to its end
}

// plan is what the first pass over a function finds out. It is used again for
// the next function.
type plan struct {
	groups  []group
	labels  []label
	inLoop  []int // heads of open loops
	current int   // group

	params, locals uint64 // locals without parameters
	wide           uint64 // locals of type v128
	ops            int
	branches       int
	targets        int  // of all br_table
	passed         int  // values that calls and branches pass
	loops          bool // has loops
	calls          bool // has calls
	dynamic        bool // has operations that pay by length
}

func (p *plan) reset() {
	*p = plan{groups: p.groups[:0], labels: p.labels[:0], inLoop: p.inLoop[:0]}
}

// open begins a group at an offset.
func (p *plan) open(parent, at int, head bool) {
	p.groups = append(p.groups, group{parent: parent, at: at, head: head})
	p.current = len(p.groups) - 1
}

// scan reads the instructions of a function body, checks indexes and the
// nesting of blocks, and divides them into groups.
func (m *module) scan(r *reader, p *plan) {
	p.open(-1, r.p, true)
	p.labels = append(p.labels, label{op: opEnd})
	var in instr
	for len(p.labels) > 0 {
		r.next(&in)
		if r.err == nil {
			m.checkIndexes(r, p, &in)
		}
		if r.err != nil {
			return
		}
		p.groups[p.current].cost += m.costOf(&in)
		p.ops++
		m.structure(r, p, &in)
		if p.branches > maxBranches {
			r.fail("more than %d blocks and branches, the limit of a function", maxBranches)
			return
		}
	}
	r.end()
}

// structure follows blocks and branches.
func (m *module) structure(r *reader, p *plan, in *instr) {
	switch in.op {
	case opBlock, opLoop, opIf:
		m.begin(r, p, in)
	case opElse:
		top := &p.labels[len(p.labels)-1]
		if top.op != opIf {
			r.fail("an else without if at byte %d", r.base+r.p)
			return
		}
		top.op, top.branched = opBlock, true
		p.open(top.group, in.end, false)
	case opEnd:
		p.close(in)
	case opBr, opBrIf:
		p.branch(r, in.a)
		if in.op == opBrIf {
			p.branches++
			p.open(p.current, in.end, false)
		}
	case opBrTable:
		in.targets(func(to uint32) { p.branch(r, to) })
		p.branches++
		p.targets += int(in.a)
	case opCall, opCallIndirect:
		p.calls = true
		p.passed += int(m.costOf(in))
		p.complicate()
	case opMemoryGrow, opTableGrow, opMemoryInit, opMemoryCopy, opMemoryFill, opTableInit, opTableCopy, opTableFill:
		p.dynamic = true
	}
}

func (m *module) begin(r *reader, p *plan, in *instr) {
	if in.value >= 0 && in.value >= int64(len(m.types)) {
		r.fail("a block of type %d, which does not exist", in.value)
	}
	if in.op == opLoop {
		p.complicate()
	}
	p.labels = append(p.labels, label{op: in.op, group: p.current, values: m.valuesOf(in)})
	p.branches++
	switch in.op {
	case opLoop:
		p.loops = true
		p.open(-1, in.end, true)
		p.labels[len(p.labels)-1].head = p.current
		p.groups[p.current].cost += p.joinCost()
		p.groups[p.current].loop.simple = in.value < 0
		p.inLoop = append(p.inLoop, p.current)
	case opIf:
		p.open(p.current, in.end, false)
	}
}

// valuesOf counts what a branch to a block passes.
func (m *module) valuesOf(in *instr) int {
	switch {
	case in.value < 0 || in.value >= int64(len(m.types)):
		return 1
	case in.op == opLoop:
		return len(m.types[in.value].params)
	}
	return len(m.types[in.value].results)
}

// close ends a block. What follows is dominated by the group before the block;
// when nothing branches to the end, also by the group that ends here, but if
// that is of a loop inside, it pays for another place.
func (p *plan) close(in *instr) {
	top := p.labels[len(p.labels)-1]
	p.labels = p.labels[:len(p.labels)-1]
	switch top.op {
	case opEnd:
		return
	case opLoop:
		p.inLoop = p.inLoop[:len(p.inLoop)-1]
		l := &p.groups[top.head].loop
		l.end = in.end - 1
		l.simple = l.simple && top.branched
	}
	joined := top.op == opLoop || top.op == opIf || top.branched
	if joined && p.current != top.group {
		p.open(top.group, in.end, false)
	}
	if joined {
		p.groups[p.current].cost += p.joinCost()
	}
}

// branch notes a branch to a label.
func (p *plan) branch(r *reader, depth uint32) {
	if uint64(depth) >= uint64(len(p.labels)) {
		r.fail("a branch to label %d of %d", depth, len(p.labels))
		return
	}
	to := &p.labels[len(p.labels)-1-int(depth)]
	to.branched = true
	p.passed += to.values
}

// fold gives up groups that are too small for a charge point, latest first, so
// that children come before parents.
func (p *plan) fold() {
	for i := len(p.groups) - 1; i > 0; i-- {
		g := &p.groups[i]
		if g.parent < 0 {
			continue
		}
		if g.cost == 0 {
			g.gone = true
			continue
		}
		if to := &p.groups[g.parent]; g.cost < groupFold && to.folded+g.cost <= groupFolded {
			to.cost += g.cost
			to.folded += g.cost
			g.gone = true
		}
	}
}

// complicate notes that the innermost open loop is not a simple one.
func (p *plan) complicate() {
	if n := len(p.inLoop); n > 0 {
		p.groups[p.inLoop[n-1]].loop.simple = false
	}
}

// unroll decides how often the bodies of simple loops are written.
func (p *plan) unroll() {
	for i := range p.groups {
		g := &p.groups[i]
		g.loop.copies = 1
		if g.loop.simple && p.branches <= maxUnroll {
			g.loop.copies = int(min(max(unrolled/max(g.cost, 1), 1), maxCopies))
		}
	}
}

// tooComplex refuses code that an engine would take very long to compile.
func (p *plan) tooComplex(r *reader) {
	locals := p.params + p.locals
	switch work := locals * uint64(p.branches+p.targets); {
	case work > maxWork:
		r.fail("%d locals in code of %d branches, the limit of their product is %d", locals, p.branches+p.targets, maxWork)
	case p.passed > maxPassed:
		r.fail("%d values passed in calls and branches, the limit is %d", p.passed, maxPassed)
	}
}

// total is the cost of all groups together.
func (p *plan) total() int64 {
	var sum int64
	for i := range p.groups {
		if !p.groups[i].gone {
			sum += p.groups[i].cost
		}
	}
	return sum
}

// checkIndexes refuses an instruction that names something that is not there.
// It is what keeps guests away from the fuel: the rewriting adds one global and
// up to two locals after those of the guest.
func (m *module) checkIndexes(r *reader, p *plan, in *instr) {
	thing, have := "", 0
	switch in.op {
	case opLocalGet, opLocalSet, opLocalTee:
		thing, have = "local", int(p.params+p.locals)
	case opGlobalGet, opGlobalSet:
		thing, have = "global", m.globals
	case opCall, opRefFunc:
		thing, have = "function", len(m.funcs)
	case opCallIndirect:
		m.inRange(r, "table", in.b, len(m.tables))
		thing, have = "type", len(m.types)
	case opTableGet, opTableSet, opTableGrow, opTableSize, opTableFill:
		thing, have = "table", len(m.tables)
	case opTableCopy:
		m.inRange(r, "table", in.b, len(m.tables))
		thing, have = "table", len(m.tables)
	case opTableInit:
		m.inRange(r, "table", in.b, len(m.tables))
		thing, have = "element segment", m.elements
	case opElemDrop:
		thing, have = "element segment", m.elements
	case opMemoryInit, opDataDrop:
		thing, have = "data segment", m.data
	case opBrTable:
		if uint64(in.a) > uint64(m.limits.MaxBrTable) {
			r.fail("a br_table of %d targets, the limit is %d", in.a, m.limits.MaxBrTable)
		}
		return
	default:
		return
	}
	m.inRange(r, thing, in.a, have)
}

func (m *module) inRange(r *reader, thing string, index uint32, have int) {
	if uint64(index) >= uint64(have) {
		r.fail("%s %d, there are %d", thing, index, have)
	}
}
