package expr

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

type tokenKind uint8

const (
	tokEnd tokenKind = iota
	tokName
	tokNumber
	tokString
	tokOp // text holds the operator or punctuation
)

// token is one lexical element. For tokString and quoted names, text is the
// decoded content.
type token struct {
	kind   tokenKind
	pos    int
	text   string
	num    float64
	quoted bool // a name in backquotes: never a keyword
	call   bool // the dotted name ended in .startsWith, which was cut off
}

// operators holds the two-byte operators before their one-byte prefixes.
var operators = []string{
	"==", "!=", "<=", ">=", "&&", "||", "<", ">", "!", "(", ")", "[", "]", ",", "-", ".",
}

// wrongOperators maps what people type to what they mean.
var wrongOperators = []struct{ typed, meant string }{
	{"<>", "!="}, {"=", "=="}, {"&", "&&"}, {"|", "||"},
}

// advance reads the next token into p.tok. After a fault it reads no further.
func (p *parser) advance() {
	if p.fault != nil {
		p.tok = token{kind: tokEnd, pos: p.off}
		return
	}
	for p.off < len(p.src) && strings.IndexByte(" \t\r\n", p.src[p.off]) >= 0 {
		p.off++
	}
	start := p.off
	p.tok = token{kind: tokEnd, pos: start}
	if start == len(p.src) {
		return
	}
	rest := p.src[start:]
	c := rest[0]
	switch {
	case c == '"' || c == '\'':
		p.lexString(c)
	case c == '`':
		p.lexQuotedName()
	case isDigit(c) || c == '.' && len(rest) > 1 && isDigit(rest[1]):
		p.lexNumber()
	case nameStart(rest) > 0:
		p.lexName()
	default:
		p.lexOperator(rest)
	}
}

func (p *parser) lexOperator(rest string) {
	if strings.HasPrefix(rest, "<>") {
		p.failAt(p.off, "unknown operator <>; write !=")
		return
	}
	for _, op := range operators {
		if strings.HasPrefix(rest, op) {
			p.tok.kind, p.tok.text = tokOp, op
			p.off += len(op)
			return
		}
	}
	for _, w := range wrongOperators {
		if strings.HasPrefix(rest, w.typed) {
			p.failAt(p.off, "unknown operator %s; write %s", w.typed, w.meant)
			return
		}
	}
	r, _ := utf8.DecodeRuneInString(rest)
	p.failAt(p.off, "unexpected character %q", r)
}

func (p *parser) lexNumber() {
	end := p.off
	for end < len(p.src) {
		c := p.src[end]
		exponentSign := (c == '+' || c == '-') && (p.src[end-1] == 'e' || p.src[end-1] == 'E')
		if !isDigit(c) && c != '.' && c != 'e' && c != 'E' && !exponentSign {
			break
		}
		end++
	}
	text := p.src[p.off:end]
	num, ok := parseNumber(text)
	if !ok || end < len(p.src) && nameStart(p.src[end:]) > 0 {
		p.failAt(p.off, "malformed number; a text needs quotes")
		return
	}
	p.tok.kind, p.tok.text, p.tok.num = tokNumber, text, num
	p.off = end
}

// lexName reads a possibly dotted name. The method .startsWith is cut off
// when a parenthesis follows, so that a dotted name can be its receiver.
func (p *parser) lexName() {
	end := p.off
	for {
		for end < len(p.src) {
			n := nameStart(p.src[end:])
			if n == 0 && isDigit(p.src[end]) {
				n = 1
			}
			if n == 0 {
				break
			}
			end += n
		}
		if end+1 >= len(p.src) || p.src[end] != '.' || nameStart(p.src[end+1:]) == 0 {
			break
		}
		end++
	}
	text := p.src[p.off:end]
	p.tok.kind = tokName
	p.off = end
	if receiver, found := strings.CutSuffix(text, ".startsWith"); found && p.parenthesisFollows() {
		text, p.tok.call = receiver, true
	}
	p.tok.text = text
}

// parenthesisFollows reports whether the next token is "(".
func (p *parser) parenthesisFollows() bool {
	rest := strings.TrimLeft(p.src[p.off:], " \t\r\n")
	return strings.HasPrefix(rest, "(")
}

func (p *parser) lexQuotedName() {
	end := strings.IndexByte(p.src[p.off+1:], '`')
	if end < 0 {
		p.failAt(p.off, "the backquote is never closed")
		return
	}
	text := p.src[p.off+1 : p.off+1+end]
	if text == "" {
		p.failAt(p.off, "a name cannot be empty")
		return
	}
	p.tok.kind, p.tok.text, p.tok.quoted = tokName, text, true
	p.off += end + 2
	p.lexMethod()
}

// lexMethod takes a .startsWith that directly follows a quoted name or a
// string.
func (p *parser) lexMethod() {
	const method = ".startsWith"
	if !strings.HasPrefix(p.src[p.off:], method) {
		return
	}
	p.off += len(method)
	if p.tok.call = p.parenthesisFollows(); !p.tok.call {
		p.failAt(p.off, "expected ( after startsWith")
	}
}

func (p *parser) lexString(quote byte) {
	start := p.off
	end := start + 1
	for end < len(p.src) && p.src[end] != quote {
		if p.src[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(p.src) {
		p.failAt(start, "the quote is never closed")
		return
	}
	text, ok := p.unescape(start+1, end)
	if !ok {
		return
	}
	p.tok.kind, p.tok.text = tokString, text
	p.off = end + 1
	p.lexMethod()
}

// unescape decodes CEL's escapes in src[from:to]. They are Go's, plus the
// other quote, the backquote and the question mark.
func (p *parser) unescape(from, to int) (string, bool) {
	s := p.src[from:to]
	if !utf8.ValidString(s) {
		p.failAt(from, "the string is not valid UTF-8")
		return "", false
	}
	if strings.IndexByte(s, '\\') < 0 {
		return s, true
	}
	var b strings.Builder
	for len(s) > 0 {
		if s[0] != '\\' {
			n := strings.IndexByte(s, '\\')
			if n < 0 {
				n = len(s)
			}
			b.WriteString(s[:n])
			s = s[n:]
			continue
		}
		pos := to - len(s)
		if len(s) > 1 && strings.IndexByte("\"'`?", s[1]) >= 0 {
			b.WriteByte(s[1])
			s = s[2:]
			continue
		}
		r, multibyte, tail, err := strconv.UnquoteChar(s, 0)
		if err != nil {
			p.failAt(pos, "unknown escape; a backslash is written \\\\")
			return "", false
		}
		if !multibyte && r >= utf8.RuneSelf {
			// \xff and \377 are code points in CEL strings, not bytes.
			multibyte = true
		}
		if multibyte {
			b.WriteRune(r)
		} else {
			b.WriteByte(byte(r))
		}
		s = tail
	}
	return b.String(), true
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// nameStart returns the length of the letter or underscore at the start of s,
// or 0. Letters of every script count, because columns have such names.
func nameStart(s string) int {
	if s == "" {
		return 0
	}
	c := s[0]
	if c < utf8.RuneSelf {
		if c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			return 1
		}
		return 0
	}
	if r, n := utf8.DecodeRuneInString(s); unicode.IsLetter(r) {
		return n
	}
	return 0
}
