package expr

import "fmt"

// parser is a recursive descent over the tokens. The first fault sticks; the
// parser then only winds down.
type parser struct {
	src   string
	off   int
	tok   token
	depth int
	terms int
	items int // literals in lists
	names []string
	slots map[string]int
	fault *SyntaxError
}

func (p *parser) failAt(pos int, format string, args ...any) {
	if p.fault == nil {
		p.fault = syntaxErrorf(pos, format, args...)
	}
}

func (p *parser) describe() string {
	switch p.tok.kind {
	case tokEnd:
		return "the end of the expression"
	case tokString:
		return fmt.Sprintf("the string %.40q", p.tok.text)
	default:
		return fmt.Sprintf("%.40q", p.tok.text)
	}
}

func (p *parser) isOp(op string) bool { return p.tok.kind == tokOp && p.tok.text == op }

func (p *parser) expect(op string) {
	if !p.isOp(op) {
		p.failAt(p.tok.pos, "expected %s, found %s", op, p.describe())
		return
	}
	p.advance()
}

// enter counts nesting; a fault stops the descent.
func (p *parser) enter() bool {
	p.depth++
	if p.depth > MaxDepth {
		p.failAt(p.tok.pos, "the expression is nested deeper than %d levels", MaxDepth)
	}
	return p.fault == nil
}

func (p *parser) parseOr() *node  { return p.parseChain("||", opOr, (*parser).parseAnd) }
func (p *parser) parseAnd() *node { return p.parseChain("&&", opAnd, (*parser).parseRelation) }

// parseChain reads operands joined by one logical operator into a single
// node, so that a long chain does not deepen the tree.
func (p *parser) parseChain(symbol string, op nodeOp, operand func(*parser) *node) *node {
	first := operand(p)
	if !p.isOp(symbol) {
		return first
	}
	chain := &node{op: op, pos: first.pos, children: []*node{p.truth(first)}}
	for p.isOp(symbol) && p.fault == nil {
		p.advance()
		chain.children = append(chain.children, p.truth(operand(p)))
	}
	return chain
}

// relations maps the source form of a comparison to its operator.
var relations = map[string]nodeOp{
	"==": opEqual, "!=": opNotEqual, "<": opLess, "<=": opLessEqual, ">": opGreater, ">=": opGreaterEqual,
}

func (p *parser) relation() (nodeOp, bool) {
	if p.tok.kind == tokName && p.tok.text == "in" && !p.tok.quoted {
		return opIn, true
	}
	if p.tok.kind != tokOp {
		return 0, false
	}
	op, found := relations[p.tok.text]
	return op, found
}

func (p *parser) parseRelation() *node {
	if p.terms++; p.terms > MaxTerms {
		p.failAt(p.tok.pos, "the expression has more than %d terms; list values as in name in [\"a\", \"b\"]", MaxTerms)
	}
	left := p.parseUnary()
	op, found := p.relation()
	if !found {
		return left
	}
	pos := p.tok.pos
	p.advance()
	right := p.parseUnary()
	if _, again := p.relation(); again {
		p.failAt(p.tok.pos, "comparisons cannot be chained; join two with &&")
	}
	p.operand(left, false)
	p.operand(right, op == opIn)
	if op == opIn && p.fault == nil && right.op != opList && right.op != opName {
		p.failAt(right.pos, "the right side of in is a list such as [\"a\", \"b\"] or a name")
	}
	return &node{op: op, pos: pos, children: []*node{left, right}}
}

// operand checks that n can stand beside a comparison.
func (p *parser) operand(n *node, listAllowed bool) {
	switch {
	case p.fault != nil, n.op == opName, n.op == opLiteral:
	case n.op == opList:
		if !listAllowed {
			p.failAt(n.pos, "a list can only stand on the right side of in")
		}
	case n.op == opNot:
		p.failAt(n.pos, "! binds more tightly than a comparison; write !(a == b)")
	default:
		p.failAt(n.pos, "a comparison takes names and literals, not a condition")
	}
}

// truth checks that n can stand as a condition.
func (p *parser) truth(n *node) *node {
	if p.fault != nil {
		return n
	}
	if n.op == opList || n.op == opLiteral && n.value.Kind != Bool {
		p.failAt(n.pos, "expected a condition; compare the value with something")
	}
	return n
}

func (p *parser) parseUnary() *node {
	if !p.isOp("!") {
		return p.parsePrimary()
	}
	pos := p.tok.pos
	if !p.enter() {
		return &node{pos: pos}
	}
	defer func() { p.depth-- }()
	p.advance()
	return &node{op: opNot, pos: pos, children: []*node{p.truth(p.parseUnary())}}
}

func (p *parser) parsePrimary() *node {
	tok := p.tok
	switch {
	case p.fault != nil:
	case p.isOp("("):
		return p.parseParenthesis()
	case p.isOp("["):
		return p.parseList()
	case tok.kind == tokName:
		return p.parseName()
	case tok.kind == tokString || tok.kind == tokNumber || p.isOp("-"):
		return p.parseLiteral()
	default:
		p.failAt(tok.pos, "expected a name or a literal, found %s", p.describe())
	}
	return &node{pos: tok.pos}
}

