// Package expr compiles and evaluates the small expression language that
// selects rows and items: a subset of CEL.
//
// It owns the grammar, the comparison rules and their faults. It knows
// nothing about events, items or files: a caller resolves the names of a
// Program once and hands in values by slot. It must not import any other
// package of this module, nor any foreign library.
//
//	p, err := expr.Compile(`price < 10 && !(brand in ["a", "b"])`)
//	slots := p.Names() // ["price", "brand"]
//	keep := p.Eval(func(slot int) expr.Value { return values[slot] })
//
// The language:
//
//	expr    = and { "||" and }
//	and     = rel { "&&" rel }
//	rel     = unary [ ("==" | "!=" | "<" | "<=" | ">" | ">=" | "in") unary ]
//	unary   = { "!" } primary
//	primary = "(" expr ")" | literal | list | name
//	        | "has" "(" name ")" | (name | string) ".startsWith" "(" (name | string) ")"
//	        | "timestamp" "(" string ")"
//	list    = "[" [ literal { "," literal } ] "]"
//
// A name is letters, digits and "_", may hold dots ("attr.price"), and can be
// anything between backquotes (`Customer ID`). Literals are numbers, true,
// false and strings in single or double quotes with CEL's escapes.
//
// The comparison rules, for values that come from text files as well as from
// typed attributes:
//   - a missing value compares false with everything, and != is then true;
//   - against a number literal a text is read as a number; a text that is
//     none compares false (!= true);
//   - against a timestamp("2026-01-31T10:00:00Z"), which may be a date alone, a
//     text is read in that form and a number as Unix milliseconds, or seconds
//     where it is below 1e11;
//   - against a string literal a number or a truth value is compared by its
//     text;
//   - two names compare as numbers when both can be read as one, else as text;
//   - a name that stands alone is true when its value is the bool true or the
//     text "true", "True" or "TRUE";
//   - x in NAME asks for a member of a set; x in [..] for an equal literal;
//   - has(x) is false for a missing value and for an empty text, because an
//     empty cell of a file is how a row says that it has no value.
package expr

import "unicode/utf8"

// The bounds on a program: an expression is typed by a person, so anything
// beyond is a mistake or an attack on the stack.
const (
	// MaxLength is the longest source accepted, in bytes: some thousand terms,
	// as programs write them.
	MaxLength = 64 << 10
	// MaxTerms is the most comparisons and other conditions of a source, and
	// MaxList the most literals of its lists.
	MaxTerms = 1000
	MaxList  = 4000
	// MaxDepth is the deepest nesting of parentheses and negations.
	MaxDepth = 64
)

// Kind is the type of a Value.
type Kind uint8

const (
	// Missing is the value of a name that the row or item does not have.
	Missing Kind = iota
	// String is a text, in Str.
	String
	// Number is a float64, in Num.
	Number
	// Bool is a truth value, in Bool.
	Bool
	// Set is a set of texts, in Set.
	Set
	// Time is a point in time, in Num as Unix milliseconds. Only literals are
	// of this kind.
	Time
)

// Value is what a name stands for in one evaluation. The zero Value is
// Missing.
type Value struct {
	Kind Kind
	Bool bool
	Num  float64
	Str  string
	Set  []string
}

// Program is a compiled expression. It is immutable and safe for concurrent
// use.
type Program struct {
	root  *node
	names []string
	tree  *branch
	parts int
}

// Compile parses src. A fault in it is a *SyntaxError.
func Compile(src string) (*Program, error) {
	if len(src) > MaxLength {
		return nil, &SyntaxError{Pos: MaxLength, Character: MaxLength + 1, Msg: "the expression is longer than 65536 bytes"}
	}
	p := parser{src: src, slots: map[string]int{}}
	p.advance()
	root := p.parseOr()
	if p.fault == nil && p.tok.kind != tokEnd {
		p.failAt(p.tok.pos, "expected an operator or the end of the expression, found %s", p.describe())
	}
	root = p.truth(root)
	if p.fault != nil {
		p.fault.Character = utf8.RuneCountInString(src[:min(p.fault.Pos, len(src))]) + 1
		return nil, p.fault
	}
	program := &Program{root: root, names: p.names}
	program.tree = root.branch(&program.parts)
	return program, nil
}

// Names returns the names used, each once, in the order of their first use.
// The index of a name is its slot. The caller must not change the slice.
func (p *Program) Names() []string { return p.names }

// Eval answers for one row; get returns the value of a slot. It does not
// allocate and calls get only for the slots that it needs.
func (p *Program) Eval(get func(slot int) Value) bool { return p.root.eval(get) }
