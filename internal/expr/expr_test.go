package expr

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
)

// row is what the tables below evaluate against.
var row = map[string]Value{
	"user":        {Kind: String, Str: "17850"},
	"invoice":     {Kind: String, Str: "C536379"},
	"quantity":    {Kind: String, Str: "-6"},
	"spaced":      {Kind: String, Str: " 42 "},
	"date":        {Kind: String, Str: "2010-12-01"},
	"empty":       {Kind: String},
	"price":       {Kind: Number, Num: 2.55},
	"code":        {Kind: Number, Num: 85048},
	"nan":         {Kind: Number, Num: math.NaN()},
	"stock":       {Kind: Bool, Bool: true},
	"sold":        {Kind: String, Str: "False"},
	"flag":        {Kind: String, Str: "True"},
	"tags":        {Kind: Set, Set: []string{"5", "new", "red"}},
	"attr.price":  {Kind: Number, Num: 9},
	"Customer ID": {Kind: String, Str: "x\"y"},
	"col\u00fcmn": {Kind: String, Str: "f\u00fcr"},
}

func evalRow(t testing.TB, p *Program) bool {
	t.Helper()
	names := p.Names()
	return p.Eval(func(slot int) Value { return row[names[slot]] })
}

func TestEval(t *testing.T) {
	tests := []struct {
		src  string
		want bool
	}{
		{`user == "17850"`, true},
		{`user == 17850`, true},
		{`user == 17850.0`, true},
		{`user == "17850.0"`, false},
		{`17850 == user`, true},
		{`user > 9`, true},
		{`user > "9"`, false},
		{`quantity < 0`, true},
		{`quantity == -6`, true},
		{`spaced == 42`, true},
		{`date > 5`, false},
		{`date != 5`, true},
		{`date >= "2010-12-01"`, true},
		{`date < "2010-12-02"`, true},
		{`price == 2.55`, true},
		{`price == "2.55"`, true},
		{`code == "85048"`, true},
		{`code in ["POST", "85048"]`, true},
		{`code in [1, 85048]`, true},
		{`code.startsWith("850")`, true},
		{`nan == nan`, false},
		{`nan != 1`, true},
		{`stock`, true},
		{`!stock`, false},
		{`stock == true`, true},
		{`stock == "true"`, true},
		{`stock == 1`, false},
		{`flag`, true},
		{`sold == false`, true},
		{`!sold`, true},
		{`user`, false},
		{`missing == 1`, false},
		{`missing == ""`, false},
		{`missing != 1`, true},
		{`missing < 1 || missing >= 1`, false},
		{`missing`, false},
		{`missing in ["a"]`, false},
		{`missing == missing`, false},
		{`"a" in missing`, false},
		{`missing.startsWith("")`, false},
		{`has(missing)`, false},
		{`has(empty)`, false},
		{`has(user)`, true},
		{`has(tags) && has(stock)`, true},
		{`empty != ""`, false},
		{`empty == 0`, false},
		{`"red" in tags`, true},
		{`"blue" in tags`, false},
		{`5 in tags`, true},
		{`"red" in user`, false},
		{`tags == "red"`, false},
		{`tags != "red"`, true},
		{`user in []`, false},
		{`!(user in ["1", "2"])`, true},
		{`user in ["17850",]`, true},
		{`invoice.startsWith("C")`, true},
		{`!invoice.startsWith("C")`, false},
		{`"C5".startsWith("C")`, true},
		{`attr.price > 8`, true},
		{`attr.price > price`, true},
		{`user < code`, true},
		{`invoice < date`, false},
		{"`Customer ID` == \"x\\\"y\"", true},
		{"`Customer ID`.startsWith('x')", true},
		{"has(`Customer ID`)", true},
		{"col\u00fcmn == 'f\\u00fcr'", true},
		{`true`, true},
		{`false || true && false`, false},
		{`(true || true) && false`, false},
		{`!!true`, true},
		{`1 == 1.0`, true},
		{`1 == "1"`, false},
		{`1 != "1"`, true},
		{`.5 < 1e3`, true},
		{`"a\tb" == 'a	b'`, true},
		{`"\xff" == "\u00ff"`, true},
	}
	for _, tt := range tests {
		p, err := Compile(tt.src)
		if err != nil {
			t.Errorf("Compile(%s): %v", tt.src, err)
			continue
		}
		if got := evalRow(t, p); got != tt.want {
			t.Errorf("%s = %v, want %v", tt.src, got, tt.want)
		}
	}
}