func (p *parser) parseParenthesis() *node {
	if !p.enter() {
		return &node{pos: p.tok.pos}
	}
	defer func() { p.depth-- }()
	p.advance()
	inner := p.parseOr()
	p.expect(")")
	return inner
}

// parseLiteral reads a string, a number with an optional minus, or a method
// call on a string.
func (p *parser) parseLiteral() *node {
	pos, sign := p.tok.pos, 1.0
	if p.isOp("-") {
		sign = -1
		p.advance()
		if p.tok.kind != tokNumber {
			p.failAt(p.tok.pos, "expected a number after -, found %s", p.describe())
		}
	}
	tok := p.tok
	n := &node{op: opLiteral, pos: pos}
	if tok.kind == tokNumber {
		n.value = Value{Kind: Number, Num: sign * tok.num}
	} else {
		n.value = Value{Kind: String, Str: tok.text}
	}
	p.advance()
	if tok.call {
		return p.parseStartsWith(n)
	}
	return n
}

func (p *parser) parseName() *node {
	tok := p.tok
	if !tok.quoted {
		switch tok.text {
		case "true", "false":
			p.advance()
			return &node{op: opLiteral, pos: tok.pos, value: Value{Kind: Bool, Bool: tok.text == "true"}}
		case "null":
			p.failAt(tok.pos, "there is no null; ask with has(name) or !has(name)")
		case "in":
			p.failAt(tok.pos, "expected a name or a literal before in")
		case "and", "or", "not", "AND", "OR", "NOT":
			p.failAt(tok.pos, "unknown operator %s; write &&, || or !", tok.text)
		case "has":
			if p.parenthesisFollows() {
				return p.parseHas()
			}
		case "timestamp":
			if p.parenthesisFollows() {
				return p.parseTimestamp()
			}
		}
	}
	p.advance()
	n := p.name(tok)
	if tok.call {
		return p.parseStartsWith(n)
	}
	if p.isOp("(") {
		p.failAt(tok.pos, "unknown function %.40q; there are has(name), timestamp(\"2026-01-31T10:00:00Z\") and name.startsWith(\"text\")", tok.text)
	}
	if p.isOp(".") {
		p.failAt(p.tok.pos, "expected a name after the dot")
	}
	return n
}

// name makes the node of a name and gives it a slot.
func (p *parser) name(tok token) *node {
	slot, known := p.slots[tok.text]
	if !known {
		slot = len(p.names)
		p.slots[tok.text] = slot
		p.names = append(p.names, tok.text)
	}
	return &node{op: opName, pos: tok.pos, slot: slot}
}

func (p *parser) parseHas() *node {
	pos := p.tok.pos
	p.advance()
	p.expect("(")
	tok := p.tok
	if tok.kind != tokName || tok.call {
		p.failAt(tok.pos, "has takes a name, found %s", p.describe())
		return &node{pos: pos}
	}
	p.advance()
	p.expect(")")
	return &node{op: opHas, pos: pos, children: []*node{p.name(tok)}}
}

func (p *parser) parseTimestamp() *node {
	pos := p.tok.pos
	p.advance()
	p.expect("(")
	tok := p.tok
	at, ok := parseTime(tok.text)
	if tok.kind != tokString || tok.call || !ok {
		p.failAt(tok.pos, "timestamp takes a time such as \"2026-01-31T10:00:00Z\", found %s", p.describe())
		return &node{pos: pos}
	}
	p.advance()
	p.expect(")")
	return &node{op: opLiteral, pos: pos, value: Value{Kind: Time, Num: at}}
}

func (p *parser) parseStartsWith(receiver *node) *node {
	p.expect("(")
	tok := p.tok
	var prefix *node
	switch {
	case tok.kind == tokString && !tok.call:
		prefix = &node{op: opLiteral, pos: tok.pos, value: Value{Kind: String, Str: tok.text}}
	case tok.kind == tokName && !tok.call:
		prefix = p.name(tok)
	default:
		p.failAt(tok.pos, "startsWith takes a string in quotes or a name, found %s", p.describe())
		return receiver
	}
	p.advance()
	p.expect(")")
	return &node{op: opStartsWith, pos: receiver.pos, children: []*node{receiver, prefix}}
}

func (p *parser) parseList() *node {
	list := &node{op: opList, pos: p.tok.pos}
	p.advance()
	for !p.isOp("]") && p.fault == nil {
		item := p.listItem()
		if p.fault != nil {
			break
		}
		list.list = append(list.list, item.value)
		if p.items++; p.items > MaxList {
			p.failAt(item.pos, "the lists have more than %d values", MaxList)
		}
		if p.isOp(",") {
			p.advance()
		} else if !p.isOp("]") {
			p.failAt(p.tok.pos, "expected , or ] in the list, found %s", p.describe())
		}
	}
	p.expect("]")
	if len(list.list) >= longList {
		list.members = newMembers(list.list)
	}
	return list
}

func (p *parser) listItem() *node {
	pos := p.tok.pos
	if p.tok.kind == tokString || p.tok.kind == tokNumber || p.isOp("-") ||
		p.tok.kind == tokName && !p.tok.quoted && (p.tok.text == "true" || p.tok.text == "false") {
		if n := p.parsePrimary(); n.op == opLiteral {
			return n
		}
	}
	p.failAt(pos, "a list holds literals; a text needs quotes")
	return &node{pos: pos}
}
