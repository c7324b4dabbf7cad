package expr

import "slices"

// Part is a piece of a program that is a condition by itself: as large a piece
// as reads one name only, or a comparison of two names.
type Part struct {
	root   *node
	slots  []int
	number int
}

// Slots are the slots that the part reads, each once.
func (p *Part) Slots() []int { return p.slots }

// Number is the part's place among those of its program, from 0.
func (p *Part) Number() int { return p.number }

// Eval answers for one row, like Program.Eval.
func (p *Part) Eval(get func(slot int) Value) bool { return p.root.eval(get) }

// Test answers for one value of the one name that the part reads.
func (p *Part) Test(v Value) bool { return p.root.eval(func(int) Value { return v }) }

// Parts is how many parts the program has.
func (p *Program) Parts() int { return p.parts }

// Terms is how many comparisons and the like an evaluation may come to.
func (p *Program) Terms() int { return p.root.terms() }

func (n *node) terms() int {
	if n.op != opAnd && n.op != opOr && n.op != opNot {
		return 1
	}
	sum := 0
	for _, c := range n.children {
		sum += c.terms()
	}
	return sum
}

// Bits answers for many rows at once, as a bitmap of the given number of
// words. leaf sets, in words that are all zero, the bits of the rows that fulfil
// a part; whoever keeps values by column answers most parts without looking at
// rows one by one. It is not called for parts on which nothing depends any more.
// Bits of rows that are not there mean nothing.
func (p *Program) Bits(words int, leaf func(dst []uint64, part *Part)) []uint64 {
	return p.tree.bits(words, leaf)
}

// branch is a program as bitmaps are made of it: parts, and what combines them.
type branch struct {
	part     *Part  // nil for one that combines
	op       nodeOp // opAnd, opOr or opNot
	children []*branch
}

// branch makes one of a node, and counts the parts in it.
func (n *node) branch(parts *int) *branch {
	slots := n.reads(nil)
	if len(slots) < 2 || n.op != opAnd && n.op != opOr && n.op != opNot {
		if len(slots) == 1 && (n.op == opAnd || n.op == opOr) {
			n = &node{op: n.op, children: n.grouped()}
		}
		*parts++
		return &branch{part: &Part{root: n, slots: slots, number: *parts - 1}}
	}
	b := &branch{op: n.op}
	children := n.children
	if n.op != opNot {
		children = n.grouped()
	}
	for _, c := range children {
		b.children = append(b.children, c.branch(parts))
	}
	return b
}

func (b *branch) bits(words int, leaf func(dst []uint64, part *Part)) []uint64 {
	if b.part != nil {
		dst := make([]uint64, words)
		leaf(dst, b.part)
		return dst
	}
	dst := b.children[0].bits(words, leaf)
	if b.op == opNot {
		for i := range dst {
			dst[i] = ^dst[i]
		}
		return dst
	}
	settled := uint64(0) // a word that further operands do not change
	if b.op == opOr {
		settled = ^settled
	}
	for _, c := range b.children[1:] {
		if !slices.ContainsFunc(dst, func(word uint64) bool { return word != settled }) {
			break
		}
		more := c.bits(words, leaf)
		for i := range dst {
			if b.op == opAnd {
				dst[i] &= more[i]
			} else {
				dst[i] |= more[i]
			}
		}
	}
	return dst
}

// reads adds the slots that a node reads, each once.
func (n *node) reads(slots []int) []int {
	if n.op == opName && !slices.Contains(slots, n.slot) {
		slots = append(slots, n.slot)
	}
	for _, c := range n.children {
		slots = c.reads(slots)
	}
	return slots
}

// grouped are the operands of a chain of && or ||, with those that read the
// same one name made into one: their order does not matter.
func (n *node) grouped() []*node {
	var out []*node
	single := map[int]*node{}
	for _, c := range n.children {
		slots := c.reads(nil)
		if len(slots) != 1 {
			out = append(out, c)
			continue
		}
		group, known := single[slots[0]]
		if !known {
			group = &node{op: n.op, pos: c.pos}
			single[slots[0]] = group
			out = append(out, group)
		}
		group.children = append(group.children, c)
	}
	for _, group := range single {
		group.listed()
	}
	return out
}

// listed turns a == 1 || a == 2 into a in [1, 2], and a != 1 && a != 2 into
// !(a in [1, 2]): they mean the same, and a list is looked up by hash.
func (n *node) listed() {
	op := opEqual
	if n.op == opAnd {
		op = opNotEqual
	}
	in := &node{op: opIn}
	list := &node{op: opList}
	rest := make([]*node, 0, len(n.children))
	for _, c := range n.children {
		if c.op != op || c.children[0].op != opName || c.children[1].op != opLiteral || c.children[1].value.Kind == Time {
			rest = append(rest, c)
			continue
		}
		in.children = []*node{c.children[0], list}
		list.list = append(list.list, c.children[1].value)
	}
	if len(list.list) < longList {
		return
	}
	list.members = newMembers(list.list)
	if n.op == opAnd {
		in = &node{op: opNot, children: []*node{in}}
	}
	n.children = append(rest, in)
}