func TestSyntaxErrors(t *testing.T) {
	tests := []struct {
		src string
		pos int
		msg string // a part of the message
	}{
		{``, 0, "found the end"},
		{`a ==`, 4, "found the end"},
		{`a = 1`, 2, "write =="},
		{`a <> 1`, 2, "write !="},
		{`a & b`, 2, "write &&"},
		{`a and b`, 2, "expected an operator"},
		{`not a`, 0, "write &&, || or !"},
		{`a == null`, 5, "has(name)"},
		{`a == "x`, 5, "never closed"},
		{"`a == 1", 0, "never closed"},
		{`a == "\q"`, 6, "unknown escape"},
		{`a == 12abc`, 5, "needs quotes"},
		{`a == 1.2.3`, 5, "malformed number"},
		{`!a == b`, 0, "!(a == b)"},
		{`(a == 1) == b`, 1, ""},
		{`a < b < c`, 6, "chained"},
		{`"x"`, 0, "expected a condition"},
		{`a && 5`, 5, "expected a condition"},
		{`["a"]`, 0, "expected a condition"},
		{`a == ["b"]`, 5, "right side of in"},
		{`a in "b"`, 5, "right side of in is"},
		{`a in [b]`, 6, "holds literals"},
		{`a in ["b" "c"]`, 10, "expected , or ]"},
		{`a in ["b"`, 9, "expected , or ]"},
		{`(a`, 2, "expected )"},
		{`a)`, 1, "expected an operator"},
		{`has("a")`, 4, "has takes a name"},
		{`size(a)`, 0, "unknown function"},
		{`a.endsWith("x")`, 0, "unknown function"},
		{`a.startsWith(5)`, 13, "startsWith takes"},
		{`a . startsWith("C")`, 2, "after the dot"},
		{`a == #`, 5, "unexpected character"},
		{`a == - b`, 7, "after -"},
		{strings.Repeat("(", MaxDepth+1) + "a", MaxDepth, "nested deeper"},
		{strings.Repeat("!", MaxDepth+1) + "a", MaxDepth, "nested deeper"},
		{strings.Repeat(" ", MaxLength+1), MaxLength, "longer than"},
		{"a == \"\xff\"", 6, "UTF-8"},
	}
	for _, tt := range tests {
		_, err := Compile(tt.src)
		var fault *SyntaxError
		if !errors.As(err, &fault) {
			t.Errorf("Compile(%.40q) = %v, want a SyntaxError", tt.src, err)
			continue
		}
		if fault.Pos != tt.pos && tt.msg != "" || !strings.Contains(fault.Msg, tt.msg) {
			t.Errorf("Compile(%.40q) = pos %d %q, want pos %d with %q", tt.src, fault.Pos, fault.Msg, tt.pos, tt.msg)
		}
	}
}

func TestDepthAndLengthAtTheLimit(t *testing.T) {
	deep := strings.Repeat("(", MaxDepth) + "stock" + strings.Repeat(")", MaxDepth)
	wide := "stock" + strings.Repeat("&&stock", MaxTerms-1)
	for _, src := range []string{deep, wide} {
		p, err := Compile(src)
		if err != nil {
			t.Fatalf("Compile(%.20q...): %v", src, err)
		}
		if !evalRow(t, p) {
			t.Errorf("%.20q... is false, want true", src)
		}
	}
}

func TestNames(t *testing.T) {
	p, err := Compile("b == 1 && a.c != 'x' || has(`d e`) && b.startsWith(f)")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"b", "a.c", "d e", "f"}; !reflect.DeepEqual(p.Names(), want) {
		t.Errorf("Names() = %q, want %q", p.Names(), want)
	}
}

func TestErrorShowsThePosition(t *testing.T) {
	_, err := Compile("a = 1")
	if want := "at character 3: unknown operator =; write =="; err == nil || err.Error() != want {
		t.Errorf("error = %v, want %q", err, want)
	}
}

func TestEvalDoesNotAllocate(t *testing.T) {
	p, err := Compile(`has(user) && date != 5 && code != "1" && !(code in ["a","b"]) && 5 in tags && quantity < 0`)
	if err != nil {
		t.Fatal(err)
	}
	values := make([]Value, len(p.Names()))
	for i, name := range p.Names() {
		values[i] = row[name]
	}
	get := func(slot int) Value { return values[slot] }
	if allocs := testing.AllocsPerRun(100, func() {
		if !p.Eval(get) {
			t.Error("the expression is false, want true")
		}
	}); allocs != 0 {
		t.Errorf("Eval allocates %v times, want 0", allocs)
	}
}

// FuzzCompile checks that no source panics, that every fault lies inside the
// source, that a bitmap says the same, and that double negation changes nothing.
func FuzzCompile(f *testing.F) {
	for _, src := range []string{
		`has(user) && !(code in ["POST", 'D', 5, true]) || invoice.startsWith("C")`,
		"`Customer ID` != \"a\\u00e9\\x41\\101\" && price >= -1.5e3",
		`a == "\`, `((((`, `a in [`, `!`, "a == \"\xff", `-`, `.5 == .5`,
	} {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src string) {
		p, err := Compile(src)
		if err != nil {
			var fault *SyntaxError
			if !errors.As(err, &fault) || fault.Pos < 0 || fault.Pos > len(src) {
				t.Fatalf("Compile(%q): fault %#v lies outside the source", src, err)
			}
			return
		}
		got := evalRow(t, p)
		bits := p.Bits(1, func(dst []uint64, part *Part) {
			if part.Eval(func(slot int) Value { return row[p.Names()[slot]] }) {
				dst[0] = 1
			}
		})
		if bits[0]&1 != 0 != got {
			t.Fatalf("%q: as a bitmap %v, by itself %v", src, !got, got)
		}
		negated, err := Compile("!(" + src + ")")
		if err != nil {
			return // at the depth or length limit
		}
		if evalRow(t, negated) == got {
			t.Fatalf("!(%s) equals the expression itself", src)
		}
	})
}

// BenchmarkEval is the row filter of a shop import; its floor is the three
// string comparisons, about 10 ns.
func BenchmarkEval(b *testing.B) {
	p, err := Compile(`user != "" && !(invoice in ["POST", "D", "M"]) && quantity < 0`)
	if err != nil {
		b.Fatal(err)
	}
	values := make([]Value, len(p.Names()))
	for i, name := range p.Names() {
		values[i] = row[name]
	}
	get := func(slot int) Value { return values[slot] }
	b.ReportAllocs()
	for b.Loop() {
		p.Eval(get)
	}
}
